// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/npz.h"

#include "core/base/checked.h"
#include "core/base/text.h"

#include <zlib.h>

#include <algorithm>
#include <array>

namespace ql {

namespace {

constexpr std::uint32_t kMax32 = 0xffffffffU;
constexpr std::uint16_t kVersion = 45;                           // of the zip specification: 64-bit extensions
constexpr std::uint16_t kDosDate = (0U << 9U) | (1U << 5U) | 1U; // 1980-01-01: equal input, equal bytes

/// Little-endian fields of a zip record.
class Record {
public:
    Record& u16(std::uint64_t value) { return put(value, 2); }
    Record& u32(std::uint64_t value) { return put(value, 4); }
    Record& u64(std::uint64_t value) { return put(value, 8); }
    Record& text(std::string_view value)
    {
        m_bytes += value;
        return *this;
    }
    std::span<const std::byte> bytes() const { return std::as_bytes(std::span(m_bytes.data(), m_bytes.size())); }
    const std::string& string() const { return m_bytes; }

private:
    Record& put(std::uint64_t value, unsigned count)
    {
        for (unsigned i = 0; i < count; ++i)
            m_bytes += static_cast<char>((value >> (8 * i)) & 0xffU);
        return *this;
    }
    std::string m_bytes;
};

struct Word {
    std::string_view word, descr;
    int bytes;
};
constexpr std::array<Word, 14> kWords{{{"b1", "|b1", 1},
                                       {"i1", "|i1", 1},
                                       {"i2", "<i2", 2},
                                       {"i4", "<i4", 4},
                                       {"i8", "<i8", 8},
                                       {"u1", "|u1", 1},
                                       {"u2", "<u2", 2},
                                       {"u4", "<u4", 4},
                                       {"u8", "<u8", 8},
                                       {"f2", "<f2", 2},
                                       {"f4", "<f4", 4},
                                       {"f8", "<f8", 8},
                                       {"c8", "<c8", 8},
                                       {"c16", "<c16", 16}}};

std::string npyHeader(std::string_view descr, std::span<const std::int64_t> shape)
{
    std::string dictionary = "{'descr': '" + std::string(descr) + "', 'fortran_order': False, 'shape': (";
    for (const std::int64_t dimension : shape)
        dictionary += std::to_string(dimension) + ", ";
    if (shape.size() > 1)
        dictionary.resize(dictionary.size() - 2);
    else if (shape.size() == 1)
        dictionary.pop_back();
    dictionary += "), }";
    // Magic, version, length and text together are a multiple of 64, ended by a line feed.
    const auto total = static_cast<std::size_t>(roundUp(static_cast<std::int64_t>(dictionary.size()) + 11, 64));
    dictionary.resize(total - 11, ' ');
    dictionary += '\n';
    return Record().text("\x93NUMPY").u16(1).u16(dictionary.size()).text(dictionary).string();
}

std::uint64_t capped(std::int64_t value)
{
    return value >= std::int64_t{kMax32} ? kMax32 : static_cast<std::uint64_t>(value);
}

std::uint32_t flagsOf(std::string_view name)
{
    const bool ascii =
        std::all_of(name.begin(), name.end(), [](char c) { return static_cast<unsigned char>(c) < 128; });
    return ascii ? 0 : 0x800; // names are UTF-8
}

} // namespace

Result<NpzWriter> NpzWriter::create(const std::filesystem::path& path)
{
    QL_TRY(file, AtomicFile::create(path));
    return NpzWriter(std::move(file));
}

Result<void> NpzWriter::put(std::span<const std::byte> bytes)
{
    Member& member = m_members.back();
    for (std::size_t done = 0; done < bytes.size();) {
        const std::size_t part = std::min<std::size_t>(bytes.size() - done, std::size_t{1} << 30U);
        member.crc = static_cast<std::uint32_t>(
            ::crc32(member.crc, reinterpret_cast<const Bytef*>(bytes.data() + done), static_cast<uInt>(part)));
        done += part;
    }
    return m_file.write(bytes);
}

Result<void> NpzWriter::begin(std::string_view name, std::string_view dtype, std::span<const std::int64_t> shape)
{
    assert(!m_open);
    const auto* word = std::find_if(kWords.begin(), kWords.end(), [&](const Word& row) { return row.word == dtype; });
    assert(word != kWords.end());
    std::int64_t bytes = word->bytes;
    for (const std::int64_t dimension : shape) {
        const auto product = mulChecked(bytes, dimension);
        if (!product)
            return badInput("has a shape that overflows", std::string(name));
        bytes = *product;
    }
    const std::string header = npyHeader(word->descr, shape);
    if (name.size() > 65000 || header.size() > 65000)
        return refused("has a name or shape too long for a .npz archive", printable(name.substr(0, 100)));
    if (!m_names.emplace(name).second)
        return refused("occurs twice; every array of a .npz archive has its own name", printable(name));

    Member member;
    member.name = std::string(name) + ".npy";
    member.sizeBytes = bytes + static_cast<std::int64_t>(header.size());
    member.offset = m_file.sizeBytes();
    const bool large = member.sizeBytes >= std::int64_t{kMax32};
    Record record;
    record.text("PK\x03\x04").u16(kVersion).u16(flagsOf(name)).u16(0).u16(0).u16(kDosDate).u32(0); // CRC comes later
    record.u32(capped(member.sizeBytes)).u32(capped(member.sizeBytes)).u16(member.name.size()).u16(large ? 20 : 0);
    record.text(member.name);
    const auto size = static_cast<std::uint64_t>(member.sizeBytes);
    if (large)
        record.u16(1).u16(16).u64(size).u64(size);
    QL_CHECK(m_file.write(record.bytes()));
    m_members.push_back(std::move(member));
    m_missing = bytes;
    m_open = true;
    return put(std::as_bytes(std::span(header.data(), header.size())));
}

Result<void> NpzWriter::append(std::span<const std::byte> bytes)
{
    assert(m_open && std::ssize(bytes) <= m_missing);
    m_missing -= std::ssize(bytes);
    return put(bytes);
}

Result<void> NpzWriter::finish()
{
    assert(m_open);
    if (m_missing != 0)
        return Error{Errc::io, "is incomplete: " + formatBytes(m_missing) + " are missing", m_members.back().name};
    m_open = false;
    constexpr std::int64_t kCrcAt = 14; // in the local header
    return m_file.overwrite(m_members.back().offset + kCrcAt, Record().u32(m_members.back().crc).bytes());
}

Result<void> NpzWriter::add(std::string_view name, std::string_view dtype, std::span<const std::int64_t> shape,
                            std::span<const std::byte> bytes)
{
    QL_CHECK(begin(name, dtype, shape));
    QL_CHECK(append(bytes));
    return finish();
}

Result<void> NpzWriter::commit()
{
    assert(!m_open);
    const std::int64_t directory = m_file.sizeBytes();
    for (const Member& member : m_members) {
        const bool large = member.sizeBytes >= std::int64_t{kMax32};
        const bool far = member.offset >= std::int64_t{kMax32};
        Record extra;
        if (large || far) {
            extra.u16(1).u16((large ? 16U : 0U) + (far ? 8U : 0U));
            if (large)
                extra.u64(static_cast<std::uint64_t>(member.sizeBytes))
                    .u64(static_cast<std::uint64_t>(member.sizeBytes));
            if (far)
                extra.u64(static_cast<std::uint64_t>(member.offset));
        }
        constexpr std::uint16_t kUnix = 3U << 8U;
        constexpr std::uint32_t kRegularFile = 0100644U << 16U;
        Record record;
        record.text("PK\x01\x02").u16(kUnix | kVersion).u16(kVersion).u16(flagsOf(member.name)).u16(0);
        record.u16(0).u16(kDosDate).u32(member.crc).u32(capped(member.sizeBytes)).u32(capped(member.sizeBytes));
        record.u16(member.name.size()).u16(extra.string().size()).u16(0).u16(0).u16(0).u32(kRegularFile);
        record.u32(capped(member.offset)).text(member.name).text(extra.string());
        QL_CHECK(m_file.write(record.bytes()));
    }
    const std::int64_t end = m_file.sizeBytes();
    const auto directoryBytes = static_cast<std::uint64_t>(end - directory);
    const auto count = static_cast<std::uint64_t>(m_members.size());
    Record record;
    if (end >= std::int64_t{kMax32} || count >= 0xffff) {
        record.text("PK\x06\x06").u64(44).u16(kVersion).u16(kVersion).u32(0).u32(0).u64(count).u64(count);
        record.u64(directoryBytes).u64(static_cast<std::uint64_t>(directory));
        record.text(std::string_view("PK\x06\x07")).u32(0).u64(static_cast<std::uint64_t>(end)).u32(1);
    }
    const auto count16 = std::min<std::uint64_t>(count, 0xffff);
    record.text("PK\x05\x06").u16(0).u16(0).u16(count16).u16(count16);
    record.u32(std::min<std::uint64_t>(directoryBytes, kMax32)).u32(capped(directory)).u16(0);
    QL_CHECK(m_file.write(record.bytes()));
    return m_file.commit();
}

} // namespace ql
