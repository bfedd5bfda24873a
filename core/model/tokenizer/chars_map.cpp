// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/tokenizer/chars_map.h"

#include "core/model/tokenizer/unicode_text.h"

#include <unicode/brkiter.h>
#include <unicode/unistr.h>

#include <array>
#include <cstring>

namespace ql::tok {

namespace {

std::optional<std::string> fromBase64(std::string_view text)
{
    std::string bytes;
    std::uint32_t bits = 0;
    unsigned count = 0;
    while (text.ends_with('='))
        text.remove_suffix(1);
    for (const char c : text) {
        const bool upper = c >= 'A' && c <= 'Z';
        const bool lower = c >= 'a' && c <= 'z';
        const bool digit = c >= '0' && c <= '9';
        if (!upper && !lower && !digit && c != '+' && c != '/')
            return std::nullopt;
        const int value = upper ? c - 'A' : lower ? c - 'a' + 26 : digit ? c - '0' + 52 : c == '+' ? 62 : 63;
        bits = (bits << 6U) | static_cast<std::uint32_t>(value);
        count += 6;
        if (count >= 8) {
            count -= 8;
            bytes += static_cast<char>((bits >> count) & 0xffU);
        }
    }
    return bytes;
}

} // namespace

Result<CharsMap> CharsMap::decode(std::string_view base64, const std::string& where)
{
    const auto bytes = fromBase64(base64);
    if (!bytes)
        return badInput("has a precompiled_charsmap that is not base64", where);
    return read(*bytes, where);
}

Result<CharsMap> CharsMap::read(std::string_view bytes, const std::string& where)
{
    CharsMap map;
    if (bytes.empty())
        return map;
    std::uint32_t size = 0;
    if (bytes.size() >= sizeof size)
        std::memcpy(&size, bytes.data(), sizeof size);
    if (bytes.size() < sizeof size || size > bytes.size() - sizeof size || size % 4 != 0)
        return badInput("has a precompiled_charsmap whose trie is longer than itself", where);
    map.m_units.resize(size / 4);
    std::memcpy(map.m_units.data(), bytes.data() + sizeof size, size);
    map.m_replacements = bytes.substr(sizeof size + size);
    return map;
}

std::optional<CharsMap::Replaced> CharsMap::find(std::string_view text, bool shortest) const
{
    const auto offset = [](std::uint32_t unit) { return (unit >> 10U) << ((unit & (1U << 9U)) >> 6U); };
    std::optional<Replaced> found;
    if (m_units.empty())
        return found;
    std::size_t node = offset(m_units[0]);
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        node ^= byte;
        if (byte == 0 || node >= m_units.size() || (m_units[node] & 0x800000ffU) != byte)
            break;
        const bool leaf = ((m_units[node] >> 8U) & 1U) != 0;
        node ^= offset(m_units[node]);
        if (!leaf)
            continue;
        const std::size_t at = node < m_units.size() ? m_units[node] & 0x7fffffffU : m_replacements.size();
        const std::size_t end = at < m_replacements.size() ? m_replacements.find('\0', at) : std::string::npos;
        if (end == std::string::npos)
            break;
        found = Replaced{std::string_view(m_replacements).substr(at, end - at), i + 1};
        if (shortest)
            break;
    }
    return found;
}

std::string CharsMap::normalizeGraphemes(std::string_view text) const
{
    constexpr std::size_t kLongestCluster = 6; // below it: as the source says, found by trial
    std::string out;
    out.reserve(text.size());
    const auto part = [&](std::string_view cluster) {
        if (cluster.size() < kLongestCluster) {
            if (const auto replaced = find(cluster, true)) {
                out += replaced->by;
                return;
            }
        }
        for (std::size_t at = 0; at < cluster.size();) {
            const std::size_t start = at;
            nextCodePoint(cluster, at);
            const std::string_view character = cluster.substr(start, at - start);
            const auto replaced = find(character, true);
            out += replaced ? replaced->by : character;
        }
    };
    UErrorCode status = U_ZERO_ERROR;
    const std::unique_ptr<icu::BreakIterator> clusters(
        icu::BreakIterator::createCharacterInstance(icu::Locale::getRoot(), status));
    UText source = UTEXT_INITIALIZER;
    utext_openUTF8(&source, text.data(), static_cast<std::int64_t>(text.size()), &status);
    clusters->setText(&source, status);
    std::size_t begin = 0;
    for (auto end = clusters->next(); end != icu::BreakIterator::DONE; end = clusters->next()) {
        part(text.substr(begin, static_cast<std::size_t>(end) - begin));
        begin = static_cast<std::size_t>(end);
    }
    utext_close(&source);
    return out;
}

} // namespace ql::tok
