// SPDX-License-Identifier: GPL-3.0-or-later
// Regular expressions of tokenizer files, by ICU. The files mean Oniguruma's Ruby syntax; what ICU reads differently is
// refused by name. Matching has a limit of steps for each match, so a pattern that backtracks without end is an error.
#pragma once

#include "core/model/tokenizer/words.h"

#include <unicode/uversion.h>

#include <memory>

U_NAMESPACE_BEGIN
class UnicodeString;
U_NAMESPACE_END

namespace ql::tok {

/// A matched range of bytes.
struct Match {
    std::size_t begin = 0;
    std::size_t end = 0;
};

/// Immutable and thread-safe.
class Regex {
public:
    /// `where` is named in errors. `literal`: the text itself, not a pattern.
    static Result<Regex> compile(const std::string& pattern, const std::string& where, bool literal = false);

    /// Non-overlapping matches of each word, each word being a text of its own; matches[i] belongs to words.words[i]
    /// and is in bytes of words.text. Words that are tokens have none.
    ///
    /// Long words are searched in blocks at once. Where a search goes on depends on where it stands alone, so once the
    /// search that comes from the left stands where a block's own has stood, the rest of the block's matches are its
    /// own: equal to one search from the start, for any pattern.
    Result<std::vector<std::vector<Match>>> findAll(const Words& words, const JobContext& context) const;

private:
    struct State;
    struct Step;
    class Search;
    /// The steps of a search through a long text, by blocks.
    Result<void> searchInBlocks(const icu::UnicodeString& text, std::vector<Step>& steps,
                                const JobContext& context) const;
    explicit Regex(std::string text) : m_text(std::move(text)) {}
    std::string m_text;
    std::string m_where;
    std::shared_ptr<const State> m_state;
};

} // namespace ql::tok
