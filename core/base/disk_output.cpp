// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/disk_output.h"

#include "core/base/mapping_guard.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>

namespace ql {

Result<void> writeAllAt(int descriptor, std::int64_t offset, std::span<const std::byte> bytes,
                        const std::filesystem::path& shown)
{
    bool touched = false;
    while (!bytes.empty()) {
        const ssize_t written =
            ::pwrite(descriptor, bytes.data(), std::min(bytes.size(), std::size_t{1} << 30U), offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0 && errno == EFAULT && !std::exchange(touched, true)) {
            touchPages(bytes); // a mapped source that was cut short
            continue;
        }
        if (written < 0)
            return systemError("cannot write", shown.string(), errno);
        bytes = bytes.subspan(static_cast<std::size_t>(written));
        offset += written;
    }
    return {};
}

void startWriteBack(int descriptor, std::int64_t offset, std::int64_t sizeBytes)
{
    ::sync_file_range(descriptor, offset, sizeBytes, SYNC_FILE_RANGE_WRITE);
}

void closeAside(int descriptor)
{
    constexpr std::int64_t kLarge = std::int64_t{1} << 23U;
    struct stat status {};
    if (::fstat(descriptor, &status) == 0 && status.st_size >= kLarge) {
        try {
            std::thread([descriptor] { ::close(descriptor); }).detach();
            return;
        } catch (const std::system_error&) { // no more threads
        }
    }
    ::close(descriptor);
}

void discardFile(const std::filesystem::path& path)
{
    const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    ::unlink(path.c_str());
    if (descriptor >= 0)
        closeAside(descriptor);
}

mode_t currentMask()
{
    static std::mutex one; // it is read by changing it, which another reader would take for the mask
    const std::scoped_lock lock(one);
    constexpr mode_t kPrivate = 077; // what others create at this instant is open to nobody
    const mode_t mask = ::umask(kPrivate);
    ::umask(mask);
    return mask;
}

void syncFolder(const std::filesystem::path& folder)
{
    const int descriptor = ::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0)
        return;
    ::fsync(descriptor);
    ::close(descriptor);
}

} // namespace ql
