// SPDX-License-Identifier: GPL-3.0-or-later
// How the indexing program lets libhdf5 read a file: through a read-only driver that tells where a chunk lies. The
// library itself answers that only by walking all chunks for each (H5Dget_chunk_info), n²/2 steps. Never used in the
// processes that people see.
#pragma once

#include "core/base/hdf5.h"

#include <optional>

namespace ql::hdf5 {

/// A file opened for reading, in which no link leads to another file.
class Source {
public:
    static Result<Source> open(const std::filesystem::path& path);
    Id id() const { return m_file.get(); }
    std::int64_t sizeBytes() const { return m_sizeBytes; }
    std::uint64_t inode() const { return m_inode; }

    struct Place {
        std::int64_t offset = -1; // -1: outside the file
        std::int64_t sizeBytes = 0;
        std::uint32_t skipped = 0; // mask of filters
    };
    /// Where the chunk that begins at this element is stored; nothing if it is not.
    std::optional<Place> chunkAt(Id dataset, const Extent& start) const;

private:
    Handle m_file;
    std::int64_t m_sizeBytes = 0;
    std::uint64_t m_inode = 0;
};

} // namespace ql::hdf5
