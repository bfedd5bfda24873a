// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/tokenizer/added_tokens.h"

#include "core/model/tokenizer/unicode_text.h"

#include <algorithm>
#include <set>

namespace ql::tok {

namespace {

/// The code point that ends at `end`; it is at `begin`.
CodePoint previousCodePoint(std::string_view text, std::size_t end, std::size_t& begin)
{
    begin = end - 1;
    while (begin > 0 && (static_cast<unsigned char>(text[begin]) & 0xc0) == 0x80)
        --begin;
    std::size_t at = begin;
    return nextCodePoint(text, at);
}

} // namespace

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, Overlap overlap)
    : m_tokens(std::move(tokens)), m_overlap(overlap)
{
    std::vector<std::pair<std::string_view, std::int32_t>> entries;
    for (std::size_t i = 0; i < m_tokens.size(); ++i) {
        entries.emplace_back(m_tokens[i].content, static_cast<std::int32_t>(i));
        if (!m_tokens[i].content.empty())
            m_starts[static_cast<unsigned char>(m_tokens[i].content[0])] = true;
    }
    m_trie = Trie(std::move(entries));
}

Result<std::vector<AddedTokens::Found>> AddedTokens::find(std::string_view text, bool parseSpecial,
                                                          const JobContext& context) const
{
    std::vector<Found> found;
    const bool leftmost = m_overlap == Overlap::leftmostLongest;
    for (std::size_t at = 0; at < text.size();) {
        if (at % kGrainBytes == 0)
            QL_CHECK(context.checkStop());
        std::size_t longest = 0;
        if (m_starts[static_cast<unsigned char>(text[at])])
            m_trie.prefixes(text.substr(at), [&](std::size_t length, std::int32_t token) {
                if (!parseSpecial && m_tokens[static_cast<std::size_t>(token)].special && !leftmost)
                    return;
                if (leftmost && longest > 0)
                    found.pop_back();
                found.push_back({at, at + length, token});
                longest = length;
            });
        at += leftmost && longest > 0 ? longest : 1;
    }
    if (leftmost) { // a special that is not parsed has still hidden what it overlaps, as in the source
        if (!parseSpecial)
            std::erase_if(found,
                          [&](const Found& one) { return m_tokens[static_cast<std::size_t>(one.token)].special; });
        return found;
    }
    std::ranges::stable_sort(found, std::ranges::greater{}, [](const Found& one) { return one.end - one.begin; });
    const auto before = [](const Found& a, const Found& b) { return a.end <= b.begin; };
    std::set<Found, decltype(before)> taken(before); // overlapping ones are equal in this order
    for (const Found& one : found)
        taken.insert(one);
    return std::vector<Found>(taken.begin(), taken.end());
}

void AddedTokens::cutWord(const Words& words, const Word& word, const std::vector<Found>& found,
                          std::vector<Word>& out) const
{
    const std::string_view text = words.view(word);
    std::size_t open = 0;
    const auto put = [&](std::size_t begin, std::size_t end, std::int32_t token) {
        if (begin < end)
            out.push_back({word.begin + begin, word.begin + end, token, word.startsText && begin == 0});
    };
    for (const Found& one : found) {
        const AddedToken& token = m_tokens[static_cast<std::size_t>(one.token)];
        std::size_t begin = one.begin;
        std::size_t end = one.end;
        if (token.singleWord) {
            std::size_t at = end;
            std::size_t ignored = 0;
            if ((begin > 0 && isWordCharacter(previousCodePoint(text, begin, ignored))) ||
                (end < text.size() && isWordCharacter(nextCodePoint(text, at))))
                continue;
        }
        if (token.leftStrip) {
            for (std::size_t start = begin; begin > 0 && isWhitespace(previousCodePoint(text, begin, start));)
                begin = start;
            begin = std::max(begin, open);
        }
        if (token.rightStrip)
            for (std::size_t at = end; end < text.size() && isWhitespace(nextCodePoint(text, at));)
                end = at;
        if (open < begin)
            put(open, begin, -1);
        put(begin, end, token.id);
        open = end;
    }
    put(open, text.size(), -1);
}

Result<void> AddedTokens::cut(Words& words, bool parseSpecial, const JobContext& context) const
{
    if (empty())
        return {};
    std::vector<Word> out;
    for (const Word& word : words.words) {
        if (word.token >= 0) {
            out.push_back(word);
            continue;
        }
        QL_TRY(found, find(words.view(word), parseSpecial, context));
        cutWord(words, word, found, out);
    }
    words.words = std::move(out);
    return {};
}

} // namespace ql::tok
