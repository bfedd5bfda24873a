// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/checkpoint/zip_archive.h"

#include "core/base/inflater.h"
#include "core/base/text.h"
#include "core/checkpoint/tensor_names.h"
#include "core/jobs/parallel.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>

namespace ql {

namespace {

using Bytes = std::span<const std::byte>;

std::uint64_t littleEndian(Bytes bytes, std::size_t at, unsigned count)
{
    std::uint64_t value = 0;
    for (unsigned i = 0; i < count; ++i)
        value |= static_cast<std::uint64_t>(bytes[at + i]) << (8 * i);
    return value;
}
std::uint32_t u16(Bytes bytes, std::size_t at)
{
    return static_cast<std::uint32_t>(littleEndian(bytes, at, 2));
}
std::uint32_t u32(Bytes bytes, std::size_t at)
{
    return static_cast<std::uint32_t>(littleEndian(bytes, at, 4));
}
std::uint64_t u64(Bytes bytes, std::size_t at)
{
    return littleEndian(bytes, at, 8);
}

constexpr std::uint32_t kLocal = 0x04034b50;
constexpr std::uint32_t kCentral = 0x02014b50;
constexpr std::uint32_t kEnd = 0x06054b50;
constexpr std::uint32_t kEnd64 = 0x06064b50;
constexpr std::uint32_t kEnd64Locator = 0x07064b50;
constexpr std::uint32_t kMax32 = 0xffffffffU;

struct Extent {
    std::uint64_t offset = 0, sizeBytes = 0, count = 0;
};

/// Where the directory is, from the record at the end of the file.
Result<Extent> findDirectory(Bytes archive, const std::string& where)
{
    constexpr std::size_t kEndBytes = 22;
    constexpr std::size_t kMaxComment = 65535;
    const Error none =
        badInput("is truncated or no zip archive: its directory is missing at the end. Get the file again", where);
    if (archive.size() < kEndBytes)
        return none;
    std::size_t at = archive.size() - kEndBytes;
    const std::size_t last = at - std::min(at, kMaxComment);
    while (u32(archive, at) != kEnd || at + kEndBytes + u16(archive, at + 20) > archive.size()) {
        if (at == last)
            return none;
        --at;
    }
    Extent directory{u32(archive, at + 16), u32(archive, at + 12), u16(archive, at + 10)};
    if (u16(archive, at + 4) != 0 || u16(archive, at + 6) != 0)
        return badInput("is one part of a split archive; join the parts", where);
    if (directory.offset == kMax32 || directory.sizeBytes == kMax32 || directory.count == 0xffff) {
        if (at >= 20 && u32(archive, at - 20) == kEnd64Locator) {
            const std::uint64_t end64 = u64(archive, at - 12);
            if (end64 > archive.size() || archive.size() - end64 < 56 ||
                u32(archive, static_cast<std::size_t>(end64)) != kEnd64)
                return badInput("has a damaged 64-bit directory. Get the file again", where);
            const auto record = static_cast<std::size_t>(end64);
            directory = {u64(archive, record + 48), u64(archive, record + 40), u64(archive, record + 32)};
            at = record;
        }
    }
    if (directory.offset > at || directory.sizeBytes > at - directory.offset ||
        directory.count > directory.sizeBytes / 46)
        return badInput("has a damaged directory: it does not fit the file. Get the file again", where);
    return directory;
}

struct Central {
    ZipMember member;
    std::uint64_t localOffset = 0;
    std::size_t bytes = 0; // of the record
};

Result<Central> parseCentral(Bytes record, const std::string& where)
{
    const Error damaged = badInput("has a damaged directory. Get the file again", where);
    if (record.size() < 46 || u32(record, 0) != kCentral)
        return damaged;
    const std::size_t nameBytes = u16(record, 28);
    const std::size_t extraBytes = u16(record, 30);
    Central found;
    found.bytes = 46 + nameBytes + extraBytes + u16(record, 32);
    if (found.bytes > record.size())
        return damaged;
    ZipMember& member = found.member;
    member.name.assign(reinterpret_cast<const char*>(record.data()) + 46, nameBytes);
    const std::string shown = where + ": " + printable(member.name.substr(0, 200));
    const std::uint32_t flags = u16(record, 8);
    if ((flags & 0x2041U) != 0)
        return badInput("is encrypted; unpack the archive and pack it again without a password", shown);
    const std::uint32_t method = u16(record, 10);
    if (method != 0 && method != 8)
        return badInput("is packed by method " + std::to_string(method) +
                            "; only stored and deflated members are known. Write it with numpy.savez",
                        shown);
    member.deflated = method == 8;
    member.crc = u32(record, 16);
    std::uint64_t compressed = u32(record, 20);
    std::uint64_t size = u32(record, 24);
    found.localOffset = u32(record, 42);
    // The 64-bit extra field holds, in this order, those of the three that are all ones.
    const Bytes extra = record.subspan(46 + nameBytes, extraBytes);
    for (std::size_t at = 0; at + 4 <= extra.size();) {
        const std::size_t fieldBytes = u16(extra, at + 2);
        if (at + 4 + fieldBytes > extra.size())
            break;
        if (u16(extra, at) == 1) {
            std::size_t from = at + 4;
            for (std::uint64_t* value : {&size, &compressed, &found.localOffset}) {
                if (*value != kMax32)
                    continue;
                if (from + 8 > at + 4 + fieldBytes)
                    return damaged;
                *value = u64(extra, from);
                from += 8;
            }
            break;
        }
        at += 4 + fieldBytes;
    }
    if (!std::in_range<std::int64_t>(size) || !std::in_range<std::int64_t>(compressed))
        return damaged;
    member.sizeBytes = static_cast<std::int64_t>(size);
    member.compressedBytes = static_cast<std::int64_t>(compressed);
    const bool plausible = member.deflated ? member.sizeBytes / kMaxDeflateRatio <= member.compressedBytes
                                           : member.sizeBytes == member.compressedBytes;
    if (!plausible)
        return badInput("claims to unpack " + formatBytes(member.compressedBytes) + " to " +
                            formatBytes(member.sizeBytes) + ", which is impossible; the file is damaged or hostile",
                        shown);
    return found;
}

Bytes dataOf(Bytes archive, const ZipMember& member)
{
    return archive.subspan(static_cast<std::size_t>(member.dataOffset),
                           static_cast<std::size_t>(member.compressedBytes));
}

std::uint32_t crcOf(Bytes bytes, std::uint32_t start = 0)
{
    return static_cast<std::uint32_t>(
        ::crc32_z(start, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<z_size_t>(bytes.size())));
}

Error wrongChecksum()
{
    return badInput("its checksum is wrong: the data are damaged. Get the file again", {});
}

} // namespace

Result<ZipDirectory> readZipDirectory(std::span<const std::byte> archive, const std::string& where)
{
    QL_TRY(extent, findDirectory(archive, where));
    if (extent.count > static_cast<std::uint64_t>(kMaxTensors))
        return badInput("lists " + std::to_string(extent.count) + " members, more than any model has", where);
    ZipDirectory directory;
    directory.offset = static_cast<std::int64_t>(extent.offset);
    Bytes rest = archive.subspan(static_cast<std::size_t>(extent.offset), static_cast<std::size_t>(extent.sizeBytes));
    std::vector<std::pair<std::uint64_t, std::uint64_t>> ranges;
    for (std::uint64_t i = 0; i < extent.count; ++i) {
        QL_TRY(found, parseCentral(rest, where));
        rest = rest.subspan(found.bytes);
        const std::string shown = where + ": " + printable(found.member.name.substr(0, 200));
        const std::uint64_t local = found.localOffset;
        if (local > extent.offset || extent.offset - local < 30 ||
            u32(archive, static_cast<std::size_t>(local)) != kLocal)
            return badInput("its place in the archive is damaged. Get the file again", shown);
        const std::uint64_t data = local + 30 + u16(archive, static_cast<std::size_t>(local) + 26) +
                                   u16(archive, static_cast<std::size_t>(local) + 28);
        const auto compressed = static_cast<std::uint64_t>(found.member.compressedBytes);
        if (data > extent.offset || compressed > extent.offset - data)
            return badInput("its data reach beyond the archive, which is truncated or damaged. Get the file again",
                            shown);
        found.member.dataOffset = static_cast<std::int64_t>(data);
        ranges.emplace_back(local, data + compressed);
        if (!found.member.name.ends_with('/'))
            directory.members.push_back(std::move(found.member));
    }
    std::ranges::sort(ranges);
    for (std::size_t i = 1; i < ranges.size(); ++i)
        if (ranges[i].first < ranges[i - 1].second)
            return badInput("has members that overlap, as in an archive bomb; write the file anew", where);
    return directory;
}

Result<void> readZipStart(std::span<const std::byte> archive, const ZipMember& member, std::span<std::byte> out)
{
    const Bytes data = dataOf(archive, member);
    const bool complete =
        member.deflated ? Inflater(data, Inflater::Format::raw).read(out) == out.size() : data.size() >= out.size();
    if (!complete)
        return badInput("is truncated or damaged. Get the file again", {});
    if (!member.deflated)
        std::memcpy(out.data(), data.data(), out.size());
    return {};
}

Result<void> inflateZipMember(std::span<const std::byte> archive, const ZipMember& member, std::int64_t skip,
                              std::span<std::byte> out, const JobContext& context)
{
    constexpr std::size_t kPiece = std::size_t{1} << 20U; // some 5 ms
    Inflater inflater(dataOf(archive, member), Inflater::Format::raw);
    const Error damaged = badInput("its compressed data are damaged. Get the file again", {});
    std::vector<std::byte> skipped(static_cast<std::size_t>(skip));
    if (inflater.read(skipped) != skipped.size())
        return damaged;
    std::uint32_t crc = crcOf(skipped);
    for (std::size_t done = 0; done < out.size();) {
        QL_CHECK(context.checkStop());
        const auto piece = out.subspan(done, std::min(kPiece, out.size() - done));
        if (inflater.read(piece) != piece.size())
            return damaged;
        crc = crcOf(piece, crc);
        done += piece.size();
    }
    if (!inflater.exhausted())
        return badInput("unpacks to more than it claims; the file is damaged", {});
    if (crc != member.crc)
        return wrongChecksum();
    return {};
}

Result<void> checkStoredZipMember(std::span<const std::byte> archive, const ZipMember& member,
                                  const JobContext& context)
{
    constexpr std::int64_t kPiece = std::int64_t{1} << 22U;
    const Bytes data = dataOf(archive, member);
    std::vector<std::uint32_t> parts(static_cast<std::size_t>(ceilDiv(std::ssize(data), kPiece)));
    QL_CHECK(parallelFor(context, std::ssize(data), kPiece, [&](std::int64_t begin, std::int64_t end) {
        parts[static_cast<std::size_t>(begin / kPiece)] =
            crcOf(data.subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(end - begin)));
    }));
    std::uint32_t crc = crcOf({});
    for (std::size_t i = 0; i < parts.size(); ++i) {
        const std::int64_t bytes = std::min(kPiece, std::ssize(data) - static_cast<std::int64_t>(i) * kPiece);
        crc = static_cast<std::uint32_t>(::crc32_combine(crc, parts[i], static_cast<z_off_t>(bytes)));
    }
    if (crc != member.crc)
        return wrongChecksum();
    return {};
}

} // namespace ql
