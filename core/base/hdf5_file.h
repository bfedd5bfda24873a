// SPDX-License-Identifier: GPL-3.0-or-later
// Reading HDF5. The program quantloupe-hdf5-index says what is in a file and where; the data are then read from the
// mapping: in parallel, without a lock, and never by libhdf5, which crashes and hangs on damaged files. Immutable, so
// safe to share between threads.
#pragma once

#include "core/base/file.h"
#include "core/base/hdf5_index.h"

#include <chrono>
#include <stop_token>

namespace ql::hdf5 {

constexpr std::int64_t kMaxChunkBytes = std::int64_t{1} << 29U; // unpacked at once

class File {
public:
    /// Errors: what MappedFile::open refuses, no HDF5 file, damaged (the indexing program crashed, took too much time,
    /// memory or output), the indexing program missing, cancelled.
    static Result<std::shared_ptr<const File>> open(const std::filesystem::path& path,
                                                    const std::stop_token& stop = {});
    /// The same of many files by few calls of the program; results in the order of paths.
    static std::vector<Result<std::shared_ptr<const File>>> open(std::span<const std::filesystem::path> paths,
                                                                 const std::stop_token& stop = {});

    struct Indexer {
        std::filesystem::path program;
        std::optional<std::chrono::milliseconds> time; // limit; nothing: by the size of the files
    };
    /// With another indexing program.
    static std::vector<Result<std::shared_ptr<const File>>> open(std::span<const std::filesystem::path> paths,
                                                                 const Indexer& indexer, const std::stop_token& stop);

    const std::shared_ptr<const MappedFile>& mapped() const { return m_mapped; }
    const Index& index() const { return m_index; }
    const Group& root() const { return m_index.groups.front(); }
    /// By path from `from`; errors name the path.
    Result<const Group*> group(const Group& from, std::string_view path) const;
    Result<const Dataset*> dataset(const Group& from, std::string_view path) const;

    /// A text attribute of at most limitBytes; a missing or longer one is an error.
    Result<std::string> text(const Group& group, std::string_view name, std::int64_t limitBytes = 1 << 20) const;
    Result<std::int64_t> integer(const Group& group, std::string_view name) const;

    /// Bytes of contiguous data in the file; empty data have no place there.
    Result<std::span<const std::byte>> view(const Dataset& dataset) const;
    /// All elements, which must be of this type and have at most limitBytes.
    Result<std::vector<std::byte>> read(const Dataset& dataset, Element element, std::int64_t limitBytes) const;
    /// The same into memory of dataset.sizeBytes.
    Result<void> readInto(const Dataset& dataset, Element element, std::byte* whole, const std::stop_token& stop) const;

    /// What readUnits counts: chunks, or elements where there are none.
    static std::int64_t unitCount(const Dataset& dataset);
    static std::int64_t unitBytes(const Dataset& dataset);
    /// Decodes units [begin, end) to native elements at their place of `whole`, an array of the dataset's shape. Chunks
    /// do not overlap, so parts can be read in parallel. The dataset has an element type and neither refusal nor
    /// problem, and unitBytes is at most kMaxChunkBytes. Tests `stop` at every chunk and within large ones.
    Result<void> readUnits(const Dataset& dataset, std::int64_t begin, std::int64_t end, std::byte* whole,
                           const std::stop_token& stop) const;

private:
    File(std::shared_ptr<const MappedFile> mapped, Index index) : m_mapped(std::move(mapped)), m_index(std::move(index))
    {}
    std::string where() const { return m_mapped->path().string(); }

    std::shared_ptr<const MappedFile> m_mapped;
    Index m_index;
};

} // namespace ql::hdf5
