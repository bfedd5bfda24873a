// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/tokenizer/regex.h"

#include "core/base/text.h"
#include "core/model/tokenizer/unicode_text.h"

#include <unicode/regex.h>

#include <algorithm>
#include <array>

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

/// One matcher on one text.
class Regex::Search {
public:
    Search(const Regex& regex, UErrorCode& status) : m_regex(regex), m_matcher(regex.m_state->pattern->matcher(status))
    {
        m_matcher->setTimeLimit(kLimitUnits, status);
    }
    void setText(const icu::UnicodeString& text) { m_matcher->reset(text); }
    /// The next match at or after `at`, in UTF-16 units; nothing at the end.
    Result<bool> next(std::int32_t at)
    {
        UErrorCode status = U_ZERO_ERROR;
        const bool found = m_matcher->find(at, status) != 0;
        if (U_FAILURE(status))
            return badInput("has the pattern '" + printable(m_regex.m_text) +
                                "', which searches too long at one place of this text (" + u_errorName(status) +
                                "); write it without nested repetitions",
                            m_regex.m_where);
        UErrorCode ignored = U_ZERO_ERROR;
        if (found) {
            m_begin = m_matcher->start(ignored);
            m_end = m_matcher->end(ignored);
        }
        return found;
    }
    std::int32_t begin() const { return m_begin; }
    std::int32_t end() const { return m_end; }

private:
    const Regex& m_regex;
    std::unique_ptr<icu::RegexMatcher> m_matcher;
    std::int32_t m_begin = 0;
    std::int32_t m_end = 0;
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

namespace {

/// Where a search stood and what it found next.
struct Step {
    std::int32_t from = 0;
    std::int32_t begin = 0;
    std::int32_t end = 0;
};

/// Where the search goes on after a match: behind it, and behind an empty one's next character.
std::int32_t goOn(std::int32_t begin, std::int32_t end, const icu::UnicodeString& text)
{
    return end > begin ? end : text.moveIndex32(end, 1) + (end == text.length() ? 1 : 0);
}

/// An empty match right behind another is none.
void add(std::vector<Match>& matches, Match match)
{
    if (match.begin < match.end || matches.empty() || matches.back().end < match.begin)
        matches.push_back(match);
}

} // namespace

Result<std::vector<std::vector<Match>>> Regex::findAll(const Words& words, const JobContext& context) const
{
    constexpr std::size_t kLongestBytes = std::size_t{1} << 30U; // UTF-16 units are counted in 32 bits
    const std::size_t count = words.words.size();
    std::vector<std::vector<Match>> matches(count);

    /// Steps of a search over `text` that starts at `from` and ends where it stands at or behind `until`.
    const auto search = [&](const icu::UnicodeString& text, std::int32_t from, std::int32_t until,
                            std::vector<Step>& steps) -> Result<void> {
        UErrorCode status = U_ZERO_ERROR;
        Search matcher(*this, status);
        matcher.setText(text);
        for (std::int32_t at = from; at < until;) {
            QL_TRY(found, matcher.next(at));
            if (!found) {
                steps.push_back({at, text.length() + 1, text.length() + 1});
                break;
            }
            steps.push_back({at, matcher.begin(), matcher.end()});
            at = goOn(matcher.begin(), matcher.end(), text);
            if (steps.size() % 1024 == 0)
                QL_CHECK(context.checkStop());
        }
        return {};
    };

    const auto small = [&](std::size_t begin, std::size_t end) -> Result<void> {
        UErrorCode status = U_ZERO_ERROR;
        Search matcher(*this, status);
        std::u16string units;
        for (std::size_t i = begin; i < end; ++i) {
            const Word& word = words.words[i];
            if (word.token >= 0 || word.size() == 0)
                continue;
            const std::string_view view = words.view(word);
            const icu::UnicodeString text =
                icu::UnicodeString::fromUTF8(icu::StringPiece(view.data(), static_cast<std::int32_t>(view.size())));
            matcher.setText(text);
            BytePosition bytes(view);
            for (std::int32_t at = 0; at <= text.length();) {
                QL_TRY(found, matcher.next(at));
                if (!found)
                    break;
                const std::size_t from = word.begin + bytes.of(matcher.begin());
                add(matches[i], {from, word.begin + bytes.of(matcher.end())});
                at = goOn(matcher.begin(), matcher.end(), text);
            }
        }
        return {};
    };

    const auto large = [&](std::size_t i) -> Result<void> {
        const Word& word = words.words[i];
        const std::string_view view = words.view(word);
        if (view.size() > kLongestBytes)
            return refused("cuts texts of up to 1 GiB by patterns; give a part of it", m_where);
        const icu::UnicodeString text =
            icu::UnicodeString::fromUTF8(icu::StringPiece(view.data(), static_cast<std::int32_t>(view.size())));
        const std::int32_t length = text.length();
        const std::int64_t blocks = ceilDiv(length, static_cast<std::int64_t>(kGrainBytes));
        std::vector<std::vector<Step>> found(static_cast<std::size_t>(blocks));
        const auto edge = [&](std::int64_t block) {
            const auto at = static_cast<std::int32_t>(
                std::min<std::int64_t>(length, block * static_cast<std::int64_t>(kGrainBytes)));
            return text.getChar32Start(at);
        };
        QL_CHECK(parallelFor(context, blocks, 1, [&](std::int64_t block, std::int64_t) {
            return search(text, edge(block), block + 1 == blocks ? length + 1 : edge(block + 1),
                          found[static_cast<std::size_t>(block)]);
        }));
        BytePosition bytes(view);
        std::int32_t at = 0;
        const auto take = [&](const Step& step) {
            if (step.begin > length)
                return false;
            const std::size_t from = word.begin + bytes.of(step.begin);
            add(matches[i], {from, word.begin + bytes.of(step.end)});
            at = goOn(step.begin, step.end, text);
            return true;
        };
        for (std::int64_t block = 0; block < blocks; ++block) {
            const std::vector<Step>& steps = found[static_cast<std::size_t>(block)];
            const std::int32_t end = block + 1 == blocks ? length + 1 : edge(block + 1);
            while (at < end) {
                const auto same = std::ranges::lower_bound(steps, at, {}, &Step::from);
                if (same != steps.end() && same->from == at) {
                    for (auto step = same; step != steps.end(); ++step)
                        if (!take(*step))
                            return {};
                    break;
                }
                std::vector<Step> one;
                QL_CHECK(search(text, at, at + 1, one));
                if (one.empty() || !take(one.front()))
                    return {};
            }
        }
        return {};
    };

    const auto groups = groupsOf(words.words);
    QL_CHECK(parallelFor(context, std::ssize(groups), 1, [&](std::int64_t begin, std::int64_t) -> Result<void> {
        const auto [first, last] = groups[static_cast<std::size_t>(begin)];
        if (last - first == 1 && words.words[first].size() > 2 * kGrainBytes)
            return {}; // below, in blocks
        QL_CHECK(context.checkStop());
        return small(first, last);
    }));
    for (std::size_t i = 0; i < count; ++i)
        if (words.words[i].token < 0 && words.words[i].size() > 2 * kGrainBytes)
            QL_CHECK(large(i));
    return matches;
}

} // namespace ql::tok
