// SPDX-License-Identifier: GPL-3.0-or-later
// What tokenizers need of Unicode, over UTF-8 and by ICU: code points, classes, the byte alphabet of GPT-2 and repair
// of bytes that are no UTF-8. Functions that read code points want valid UTF-8 unless they say otherwise. Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace ql::tok {

using CodePoint = std::int32_t;

constexpr std::string_view kMetaspace = "\xe2\x96\x81";   // U+2581, SentencePiece's blank
constexpr std::string_view kReplacement = "\xef\xbf\xbd"; // U+FFFD

/// Length of the sequence that a first byte announces, by its high bits alone; 1 for a byte that starts none.
inline std::size_t announcedLength(char first)
{
    const auto byte = static_cast<unsigned char>(first);
    return byte < 0xc0 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

/// The code point at `at`, which moves behind it.
CodePoint nextCodePoint(std::string_view text, std::size_t& at);
void append(std::string& text, CodePoint c);
std::int64_t countCodePoints(std::string_view text);

/// Replaces each maximal part of an ill-formed sequence by U+FFFD, as WHATWG and Python's errors="replace" do;
/// `replaced` counts them.
std::string repairUtf8(std::string_view text, std::int64_t& replaced);
/// As llama.cpp reads text into code points: overlong forms are read for what they spell, and each byte that starts no
/// sequence becomes U+FFFD. What no code point can be (surrogates, above U+10FFFF) becomes U+FFFD too: llama.cpp keeps
/// the first and throws at the second.
std::string repairLikeLlama(std::string_view text, std::int64_t& replaced);

bool isWhitespace(CodePoint c); // White_Space
bool isNumber(CodePoint c);     // N
bool isMark(CodePoint c);       // M
bool isNonspacingMark(CodePoint c);
bool isPunctuation(CodePoint c);   // P and ASCII punctuation
bool isWordCharacter(CodePoint c); // \w of regular expressions
bool isControl(CodePoint c);       // Cc, Cf, Co, Cs
/// The CJK blocks that BERT sets apart (with the hole U+2B820–U+2B91F that the Rust source has).
bool isBertIdeograph(CodePoint c);
/// Full lower case of one code point, without context.
void appendLower(std::string& text, CodePoint c);
/// Lower case that is one code point.
CodePoint simpleLower(CodePoint c);
/// First code point of the canonical decomposition.
CodePoint decompositionStart(CodePoint c);

/// GPT-2's alphabet: each byte as a printable character, U+0021… for printable ones and U+0100… for the rest.
std::string_view byteCharacter(unsigned char byte);
std::string toByteCharacters(std::string_view bytes);
/// The bytes that a text of such characters stands for; nothing if one is no such character.
std::optional<std::string> fromByteCharacters(std::string_view text);

/// The byte of "<0xE2>"; nothing for another text.
std::optional<unsigned char> byteOfPiece(std::string_view piece);
std::string pieceOfByte(unsigned char byte);

/// Replaces every occurrence.
std::string replaceAll(std::string_view text, std::string_view from, std::string_view to);

} // namespace ql::tok
