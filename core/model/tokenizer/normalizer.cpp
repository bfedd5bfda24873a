// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/tokenizer/normalizer.h"

#include "core/model/tokenizer/chars_map.h"
#include "core/model/tokenizer/json_fields.h"
#include "core/model/tokenizer/regex.h"
#include "core/model/tokenizer/unicode_text.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>

#include <algorithm>
#include <array>

namespace ql::tok {

namespace {

/// A normalizer from a function text -> text that looks at one word.
template<typename Rewrite>
Normalizer each(Rewrite rewrite)
{
    return [rewrite = std::move(rewrite)](Words& words, const JobContext& context) {
        return rewriteWords(words, context,
                            [&](std::string_view text, bool& startsText) { return rewrite(text, startsText); });
    };
}

/// One that may see a long word piece by piece: rewrite(piece, isFirst, startsText&).
template<typename CanBegin, typename Rewrite>
Normalizer eachPiece(CanBegin canBegin, Rewrite rewrite)
{
    return [canBegin, rewrite = std::move(rewrite)](Words& words, const JobContext& context) {
        return rewriteWords(words, context, [&](std::string_view text, bool& startsText) {
            return rewritePieces(text, context, canBegin, [&](std::string_view piece, bool isFirst) {
                return rewrite(piece, isFirst, startsText);
            });
        });
    };
}

/// A normalizer from a function (out, code point): appends what the code point becomes. A text that loses its first
/// character no longer starts the text (Metaspace asks for that).
template<typename Map>
Normalizer mapped(Map map)
{
    return eachPiece(beginsCharacter, [map = std::move(map)](std::string_view text, bool isFirst, bool& startsText) {
        std::string out;
        out.reserve(text.size());
        for (std::size_t at = 0; at < text.size();) {
            const bool first = isFirst && at == 0;
            map(out, nextCodePoint(text, at));
            startsText = startsText && !(first && out.empty());
        }
        return out;
    });
}

const icu::Normalizer2* icuNormalizer(std::string_view form)
{
    UErrorCode status = U_ZERO_ERROR;
    if (form == "NFC")
        return icu::Normalizer2::getNFCInstance(status);
    if (form == "NFD")
        return icu::Normalizer2::getNFDInstance(status);
    if (form == "NFKC")
        return icu::Normalizer2::getNFKCInstance(status);
    return icu::Normalizer2::getNFKDInstance(status);
}

Normalizer composed(std::string_view form)
{
    // An ASCII character composes with nothing before it.
    return eachPiece(isAscii, [normalizer = icuNormalizer(form)](std::string_view text, bool, bool&) {
        if (std::ranges::all_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x80; }))
            return std::string(text);
        std::string out;
        icu::StringByteSink<std::string> sink(&out, static_cast<std::int32_t>(text.size()));
        UErrorCode status = U_ZERO_ERROR;
        normalizer->normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<std::int32_t>(text.size())), sink,
                                  nullptr, status);
        assert(U_SUCCESS(status));
        return out;
    });
}

Result<Normalizer> makeComposed(const Fields& fields)
{
    return composed(fields.type());
}

Result<Normalizer> makeLowercase(const Fields&)
{
    return mapped([](std::string& out, CodePoint c) { appendLower(out, c); });
}

Result<Normalizer> makeStripAccents(const Fields&)
{
    return mapped([](std::string& out, CodePoint c) {
        if (!isMark(c))
            append(out, c);
    });
}

Result<Normalizer> makeNmt(const Fields&)
{
    return mapped([](std::string& out, CodePoint c) {
        const bool dropped =
            (c >= 0x1 && c <= 0x8) || c == 0xb || (c >= 0xe && c <= 0x1f) || c == 0x7f || c == 0x8f || c == 0x9f;
        const bool blank = c == 0x9 || c == 0xa || c == 0xc || c == 0xd || c == 0x1680 ||
                           (c >= 0x200b && c <= 0x200f) || c == 0x2028 || c == 0x2029 || c == 0x2581 || c == 0xfeff ||
                           c == 0xfffd;
        if (!dropped)
            append(out, blank ? ' ' : c);
    });
}

Result<Normalizer> makeBert(const Fields& fields)
{
    QL_TRY(clean, fields.boolean("clean_text"));
    QL_TRY(ideographs, fields.boolean("handle_chinese_chars"));
    QL_TRY(lowercase, fields.boolean("lowercase"));
    QL_TRY(accents, fields.boolean("strip_accents", lowercase)); // null: as lowercase
    const Normalizer prepare = mapped([clean, ideographs](std::string& out, CodePoint c) {
        if (clean) {
            const bool blank = c == '\t' || c == '\n' || c == '\r' || isWhitespace(c);
            if (c == 0 || c == 0xfffd || (!(c == '\t' || c == '\n' || c == '\r') && isControl(c)))
                return;
            if (blank)
                c = ' ';
        }
        const bool apart = ideographs && isBertIdeograph(c);
        if (apart)
            out += ' ';
        append(out, c);
        if (apart)
            out += ' ';
    });
    const Normalizer decompose = composed("NFD");
    const Normalizer finish = mapped([accents, lowercase](std::string& out, CodePoint c) {
        if (accents && isNonspacingMark(c))
            return;
        if (lowercase)
            appendLower(out, c);
        else
            append(out, c);
    });
    return Normalizer([=, accents = accents](Words& words, const JobContext& context) -> Result<void> {
        QL_CHECK(prepare(words, context));
        if (accents)
            QL_CHECK(decompose(words, context));
        return finish(words, context);
    });
}

Result<Normalizer> makeStrip(const Fields& fields)
{
    QL_TRY(left, fields.boolean("strip_left"));
    QL_TRY(right, fields.boolean("strip_right"));
    return each([left = left, right = right](std::string_view text, bool& startsText) {
        std::size_t begin = text.size();
        std::size_t end = 0; // of what is no blank
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t start = at;
            if (isWhitespace(nextCodePoint(text, at)))
                continue;
            begin = std::min(begin, start);
            end = at;
        }
        const std::size_t from = left ? begin : 0;
        const std::size_t to = std::max(from, right ? end : text.size());
        startsText = startsText && from == 0;
        return std::string(text.substr(from, to - from));
    });
}

Result<Normalizer> makePrepend(const Fields& fields)
{
    QL_TRY(prefix, fields.text("prepend"));
    return each([prefix = prefix](std::string_view text, bool&) {
        std::string out;
        out.reserve(prefix.size() + text.size());
        return out.append(prefix).append(text);
    });
}

Result<Normalizer> makeReplace(const Fields& fields)
{
    QL_TRY(content, fields.text("content"));
    const Fields pattern(fields["pattern"], fields.where());
    if (pattern["String"].is_string()) {
        const auto from = pattern["String"].get<std::string>();
        if (from.empty())
            return fields.cannot("has an empty pattern");
        if (countCodePoints(from) == 1)
            return eachPiece(beginsCharacter, [from, content = content](std::string_view text, bool, bool&) {
                return replaceAll(text, from, content);
            });
        return each(
            [from, content = content](std::string_view text, bool&) { return replaceAll(text, from, content); });
    }
    if (!pattern["Regex"].is_string())
        return fields.wrong("needs a 'pattern' with a String or a Regex");
    QL_TRY(regex, Regex::compile(pattern["Regex"].get<std::string>(), fields.where()));
    return Normalizer([regex = regex, content = content](Words& words, const JobContext& context) -> Result<void> {
        QL_TRY(matches, regex.findAll(words, context));
        Words out;
        for (std::size_t i = 0; i < words.words.size(); ++i) {
            Word word = words.words[i];
            std::size_t from = word.begin;
            word.begin = out.text.size();
            for (const Match& match : matches[i]) {
                out.text.append(words.text, from, match.begin - from).append(content);
                from = match.end;
            }
            out.text.append(words.text, from, words.words[i].end - from);
            word.end = out.text.size();
            if (word.size() > 0)
                out.words.push_back(word);
        }
        words = std::move(out);
        return {};
    });
}

Result<Normalizer> makeByteLevel(const Fields&)
{
    return eachPiece(beginsCharacter, [](std::string_view text, bool, bool&) { return toByteCharacters(text); });
}

Result<Normalizer> makePrecompiled(const Fields& fields)
{
    QL_TRY(encoded, fields.text("precompiled_charsmap"));
    QL_TRY(map, CharsMap::decode(encoded, fields.where()));
    return eachPiece(beginsGrapheme,
                     [map = map](std::string_view text, bool, bool&) { return map.normalizeGraphemes(text); });
}

struct Maker {
    std::string_view type;
    Result<Normalizer> (*make)(const Fields&);
};
constexpr std::array kMakers{Maker{"NFC", makeComposed},
                             Maker{"NFD", makeComposed},
                             Maker{"NFKC", makeComposed},
                             Maker{"NFKD", makeComposed},
                             Maker{"Lowercase", makeLowercase},
                             Maker{"StripAccents", makeStripAccents},
                             Maker{"Strip", makeStrip},
                             Maker{"Prepend", makePrepend},
                             Maker{"Replace", makeReplace},
                             Maker{"BertNormalizer", makeBert},
                             Maker{"Nmt", makeNmt},
                             Maker{"ByteLevel", makeByteLevel},
                             Maker{"Precompiled", makePrecompiled}};

} // namespace

Result<std::vector<Normalizer>> makeNormalizers(const Json& component, const std::string& where)
{
    QL_TRY(flat, flatten(component, "normalizers", where));
    std::vector<Normalizer> normalizers;
    for (const Json* each : flat) {
        const Fields fields(*each, where);
        const auto maker = std::ranges::find(kMakers, fields.type(), &Maker::type);
        if (maker == kMakers.end())
            return fields.cannot("is no normalizer that QuantLoupe has");
        QL_TRY(normalizer, maker->make(fields));
        normalizers.push_back(std::move(normalizer));
    }
    return normalizers;
}

} // namespace ql::tok
