// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/export/output_file.h"

#include "core/base/disk_output.h"
#include "core/base/text.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

namespace ql {

namespace {

void removeFolder(const std::filesystem::path& folder)
{
    std::error_code ignored;
    for (std::filesystem::directory_iterator it(folder, ignored), end; !ignored && it != end; it.increment(ignored))
        if (it->is_regular_file(ignored))
            discardFile(it->path());
    std::filesystem::remove_all(folder, ignored);
}

Result<bool> mayReplace(const std::filesystem::path& path, std::string_view mark)
{
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (!std::filesystem::exists(status))
        return false;
    if (!std::filesystem::is_directory(status))
        return refused("exists and is not a folder; this target writes a folder, give another name", path.string());
    bool empty = true;
    bool folders = false;
    for (std::filesystem::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
        empty = false;
        std::error_code ignored;
        folders = folders || it->is_directory(ignored);
    }
    if (error)
        return ioError("cannot list the folder: " + error.message(), path.string());
    if (empty)
        return true;
    if (folders || !std::filesystem::exists(path / mark, error))
        return refused("is a folder with other content; give a new name, or that of an earlier export to replace it",
                       path.string());
    return true;
}

} // namespace

Result<OutputFile> OutputFile::create(const std::filesystem::path& path)
{
    OutputFile file;
    file.m_shown = path;
    file.m_descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file.m_descriptor < 0)
        return systemError("cannot create", path.string(), errno);
    return file;
}

Result<OutputFile> OutputFile::openForUpdate(const std::filesystem::path& path)
{
    OutputFile file;
    file.m_shown = path;
    file.m_descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (file.m_descriptor < 0)
        return systemError("cannot open for writing", path.string(), errno);
    return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : m_shown(std::move(other.m_shown)), m_descriptor(std::exchange(other.m_descriptor, -1))
{}

OutputFile::~OutputFile()
{
    if (m_descriptor >= 0)
        ::close(m_descriptor);
}

Result<void> OutputFile::reserve(std::int64_t sizeBytes) const
{
    if (sizeBytes == 0 || ::fallocate(m_descriptor, 0, 0, sizeBytes) == 0)
        return {};
    if (errno == ENOSPC || errno == EFBIG || errno == EDQUOT || errno == EIO)
        return systemError("cannot take " + formatBytes(sizeBytes) + " on the disk", m_shown.string(), errno);
    return {}; // not every file system reserves
}

Result<void> OutputFile::writeAt(std::int64_t offset, std::span<const std::byte> bytes) const
{
    return writeAllAt(m_descriptor, offset, bytes, m_shown);
}

Result<void> OutputFile::writeAt(std::int64_t offset, std::span<const std::byte> bytes, const JobContext& context) const
{
    constexpr std::size_t kPiece = std::size_t{1} << 20U;
    while (!bytes.empty()) {
        QL_CHECK(context.checkStop());
        const auto piece = bytes.first(std::min(bytes.size(), kPiece));
        QL_CHECK(writeAt(offset, piece));
        startWriteBack(m_descriptor, offset, std::ssize(piece));
        context.progress().addDone(std::ssize(piece));
        offset += std::ssize(piece);
        bytes = bytes.subspan(piece.size());
    }
    return {};
}

Result<void> OutputFile::finish()
{
    if (::fsync(m_descriptor) != 0)
        return systemError("cannot write", m_shown.string(), errno);
    if (::close(std::exchange(m_descriptor, -1)) != 0)
        return systemError("cannot write", m_shown.string(), errno);
    return {};
}

Result<OutputFolder> OutputFolder::create(const std::filesystem::path& path, std::string_view mark)
{
    OutputFolder folder;
    folder.m_path = resolvedPath(path);
    QL_CHECK(mayReplace(folder.m_path, mark));
    std::string name = (folder.m_path.parent_path() / ("." + folder.m_path.filename().string() + ".XXXXXX")).string();
    if (!::mkdtemp(name.data()))
        return systemError("cannot create a folder beside it", path.string(), errno);
    folder.m_temporary = name;
    ::chmod(name.c_str(), 0777 & ~currentMask());
    return folder;
}

OutputFolder::OutputFolder(OutputFolder&& other) noexcept
    : m_path(std::move(other.m_path)), m_temporary(std::exchange(other.m_temporary, {}))
{}

OutputFolder::~OutputFolder()
{
    if (!m_temporary.empty())
        removeFolder(m_temporary);
}

Result<void> OutputFolder::commit()
{
    syncFolder(m_temporary);
    std::error_code error;
    if (!std::filesystem::exists(m_path, error) || std::filesystem::is_empty(m_path, error)) {
        if (::rename(m_temporary.c_str(), m_path.c_str()) != 0)
            return systemError("cannot create", m_path.string(), errno);
        m_temporary.clear();
    } else if (::renameat2(AT_FDCWD, m_temporary.c_str(), AT_FDCWD, m_path.c_str(), RENAME_EXCHANGE) != 0) {
        // Not every file system exchanges: move the old folder aside, and back if the new one cannot take its place.
        if (errno != EINVAL && errno != ENOSYS && errno != ENOTSUP)
            return systemError("cannot replace", m_path.string(), errno);
        const std::filesystem::path old = m_temporary.string() + ".old";
        if (::rename(m_path.c_str(), old.c_str()) != 0)
            return systemError("cannot replace", m_path.string(), errno);
        if (::rename(m_temporary.c_str(), m_path.c_str()) != 0) {
            const int reason = errno;
            ::rename(old.c_str(), m_path.c_str());
            return systemError("cannot replace", m_path.string(), reason);
        }
        m_temporary = old;
    }
    syncFolder(m_path.parent_path());
    if (!m_temporary.empty())
        removeFolder(std::exchange(m_temporary, {}));
    return {};
}

Result<void> checkDiskSpace(const std::filesystem::path& path, std::int64_t bytes, std::int64_t largestFile)
{
    const std::filesystem::path folder = resolvedPath(path).parent_path();
    struct statvfs status {};
    if (::statvfs(folder.c_str(), &status) != 0)
        return systemError("cannot write into the folder", folder.string(), errno);
    const double free = static_cast<double>(status.f_bavail) * static_cast<double>(status.f_frsize);
    if (free < static_cast<double>(bytes))
        return ioError("the disk has " + formatBytes(static_cast<std::int64_t>(free)) + " free and the export needs " +
                           formatBytes(bytes) + "; free some, or write to another disk",
                       path.string());
    struct rlimit limit {};
    if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
        std::cmp_less(limit.rlim_cur, largestFile))
        return ioError("the export needs a file of " + formatBytes(largestFile) +
                           " and this process may write at most " +
                           formatBytes(static_cast<std::int64_t>(limit.rlim_cur)) + "; raise the limit (ulimit -f)",
                       path.string());
    return {};
}

std::filesystem::path resolvedPath(const std::filesystem::path& path)
{
    std::error_code error;
    std::filesystem::path absolute = std::filesystem::absolute(path, error).lexically_normal();
    if (absolute.filename().empty())
        absolute = absolute.parent_path();
    std::filesystem::path resolved = std::filesystem::weakly_canonical(absolute, error);
    return error ? absolute : resolved;
}

} // namespace ql
