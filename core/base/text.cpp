// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/text.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace ql {

std::optional<double> parseDouble(std::string_view text)
{
    if (!text.empty() && text.front() == '+')
        text.remove_prefix(1);
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

std::optional<std::int64_t> parseInt(std::string_view text)
{
    std::int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size())
        return std::nullopt;
    return value;
}

std::optional<std::int64_t> parseBytes(std::string_view text)
{
    struct Unit {
        std::string_view name;
        double factor;
    };
    static constexpr std::array<Unit, 9> kUnits{{{"kib", 0x1p10},
                                                 {"mib", 0x1p20},
                                                 {"gib", 0x1p30},
                                                 {"tib", 0x1p40},
                                                 {"kb", 1e3},
                                                 {"mb", 1e6},
                                                 {"gb", 1e9},
                                                 {"tb", 1e12},
                                                 {"b", 1}}};
    const std::string lower = toLower(trim(text));
    std::string_view number = lower;
    double factor = 1;
    for (const Unit& unit : kUnits) {
        if (number.ends_with(unit.name)) {
            number.remove_suffix(unit.name.size());
            factor = unit.factor;
            break;
        }
    }
    const auto value = parseDouble(trim(number));
    if (!value || !(*value >= 0) || *value * factor > 0x1p62)
        return std::nullopt;
    return static_cast<std::int64_t>(std::llround(*value * factor));
}

namespace {
template<typename... Format>
std::string toChars(double value, Format... format)
{
    std::array<char, 512> buffer{};
    const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, format...);
    return {buffer.data(), error == std::errc{} ? end : buffer.data()};
}
} // namespace

std::string formatDouble(double value)
{
    if (std::isnan(value))
        return "nan";
    return toChars(value);
}

std::string formatFixed(double value, int decimals)
{
    if (!std::isfinite(value))
        return formatDouble(value);
    return toChars(value, std::chars_format::fixed, decimals);
}

std::string formatSignificant(double value, int digits)
{
    if (!std::isfinite(value))
        return formatDouble(value);
    return toChars(value, std::chars_format::general, digits);
}

std::string formatBytes(std::int64_t bytes)
{
    static constexpr std::array<std::string_view, 5> kUnits{"B", "kB", "MB", "GB", "TB"};
    double value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 999.95 && unit + 1 < kUnits.size()) {
        value /= 1000;
        ++unit;
    }
    return formatFixed(value, unit == 0 ? 0 : value < 9.995 ? 2 : 1) + " " + std::string(kUnits[unit]);
}

std::vector<std::string_view> split(std::string_view text, char separator)
{
    std::vector<std::string_view> parts;
    while (true) {
        const auto at = text.find(separator);
        parts.push_back(text.substr(0, at));
        if (at == std::string_view::npos)
            return parts;
        text.remove_prefix(at + 1);
    }
}

std::string_view trim(std::string_view text)
{
    constexpr std::string_view kSpace = " \t\r\n";
    const auto first = text.find_first_not_of(kSpace);
    if (first == std::string_view::npos)
        return {};
    return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

std::string toLower(std::string_view text)
{
    std::string lower(text);
    for (char& c : lower)
        if (c >= 'A' && c <= 'Z')
            c = static_cast<char>(c - 'A' + 'a');
    return lower;
}

std::string join(const std::vector<std::string>& parts, std::string_view separator)
{
    std::string joined;
    for (const std::string& part : parts) {
        if (&part != parts.data())
            joined += separator;
        joined += part;
    }
    return joined;
}

namespace {
/// Matches one pattern element at `p` against `c`; sets `next` behind the element.
bool matchOne(std::string_view pattern, std::size_t p, char c, std::size_t& next)
{
    next = p + 1;
    if (pattern[p] == '?')
        return true;
    if (pattern[p] != '[')
        return pattern[p] == c;
    const auto close = pattern.find(']', p + 2);
    if (close == std::string_view::npos)
        return c == '[';
    next = close + 1;
    const bool negated = pattern[p + 1] == '!';
    bool found = false;
    for (std::size_t i = p + 1 + (negated ? 1 : 0); i < close; ++i) {
        if (i + 2 < close && pattern[i + 1] == '-') {
            found |= pattern[i] <= c && c <= pattern[i + 2];
            i += 2;
        } else {
            found |= pattern[i] == c;
        }
    }
    return found != negated;
}
} // namespace

bool globMatch(std::string_view pattern, std::string_view name)
{
    std::size_t p = 0;
    std::size_t n = 0;
    std::size_t starPattern = std::string_view::npos;
    std::size_t starName = 0;
    while (n < name.size()) {
        std::size_t next = 0;
        if (p < pattern.size() && pattern[p] == '*') {
            starPattern = ++p;
            starName = n;
        } else if (p < pattern.size() && matchOne(pattern, p, name[n], next)) {
            p = next;
            ++n;
        } else if (starPattern != std::string_view::npos) {
            p = starPattern;
            n = ++starName;
        } else {
            return false;
        }
    }
    while (p < pattern.size() && pattern[p] == '*')
        ++p;
    return p == pattern.size();
}

std::string printable(std::string_view text)
{
    std::string out;
    for (std::size_t i = 0; i < text.size();) {
        const auto byte = static_cast<unsigned char>(text[i]);
        const std::size_t length = byte < 0x80                   ? 1
                                   : byte >= 0xc2 && byte < 0xe0 ? 2
                                   : byte >= 0xe0 && byte < 0xf0 ? 3
                                   : byte >= 0xf0 && byte < 0xf5 ? 4
                                                                 : 0;
        bool valid = length > 0 && i + length <= text.size();
        for (std::size_t k = 1; valid && k < length; ++k)
            valid = (static_cast<unsigned char>(text[i + k]) & 0xc0U) == 0x80;
        if (!valid) {
            out += "\uFFFD";
            ++i;
        } else {
            if (byte < 0x20 || byte == 0x7f)
                out += ' ';
            else
                out += text.substr(i, length);
            i += length;
        }
    }
    return out;
}

} // namespace ql
