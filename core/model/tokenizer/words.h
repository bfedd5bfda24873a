// SPDX-License-Identifier: GPL-3.0-or-later
// A text on its way to ids: words in a row over one buffer, some of them already tokens.
#pragma once

#include "core/jobs/parallel.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace ql::tok {

struct Word {
    std::size_t begin = 0; // bytes of Words::text
    std::size_t end = 0;
    std::int32_t token = -1; // the id, of an added token; -1: text
    bool startsText = false; // begins where the whole text begins
    std::size_t size() const { return end - begin; }
};

struct Words {
    std::string text;
    std::vector<Word> words;
    std::string_view view(const Word& word) const { return std::string_view(text).substr(word.begin, word.size()); }
};

/// Bytes of text that are one piece of parallel work and lie between two stop tests.
constexpr std::size_t kGrainBytes = std::size_t{256} << 10U;

/// A text rewritten piece by piece, so that a stop ends it early: rewrite(piece, isFirst) -> std::string. A piece
/// begins at the first place behind kGrainBytes of which canBegin(text, place) says that it may.
template<typename CanBegin, typename Rewrite>
std::string rewritePieces(std::string_view text, const JobContext& context, const CanBegin& canBegin,
                          const Rewrite& rewrite)
{
    std::string out;
    out.reserve(text.size());
    for (std::size_t begin = 0; begin < text.size() && !context.stopRequested();) {
        std::size_t end = std::min(text.size(), begin + kGrainBytes);
        while (end < text.size() && !canBegin(text, end))
            ++end;
        out += rewrite(text.substr(begin, end - begin), begin == 0);
        begin = end;
    }
    return out;
}
inline bool beginsCharacter(std::string_view text, std::size_t at)
{
    return (static_cast<unsigned char>(text[at]) & 0xc0U) != 0x80;
}
inline bool isAscii(std::string_view text, std::size_t at)
{
    return static_cast<unsigned char>(text[at]) < 0x80;
}
/// Between two ASCII characters, but for CR LF, one grapheme ends; nothing is said of other places.
inline bool beginsGrapheme(std::string_view text, std::size_t at)
{
    return isAscii(text, at - 1) && isAscii(text, at) && text[at] != '\n';
}

/// Groups of words, in order, each of about kGrainBytes: pairs of first and last-plus-one index.
std::vector<std::pair<std::size_t, std::size_t>> groupsOf(const std::vector<Word>& words);

/// A text that is all there is moves: of millions of bytes a copy holds everything up.
inline void append(std::string& text, std::string more)
{
    if (text.empty())
        text = std::move(more);
    else
        text += more;
}

/// Rewrites every text word by rewrite(view, startsText&) -> std::string, in parallel; tokens stay, and words that
/// become empty go.
template<typename Rewrite>
Result<void> rewriteWords(Words& words, const JobContext& context, const Rewrite& rewrite)
{
    const auto groups = groupsOf(words.words);
    std::vector<Words> parts(groups.size());
    QL_CHECK(parallelFor(context, std::ssize(groups), 1, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t g = begin; g < end; ++g) {
            Words& part = parts[static_cast<std::size_t>(g)];
            for (std::size_t i = groups[static_cast<std::size_t>(g)].first;
                 i < groups[static_cast<std::size_t>(g)].second; ++i) {
                Word word = words.words[i];
                const std::string_view old = words.view(word);
                word.begin = part.text.size();
                if (word.token >= 0)
                    part.text += old;
                else
                    append(part.text, rewrite(old, word.startsText));
                word.end = part.text.size();
                if (word.token >= 0 || word.size() > 0)
                    part.words.push_back(word);
            }
        }
    }));
    words.text.clear();
    words.words.clear();
    for (Words& part : parts) {
        const std::size_t shift = words.text.size();
        append(words.text, std::move(part.text));
        for (Word word : part.words) {
            word.begin += shift;
            word.end += shift;
            words.words.push_back(word);
        }
    }
    return {};
}

} // namespace ql::tok
