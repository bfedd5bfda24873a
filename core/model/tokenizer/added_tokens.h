// SPDX-License-Identifier: GPL-3.0-or-later
// Tokens that are taken out of the text before the model sees it.
#pragma once

#include "core/model/tokenizer/trie.h"
#include "core/model/tokenizer/words.h"

namespace ql::tok {

struct AddedToken {
    std::int32_t id = -1;
    std::string content;
    bool singleWord = false; // only where no word character is beside it
    bool leftStrip = false;  // takes the blanks before it
    bool rightStrip = false; // and behind it
    bool normalized = false; // looked for in normalized text, and normalized itself
    bool special = false;    // text like any other where specials are not parsed
};

/// Which of overlapping occurrences counts.
enum class Overlap {
    leftmostLongest, // Hugging Face
    longestFirst,    // llama.cpp: the longest tokens take theirs first, wherever they are
};

class AddedTokens {
public:
    AddedTokens() = default;
    AddedTokens(std::vector<AddedToken> tokens, Overlap overlap);

    bool empty() const { return m_trie.empty(); }
    /// Cuts the tokens out of every text word.
    Result<void> cut(Words& words, bool parseSpecial, const JobContext& context) const;

private:
    struct Found {
        std::size_t begin;
        std::size_t end;
        std::int32_t token; // index
    };
    Result<std::vector<Found>> find(std::string_view text, bool parseSpecial, const JobContext& context) const;
    void cutWord(const Words& words, const Word& word, const std::vector<Found>& found, std::vector<Word>& out) const;

    std::vector<AddedToken> m_tokens;
    Trie m_trie; // of indices
    Overlap m_overlap = Overlap::leftmostLongest;
    bool m_starts[256] = {};
};

} // namespace ql::tok
