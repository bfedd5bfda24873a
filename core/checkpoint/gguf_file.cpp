// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/checkpoint/gguf_file.h"

#include "core/base/text.h"

#include <algorithm>
#include <cstring>

namespace ql {

namespace {

constexpr std::size_t kShownElements = 8;
constexpr std::size_t kShownTextBytes = 16'384;

template<typename T>
T read(std::span<const std::byte> bytes, std::int64_t at)
{
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}

/// Width of a scalar; 0 for strings and arrays.
std::int64_t widthOf(GgufType type)
{
    switch (type) {
    case GgufType::u8:
    case GgufType::i8:
    case GgufType::boolean:
        return 1;
    case GgufType::u16:
    case GgufType::i16:
        return 2;
    case GgufType::u32:
    case GgufType::i32:
    case GgufType::f32:
        return 4;
    case GgufType::u64:
    case GgufType::i64:
    case GgufType::f64:
        return 8;
    case GgufType::string:
    case GgufType::array:
        break;
    }
    return 0;
}

std::optional<std::int64_t> integerAt(std::span<const std::byte> bytes, GgufType type, std::int64_t at)
{
    switch (type) {
    case GgufType::u8:
        return read<std::uint8_t>(bytes, at);
    case GgufType::i8:
        return read<std::int8_t>(bytes, at);
    case GgufType::u16:
        return read<std::uint16_t>(bytes, at);
    case GgufType::i16:
        return read<std::int16_t>(bytes, at);
    case GgufType::u32:
        return read<std::uint32_t>(bytes, at);
    case GgufType::i32:
        return read<std::int32_t>(bytes, at);
    case GgufType::i64:
        return read<std::int64_t>(bytes, at);
    case GgufType::u64: {
        const auto value = read<std::uint64_t>(bytes, at);
        return std::in_range<std::int64_t>(value) ? std::optional(static_cast<std::int64_t>(value)) : std::nullopt;
    }
    default:
        return std::nullopt;
    }
}

std::optional<double> numberAt(std::span<const std::byte> bytes, GgufType type, std::int64_t at)
{
    if (type == GgufType::f32)
        return static_cast<double>(read<float>(bytes, at));
    if (type == GgufType::f64)
        return read<double>(bytes, at);
    if (type == GgufType::u64)
        return static_cast<double>(read<std::uint64_t>(bytes, at));
    const auto value = integerAt(bytes, type, at);
    return value ? std::optional(static_cast<double>(*value)) : std::nullopt;
}

/// The string at `at`, which parsing has checked.
std::string_view stringAt(std::span<const std::byte> bytes, std::int64_t at)
{
    const auto length = read<std::uint64_t>(bytes, at);
    return {reinterpret_cast<const char*>(bytes.data()) + at + 8, static_cast<std::size_t>(length)};
}

/// Shortest decimal that reads back as the same float.
std::string formatFloat(float value)
{
    for (int digits = 1; digits < 9; ++digits) {
        std::string text = formatSignificant(static_cast<double>(value), digits);
        if (static_cast<float>(parseDouble(text).value_or(0)) == value)
            return text;
    }
    return formatSignificant(static_cast<double>(value), 9);
}

std::string describeScalar(std::span<const std::byte> bytes, GgufType type, std::int64_t at)
{
    if (type == GgufType::boolean)
        return read<std::uint8_t>(bytes, at) != 0 ? "true" : "false";
    if (type == GgufType::f32)
        return formatFloat(read<float>(bytes, at));
    if (type == GgufType::f64)
        return formatDouble(read<double>(bytes, at));
    if (type == GgufType::u64)
        return std::to_string(read<std::uint64_t>(bytes, at));
    if (type != GgufType::string)
        return std::to_string(integerAt(bytes, type, at).value_or(0));
    const std::string_view text = stringAt(bytes, at);
    return text.size() <= kShownTextBytes ? printable(text) : printable(text.substr(0, kShownTextBytes)) + "…";
}

} // namespace

const GgufEntry* GgufFile::find(std::string_view key) const
{
    const auto found = std::ranges::find(entries, key, &GgufEntry::key);
    return found == entries.end() ? nullptr : &*found;
}

std::optional<std::int64_t> GgufFile::integer(std::string_view key) const
{
    const GgufEntry* entry = find(key);
    return entry ? integerAt(file->bytes(), entry->type, entry->valueBegin) : std::nullopt;
}

std::optional<double> GgufFile::number(std::string_view key) const
{
    const GgufEntry* entry = find(key);
    return entry ? numberAt(file->bytes(), entry->type, entry->valueBegin) : std::nullopt;
}

std::optional<bool> GgufFile::boolean(std::string_view key) const
{
    const GgufEntry* entry = find(key);
    if (!entry || entry->type != GgufType::boolean)
        return std::nullopt;
    return read<std::uint8_t>(file->bytes(), entry->valueBegin) != 0;
}

std::optional<std::string_view> GgufFile::text(std::string_view key) const
{
    const GgufEntry* entry = find(key);
    if (!entry || entry->type != GgufType::string)
        return std::nullopt;
    return stringAt(file->bytes(), entry->valueBegin);
}

std::optional<std::vector<std::string_view>> GgufFile::texts(std::string_view key) const
{
    const GgufEntry* entry = find(key);
    if (!entry || entry->type != GgufType::array || entry->elementType != GgufType::string)
        return std::nullopt;
    std::vector<std::string_view> values;
    values.reserve(static_cast<std::size_t>(entry->count));
    std::int64_t at = entry->valueBegin;
    for (std::int64_t i = 0; i < entry->count; ++i) {
        values.push_back(stringAt(file->bytes(), at));
        at += 8 + std::ssize(values.back());
    }
    return values;
}

std::optional<std::vector<double>> GgufFile::numbers(std::string_view key) const
{
    const GgufEntry* entry = find(key);
    if (!entry || entry->type != GgufType::array)
        return std::nullopt;
    const std::int64_t width = widthOf(entry->elementType);
    if (width == 0 || entry->elementType == GgufType::boolean)
        return std::nullopt;
    std::vector<double> values(static_cast<std::size_t>(entry->count));
    for (std::int64_t i = 0; i < entry->count; ++i)
        values[static_cast<std::size_t>(i)] =
            numberAt(file->bytes(), entry->elementType, entry->valueBegin + i * width).value_or(0);
    return values;
}

std::span<const std::byte> GgufFile::raw(const GgufEntry& entry) const
{
    return file->bytes().subspan(static_cast<std::size_t>(entry.begin),
                                 static_cast<std::size_t>(entry.end - entry.begin));
}

std::span<const std::byte> GgufFile::data(const GgufTensor& tensor) const
{
    return file->bytes().subspan(static_cast<std::size_t>(tensor.offset), static_cast<std::size_t>(tensor.sizeBytes));
}

std::string GgufFile::describe(const GgufEntry& entry) const
{
    if (entry.type != GgufType::array)
        return describeScalar(file->bytes(), entry.type, entry.valueBegin);
    std::string shown = "[";
    std::int64_t at = entry.valueBegin;
    const auto count = std::min<std::int64_t>(entry.count, kShownElements);
    for (std::int64_t i = 0; i < count; ++i) {
        shown += (i > 0 ? ", " : "") + describeScalar(file->bytes(), entry.elementType, at);
        at += entry.elementType == GgufType::string ? 8 + std::ssize(stringAt(file->bytes(), at))
                                                    : widthOf(entry.elementType);
    }
    return shown + (entry.count > count ? ", … " + std::to_string(entry.count) + " in all]" : "]");
}

bool looksLikeGguf(std::span<const std::byte> head)
{
    return head.size() >= 4 && std::memcmp(head.data(), "GGUF", 4) == 0;
}

} // namespace ql
