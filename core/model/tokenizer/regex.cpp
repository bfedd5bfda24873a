// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/tokenizer/regex.h"

#include "core/base/text.h"
#include "core/model/tokenizer/unicode_text.h"

#include <unicode/regex.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <limits>

namespace ql::tok {

namespace {

// ICU's unit is some ten thousand steps, below a millisecond each.
constexpr std::int32_t kLimitUnits = 500;

/// What Ruby's syntax has and ICU reads otherwise; empty: nothing.
std::string foreignSyntax(std::string_view pattern)
{
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        const std::string_view rest = pattern.substr(i);
        if (rest[0] == '\\' && rest.size() > 1) {
            if (std::string_view("hHRKGQENOyYgk").find(rest[1]) != std::string_view::npos)
                return std::string(rest.substr(0, 2));
            ++i;
            if (rest.size() > 2 && rest[2] == '{') // of a property such as \p{L}, not of a quantifier
                i += std::min(rest.find('}', 2), rest.size() - 1) - 1;
        } else if (rest.starts_with("[[:")) {
            return "[[:";
        } else if (rest.starts_with("}+")) {
            return "}+";
        } else if (rest.starts_with("(?")) {
            static constexpr std::array<std::string_view, 7> kSame = {
                "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:"};
            if (std::ranges::none_of(kSame, [&](std::string_view same) { return rest.starts_with(same); }))
                return std::string(rest.substr(0, std::min<std::size_t>(rest.size(), 4)));
        }
    }
    return {};
}

/// Positions of UTF-16 units in bytes, found by walking on: positions are asked in ascending order.
class BytePosition {
public:
    explicit BytePosition(std::string_view text) : m_text(text) {}
    std::size_t of(std::int64_t unit)
    {
        while (m_unit < unit) {
            const std::size_t length = announcedLength(m_text[m_byte]);
            m_byte += length;
            m_unit += length == 4 ? 2 : 1;
        }
        return m_byte;
    }

private:
    std::string_view m_text;
    std::size_t m_byte = 0;
    std::int64_t m_unit = 0;
};

} // namespace

struct Regex::State {
    std::unique_ptr<icu::RegexPattern> pattern;
};

/// Where a search stood and what it found next.
struct Regex::Step {
    std::int32_t from = 0;
    std::int32_t begin = -1; // -1: nothing more
    std::int32_t end = -1;
};

/// A search through one text. Where it goes on depends on where it stands and on nothing else.
class Regex::Search {
public:
    explicit Search(const Regex& regex) : m_regex(regex)
    {
        UErrorCode status = U_ZERO_ERROR;
        m_matcher.reset(regex.m_state->pattern->matcher(status));
        m_matcher->setTimeLimit(kLimitUnits, status);
        assert(U_SUCCESS(status));
    }
    void setText(const icu::UnicodeString& text)
    {
        m_text = &text;
        m_matcher->reset(text);
    }
    /// Adds the steps from where it stands at `from` until it stands at or behind `until`, or finds nothing more.
    /// Returns where it stands then.
    Result<std::int32_t> walk(std::int32_t from, std::int32_t until, std::vector<Step>& steps,
                              const JobContext& context)
    {
        while (from < until) {
            UErrorCode status = U_ZERO_ERROR;
            const bool found = m_matcher->find(from, status) != 0;
            if (U_FAILURE(status))
                return badInput("has the pattern '" + printable(m_regex.m_text) +
                                    "', which searches too long at one place of this text (" + u_errorName(status) +
                                    "); write it without nested repetitions",
                                m_regex.m_where);
            if (!found) {
                steps.push_back({from});
                return kEnd;
            }
            const std::int32_t begin = m_matcher->start(status);
            const std::int32_t end = m_matcher->end(status);
            steps.push_back({from, begin, end});
            from = behind(steps.back());
            if (steps.size() % 1024 == 0)
                QL_CHECK(context.checkStop());
        }
        return from;
    }
    /// Where a search stands after the step: behind the match, and behind the character that follows an empty one.
    std::int32_t behind(const Step& step) const
    {
        if (step.begin < 0)
            return kEnd;
        if (step.end > step.begin)
            return step.end;
        return step.end < m_text->length() ? m_text->moveIndex32(step.end, 1) : kEnd;
    }

    static constexpr std::int32_t kEnd = std::numeric_limits<std::int32_t>::max();

private:
    const Regex& m_regex;
    std::unique_ptr<icu::RegexMatcher> m_matcher;
    const icu::UnicodeString* m_text = nullptr;
};

Result<Regex> Regex::compile(const std::string& pattern, const std::string& where, bool literal)
{
    constexpr std::size_t kLongest = std::size_t{64} << 10U;
    Regex regex(pattern);
    regex.m_where = where;
    if (pattern.size() > kLongest)
        return badInput("has a pattern of " + std::to_string(pattern.size()) + " bytes; the most is 64 KiB", where);
    if (const std::string foreign = literal ? std::string() : foreignSyntax(pattern); !foreign.empty())
        return refused("has the pattern '" + printable(pattern) + "': '" + printable(foreign) +
                           "' means something else in ICU's syntax, so the text would be cut elsewhere; rewrite it",
                       where);
    // As in Ruby: ^ and $ at every line, lines end at \n only.
    const std::uint32_t flags =
        UREGEX_MULTILINE | UREGEX_UNIX_LINES | (literal ? static_cast<std::uint32_t>(UREGEX_LITERAL) : 0U);
    UErrorCode status = U_ZERO_ERROR;
    UParseError parse{};
    const auto state = std::make_shared<State>();
    state->pattern.reset(icu::RegexPattern::compile(icu::UnicodeString::fromUTF8(pattern), flags, parse, status));
    if (U_FAILURE(status))
        return refused("has the pattern '" + printable(pattern) + "', which ICU does not take (" + u_errorName(status) +
                           ")",
                       where);
    regex.m_state = state;
    return regex;
}

Result<void> Regex::searchInBlocks(const icu::UnicodeString& text, std::vector<Step>& steps,
                                   const JobContext& context) const
{
    const std::int32_t length = text.length();
    const std::int64_t blocks = ceilDiv(length, static_cast<std::int64_t>(kGrainBytes));
    const auto edge = [&](std::int64_t block) {
        return block == blocks
                   ? length + 1 // so that what is found at the very end belongs to the last
                   : text.getChar32Start(static_cast<std::int32_t>(block * static_cast<std::int64_t>(kGrainBytes)));
    };
    std::vector<std::vector<Step>> found(static_cast<std::size_t>(blocks));
    QL_CHECK(parallelFor(context, blocks, 1, [&](std::int64_t block, std::int64_t) -> Result<void> {
        Search search(*this);
        search.setText(text);
        QL_TRY(at, search.walk(edge(block), edge(block + 1), found[static_cast<std::size_t>(block)], context));
        (void)at;
        return {};
    }));
    Search search(*this);
    search.setText(text);
    std::int32_t at = 0;
    for (std::int64_t block = 0; block < blocks; ++block) {
        const std::vector<Step>& own = found[static_cast<std::size_t>(block)];
        while (at < edge(block + 1)) {
            const auto same = std::ranges::lower_bound(own, at, {}, &Step::from);
            if (same != own.end() && same->from == at) {
                steps.insert(steps.end(), same, own.end());
                at = search.behind(steps.back());
            } else {
                QL_TRY(next, search.walk(at, at + 1, steps, context));
                at = next;
            }
        }
    }
    return {};
}

Result<std::vector<std::vector<Match>>> Regex::findAll(const Words& words, const JobContext& context) const
{
    std::vector<std::vector<Match>> matches(words.words.size());
    const auto isLong = [](const Word& word) { return word.size() > 2 * kGrainBytes; };
    const auto textOf = [&](const Word& word) {
        const std::string_view view = words.view(word);
        return icu::UnicodeString::fromUTF8(icu::StringPiece(view.data(), static_cast<std::int32_t>(view.size())));
    };
    /// An empty match right behind another is none.
    const auto keep = [&](std::size_t i, const std::vector<Step>& steps) {
        const Word& word = words.words[i];
        BytePosition bytes(words.view(word));
        for (const Step& step : steps) {
            if (step.begin < 0)
                break;
            const std::size_t begin = word.begin + bytes.of(step.begin);
            const std::size_t end = word.begin + bytes.of(step.end);
            if (begin < end || matches[i].empty() || matches[i].back().end < begin)
                matches[i].push_back({begin, end});
        }
    };
    const auto groups = groupsOf(words.words);
    const auto searchGroup = [&](std::int64_t g, std::int64_t) -> Result<void> {
        QL_CHECK(context.checkStop());
        Search search(*this);
        std::vector<Step> steps;
        for (std::size_t i = groups[static_cast<std::size_t>(g)].first; i < groups[static_cast<std::size_t>(g)].second;
             ++i) {
            if (words.words[i].token >= 0 || isLong(words.words[i]))
                continue;
            const icu::UnicodeString text = textOf(words.words[i]);
            search.setText(text);
            steps.clear();
            QL_TRY(at, search.walk(0, text.length() + 1, steps, context));
            (void)at;
            keep(i, steps);
        }
        return {};
    };
    QL_CHECK(parallelFor(context, std::ssize(groups), 1, searchGroup));
    for (std::size_t i = 0; i < words.words.size(); ++i) {
        if (words.words[i].token >= 0 || !isLong(words.words[i]))
            continue;
        std::vector<Step> steps;
        QL_CHECK(searchInBlocks(textOf(words.words[i]), steps, context));
        keep(i, steps);
    }
    return matches;
}

} // namespace ql::tok
