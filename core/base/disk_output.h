// SPDX-License-Identifier: GPL-3.0-or-later
// Bytes that are to reach the disk whole and to last: what AtomicFile and the writers of exports stand on. Safe to call
// from any thread.
#pragma once

#include "core/base/result.h"

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

namespace ql {

/// Writes all bytes to this place of an open file, however often the system takes only some of them. Those of a mapped
/// file that was cut short are written as zeros, which its checkIntact says. Errors name `shown`.
Result<void> writeAllAt(int descriptor, std::int64_t offset, std::span<const std::byte> bytes,
                        const std::filesystem::path& shown);

/// Begins to write these bytes of an open file to the disk and does not wait for it: an fsync at the end of gigabytes
/// cannot be stopped and holds its caller for as long as all of them take. Advice only: errors show in the fsync that a
/// safe file needs anyway.
void startWriteBack(int descriptor, std::int64_t offset, std::int64_t sizeBytes);

/// Closes a file that may have lost its name before. The system takes long to take back the pages of a large one, which
/// nothing can stop: that is left to a thread of its own. A process that ends meanwhile leaves nothing behind.
void closeAside(int descriptor);
/// Removes the file's name and leaves its pages to closeAside(); nothing where it is not there.
void discardFile(const std::filesystem::path& path);

/// The umask: bits of permission that new files and folders do not get.
mode_t currentMask();

/// Makes names in the folder last, where its file system can; an empty path is the working folder.
void syncFolder(const std::filesystem::path& folder);

} // namespace ql
