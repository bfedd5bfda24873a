// SPDX-License-Identifier: GPL-3.0-or-later
// What writers stand on: a file written at any place, a folder that appears whole or not at all, and the question
// whether the disk has room, asked before work starts.
#pragma once

#include "core/jobs/job_context.h"

#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace ql {

/// A regular file written by position, by any thread. Closing without finish() leaves it as it is; it lies in a folder
/// or under a name that is thrown away then.
class OutputFile {
public:
    /// Creates a file that must not exist yet.
    static Result<OutputFile> create(const std::filesystem::path& path);
    /// Opens a file that exists, to fill places in it.
    static Result<OutputFile> openForUpdate(const std::filesystem::path& path);
    OutputFile(OutputFile&& other) noexcept;
    OutputFile& operator=(OutputFile&&) = delete;
    ~OutputFile();

    /// Errors name the path that was given here instead of a temporary one.
    void showAs(std::filesystem::path path) { m_shown = std::move(path); }
    /// Takes the room on the disk now, where the file system can: a full disk shows before work starts.
    Result<void> reserve(std::int64_t sizeBytes) const;
    Result<void> writeAt(std::int64_t offset, std::span<const std::byte> bytes) const;
    /// Writes in pieces of 1 MiB with a stop test and progress after each.
    Result<void> writeAt(std::int64_t offset, std::span<const std::byte> bytes, const JobContext& context) const;
    /// fsync and close.
    Result<void> finish();

private:
    OutputFile() = default;
    std::filesystem::path m_shown;
    int m_descriptor = -1;
};

/// A new folder beside the wanted name that takes the name on commit. Destroyed without commit it is removed.
class OutputFolder {
public:
    /// path may be missing, an empty folder, or a folder that holds the file `mark` and no folders (an earlier export,
    /// which is replaced); anything else is refused.
    static Result<OutputFolder> create(const std::filesystem::path& path, std::string_view mark);
    OutputFolder(OutputFolder&& other) noexcept;
    OutputFolder& operator=(OutputFolder&&) = delete;
    ~OutputFolder();

    const std::filesystem::path& temporaryPath() const { return m_temporary; }
    const std::filesystem::path& path() const { return m_path; }
    /// Files must have been finished. Exchanges with the folder that is there, if any, and removes that.
    Result<void> commit();

private:
    OutputFolder() = default;
    std::filesystem::path m_path;
    std::filesystem::path m_temporary;
};

/// Refuses if the file system that will hold path has less than bytes free or the process may not write a file of
/// largestFile bytes.
Result<void> checkDiskSpace(const std::filesystem::path& path, std::int64_t bytes, std::int64_t largestFile);

/// path without a trailing separator, absolute, with symbolic links resolved where it exists.
std::filesystem::path resolvedPath(const std::filesystem::path& path);

} // namespace ql
