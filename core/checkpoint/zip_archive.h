// SPDX-License-Identifier: GPL-3.0-or-later
// The directory of a zip archive in memory, and its members: stored ones as a view, deflated ones through zlib. Written
// here and not taken from libzip because stored members are to be views of the mapping, any thread may read any member,
// and limits must be checked before anything is unpacked: members that overlap (an archive bomb), ratios no deflate
// stream reaches, sizes that do not fit the file. Encrypted and split archives are refused. Source: PKWARE APPNOTE 6.3.
#pragma once

#include "core/jobs/job_context.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace ql {

struct ZipMember {
    std::string name;
    bool deflated = false;
    std::uint32_t crc = 0;
    std::int64_t sizeBytes = 0;       // unpacked
    std::int64_t compressedBytes = 0; // in the archive
    std::int64_t dataOffset = 0;
};

struct ZipDirectory {
    std::vector<ZipMember> members; // in the directory's order, folders left out
    std::int64_t offset = 0;        // of the directory
};

/// At most 1032 bytes come of one byte deflated; a little slack for tiny members.
inline constexpr std::int64_t kMaxDeflateRatio = 1100;

Result<ZipDirectory> readZipDirectory(std::span<const std::byte> archive, const std::string& where);

/// The first out.size() unpacked bytes of a member.
Result<void> readZipStart(std::span<const std::byte> archive, const ZipMember& member, std::span<std::byte> out);
/// All unpacked bytes from `skip` on to `out`, checking length and checksum of the whole member. Can be stopped.
Result<void> inflateZipMember(std::span<const std::byte> archive, const ZipMember& member, std::int64_t skip,
                              std::span<std::byte> out, const JobContext& context);
/// Compares the checksum of a stored member. Parallel; can be stopped.
Result<void> checkStoredZipMember(std::span<const std::byte> archive, const ZipMember& member,
                                  const JobContext& context);

} // namespace ql
