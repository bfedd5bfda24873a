// SPDX-License-Identifier: GPL-3.0-or-later
// Files that are written in pieces go to the disk piece by piece too: an fsync at the end of gigabytes cannot be
// stopped and holds its caller for as long as all of them take.
#pragma once

#include <fcntl.h>

#include <cstdint>

namespace ql {

/// Begins to write these bytes of an open file to the disk and does not wait for it. Advice only: errors show in the
/// fsync that a safe file needs anyway. Safe to call from any thread.
inline void startWriteBack(int descriptor, std::int64_t offset, std::int64_t sizeBytes)
{
    ::sync_file_range(descriptor, offset, sizeBytes, SYNC_FILE_RANGE_WRITE);
}

} // namespace ql
