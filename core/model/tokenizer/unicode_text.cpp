// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/tokenizer/unicode_text.h"

#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include <array>
#include <cassert>
#include <charconv>

namespace ql::tok {

namespace {

bool hasCategory(CodePoint c, std::uint32_t mask)
{
    return (U_GET_GC_MASK(c) & mask) != 0;
}

struct ByteAlphabet {
    std::array<std::string, 256> characters;
    std::array<std::int16_t, 0x144> bytes{}; // of code points; -1: none
    ByteAlphabet()
    {
        bytes.fill(-1);
        CodePoint next = 0x100;
        for (int byte = 0; byte < 256; ++byte) {
            const bool printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
            const CodePoint c = printable ? byte : next++;
            append(characters[static_cast<std::size_t>(byte)], c);
            bytes[static_cast<std::size_t>(c)] = static_cast<std::int16_t>(byte);
        }
    }
};

const ByteAlphabet& byteAlphabet()
{
    static const ByteAlphabet kAlphabet;
    return kAlphabet;
}

/// The code point that llama.cpp reads at `at`, which moves on; -1 for what starts none, and `at` moves one byte.
CodePoint readLoosely(std::string_view text, std::size_t& at)
{
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(at);
    const std::size_t length = announcedLength(text[at]);
    const bool starts = first < 0x80 || (first >= 0xc0 && first < 0xf8);
    if (!starts || text.size() - at < length) {
        ++at;
        return -1;
    }
    CodePoint c = length == 1 ? first : first & (0x7f >> length);
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(at + i) & 0xc0) != 0x80) {
            ++at;
            return -1;
        }
        c = (c << 6) | (byte(at + i) & 0x3f);
    }
    at += length;
    return c;
}

} // namespace

CodePoint nextCodePoint(std::string_view text, std::size_t& at)
{
    CodePoint c = 0;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
    auto i = static_cast<std::int64_t>(at);
    U8_NEXT_OR_FFFD(bytes, i, static_cast<std::int64_t>(text.size()), c);
    at = static_cast<std::size_t>(i);
    return c;
}

void append(std::string& text, CodePoint c)
{
    std::array<std::uint8_t, U8_MAX_LENGTH> bytes{};
    std::int32_t length = 0;
    [[maybe_unused]] bool failed = false; // is no code point
    U8_APPEND(bytes.data(), length, U8_MAX_LENGTH, static_cast<std::uint32_t>(c), failed);
    text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<std::size_t>(length));
}

std::int64_t countCodePoints(std::string_view text)
{
    std::int64_t count = 0;
    for (const char c : text)
        count += (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    return count;
}

std::string repairUtf8(std::string_view text, std::int64_t& replaced)
{
    std::string repaired;
    repaired.reserve(text.size());
    replaced = 0;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(text.data());
    const auto size = static_cast<std::int64_t>(text.size());
    for (std::int64_t at = 0; at < size;) {
        const std::int64_t start = at;
        CodePoint c = 0;
        U8_NEXT(bytes, at, size, c);
        replaced += c < 0;
        repaired +=
            c < 0 ? kReplacement : text.substr(static_cast<std::size_t>(start), static_cast<std::size_t>(at - start));
    }
    return repaired;
}

std::string repairLikeLlama(std::string_view text, std::int64_t& replaced)
{
    std::string repaired;
    repaired.reserve(text.size());
    replaced = 0;
    for (std::size_t at = 0; at < text.size();) {
        const CodePoint c = readLoosely(text, at);
        const bool valid = c >= 0 && c <= 0x10ffff && !U_IS_SURROGATE(static_cast<std::uint32_t>(c));
        replaced += !valid;
        append(repaired, valid ? c : 0xfffd);
    }
    return repaired;
}

bool isWhitespace(CodePoint c)
{
    return u_isUWhiteSpace(c);
}
bool isNumber(CodePoint c)
{
    return hasCategory(c, U_GC_N_MASK);
}
bool isMark(CodePoint c)
{
    return hasCategory(c, U_GC_M_MASK);
}
bool isNonspacingMark(CodePoint c)
{
    return hasCategory(c, U_GC_MN_MASK);
}
bool isPunctuation(CodePoint c)
{
    return hasCategory(c, U_GC_P_MASK) || (c < 0x7f && hasCategory(c, U_GC_S_MASK));
}
bool isWordCharacter(CodePoint c)
{
    return u_hasBinaryProperty(c, UCHAR_ALPHABETIC) || u_hasBinaryProperty(c, UCHAR_JOIN_CONTROL) ||
           hasCategory(c, U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK);
}
bool isControl(CodePoint c)
{
    return hasCategory(c, U_GC_CC_MASK | U_GC_CF_MASK | U_GC_CO_MASK | U_GC_CS_MASK);
}

bool isBertIdeograph(CodePoint c)
{
    return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
           (c >= 0x2a700 && c <= 0x2b73f) || (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
           (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

void appendLower(std::string& text, CodePoint c)
{
    if (c == 0x130) // the only one whose full lower case is longer: i and a combining dot
        text += "i\u0307";
    else
        append(text, u_tolower(c));
}

CodePoint simpleLower(CodePoint c)
{
    return u_tolower(c);
}

CodePoint decompositionStart(CodePoint c)
{
    UErrorCode status = U_ZERO_ERROR;
    const icu::Normalizer2* nfd = icu::Normalizer2::getNFDInstance(status);
    assert(U_SUCCESS(status));
    icu::UnicodeString decomposed;
    return nfd->getDecomposition(c, decomposed) ? decomposed.char32At(0) : c;
}

std::string_view byteCharacter(unsigned char byte)
{
    return byteAlphabet().characters[byte];
}

std::string toByteCharacters(std::string_view bytes)
{
    std::string text;
    text.reserve(bytes.size() + bytes.size() / 2);
    for (const char byte : bytes)
        text += byteCharacter(static_cast<unsigned char>(byte));
    return text;
}

std::optional<std::string> fromByteCharacters(std::string_view text)
{
    std::string bytes;
    for (std::size_t at = 0; at < text.size();) {
        const auto c = static_cast<std::size_t>(nextCodePoint(text, at));
        const auto& table = byteAlphabet().bytes;
        if (c >= table.size() || table[c] < 0)
            return std::nullopt;
        bytes += static_cast<char>(table[c]);
    }
    return bytes;
}

std::optional<unsigned char> byteOfPiece(std::string_view piece)
{
    if (piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>')
        return std::nullopt;
    unsigned value = 0;
    const auto [end, error] = std::from_chars(piece.data() + 3, piece.data() + 5, value, 16);
    return error == std::errc{} && end == piece.data() + 5 ? std::optional(static_cast<unsigned char>(value))
                                                           : std::nullopt;
}

std::string pieceOfByte(unsigned char byte)
{
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    return {'<', '0', 'x', kDigits[byte >> 4U], kDigits[byte & 15U], '>'};
}

std::string replaceAll(std::string_view text, std::string_view from, std::string_view to)
{
    std::string replaced;
    std::size_t at = 0;
    for (std::size_t found = text.find(from); found != std::string_view::npos; found = text.find(from, at)) {
        replaced.append(text.substr(at, found - at)).append(to);
        at = found + from.size();
    }
    return replaced.append(text.substr(at));
}

} // namespace ql::tok
