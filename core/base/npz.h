// SPDX-License-Identifier: GPL-3.0-or-later
// Writes NumPy .npz archives: .npy members stored uncompressed, 64-bit sizes and offsets where needed, atomically
// replaced on commit. Members are streamed, so memory does not grow with the arrays; libzip cannot do that, it takes
// all data when the archive is closed. Equal input gives equal bytes (no time stamps). Not thread-safe.
// Formats: NumPy's lib/format.py (npy 1.0), PKWARE APPNOTE 6.3.
#pragma once

#include "core/base/file.h"

#include <set>
#include <string>
#include <vector>

namespace ql {

class NpzWriter {
public:
    static Result<NpzWriter> create(const std::filesystem::path& path);

    /// Starts the array `name` (unique; without ".npy") of row-major elements. dtype is one of b1 i1 i2 i4 i8 u1 u2 u4
    /// u8 f2 f4 f8 c8 c16.
    Result<void> begin(std::string_view name, std::string_view dtype, std::span<const std::int64_t> shape);
    /// The next elements of the array, little-endian.
    Result<void> append(std::span<const std::byte> bytes);
    /// Ends the array; an error if not exactly all of it was appended.
    Result<void> finish();
    /// begin, append and finish.
    Result<void> add(std::string_view name, std::string_view dtype, std::span<const std::int64_t> shape,
                     std::span<const std::byte> bytes);
    /// Writes the directory and replaces the file. Without it nothing is left behind.
    Result<void> commit();

private:
    struct Member {
        std::string name;
        std::uint32_t crc = 0;
        std::int64_t sizeBytes = 0;
        std::int64_t offset = 0;
    };
    explicit NpzWriter(AtomicFile file) : m_file(std::move(file)) {}
    Result<void> put(std::span<const std::byte> bytes);

    AtomicFile m_file;
    std::vector<Member> m_members;
    std::set<std::string, std::less<>> m_names;
    std::int64_t m_missing = 0; // bytes of the open array still to come
    bool m_open = false;
};

} // namespace ql
