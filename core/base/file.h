// SPDX-License-Identifier: GPL-3.0-or-later
// Files: read-only mappings of regular files and atomic replacement. Opening follows symbolic links (model hubs use
// them) but refuses what is not a regular file: directories, FIFOs, sockets and devices never block or stream without
// end.
#pragma once

#include "core/base/result.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>

namespace ql {

class MappingGuard;

/// A read-only mapping; empty files map to an empty span. Immutable, so safe to share between threads. Where the file
/// is cut short while it is mapped, the missing bytes read as zero: ask checkIntact before a result is believed.
class MappedFile {
public:
    static Result<std::shared_ptr<const MappedFile>> open(const std::filesystem::path& path);
    ~MappedFile();
    MappedFile(const MappedFile&) = delete;
    MappedFile& operator=(const MappedFile&) = delete;

    std::span<const std::byte> bytes() const { return {m_data, static_cast<std::size_t>(m_size)}; }
    std::int64_t sizeBytes() const { return m_size; }
    const std::filesystem::path& path() const { return m_path; }
    /// Names the file in its file system, also when another one has taken its path.
    std::uint64_t inode() const { return m_inode; }
    /// Gives back the memory of pages that lie wholly in these bytes of the mapping. The system may keep them in its
    /// cache; whoever reads them again gets them again.
    void release(std::span<const std::byte> bytes) const;
    /// An error if bytes that were read since it was opened are zeros instead of the file's.
    Result<void> checkIntact() const;

private:
    MappedFile() = default;
    std::filesystem::path m_path;
    std::uint64_t m_inode = 0;
    const std::byte* m_data = nullptr;
    std::int64_t m_size = 0;
    std::unique_ptr<MappingGuard> m_guard;
};

/// Writes beside the final name and renames on commit, after fsync of file and folder: readers see the old file or the
/// whole new one. Destroyed without commit it leaves nothing behind. Refuses to take the place of what is no regular
/// file (folders, devices, pipes).
class AtomicFile {
public:
    static Result<AtomicFile> create(const std::filesystem::path& path);
    AtomicFile(AtomicFile&& other) noexcept;
    AtomicFile& operator=(AtomicFile&&) = delete;
    ~AtomicFile();

    /// Appends; an error (disk full, …) leaves the final name untouched.
    Result<void> write(std::span<const std::byte> bytes);
    Result<void> write(std::string_view text) { return write(std::as_bytes(std::span(text.data(), text.size()))); }
    /// Appends n zero bytes.
    Result<void> writeZeros(std::int64_t n);
    /// Replaces bytes already written, for a checksum known only at the end.
    Result<void> overwrite(std::int64_t offset, std::span<const std::byte> bytes);
    std::int64_t sizeBytes() const { return m_written + std::ssize(m_buffer); }
    /// The temporary name, for libraries that want a path (HDF5). They must have closed it before commit.
    const std::filesystem::path& temporaryPath() const { return m_temporary; }
    Result<void> commit();

private:
    AtomicFile() = default;
    Result<void> append(std::span<const std::byte> bytes);
    Result<void> flush();
    std::filesystem::path m_path;
    std::filesystem::path m_temporary;
    int m_descriptor = -1;
    std::int64_t m_written = 0;
    std::string m_buffer; // what comes behind
};

/// Reads a small text file whole; refuses one larger than limitBytes.
Result<std::string> readTextFile(const std::filesystem::path& path, std::int64_t limitBytes);

/// The path of `relative` inside `folder`; refused if it is absolute, has a ".." part or a NUL, or is empty.
Result<std::filesystem::path> pathInside(const std::filesystem::path& folder, std::string_view relative);

} // namespace ql
