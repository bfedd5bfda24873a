// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/tokenizer/pre_tokenizer.h"

#include "core/model/tokenizer/json_fields.h"
#include "core/model/tokenizer/regex.h"
#include "core/model/tokenizer/unicode_text.h"

#include <algorithm>
#include <array>

namespace ql::tok {

const char* const kGpt2Pattern = R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

namespace {

/// What becomes of the delimiters that a word is cut at.
enum class Behavior { removed, isolated, mergedWithPrevious, mergedWithNext, contiguous };

struct Run {
    std::size_t begin = 0;
    std::size_t end = 0;
    bool delimiter = false;
};

/// Joins or drops delimiters among the runs of one word. Two delimiters in a row are never joined with each other, but
/// by `contiguous`; that is the only one to join what is no delimiter, too.
void applyBehavior(std::vector<Run>& runs, Behavior behavior)
{
    if (behavior == Behavior::isolated)
        return;
    if (behavior == Behavior::removed) {
        std::erase_if(runs, [](const Run& run) { return run.delimiter; });
        return;
    }
    const bool backwards = behavior == Behavior::mergedWithNext;
    if (backwards)
        std::ranges::reverse(runs);
    std::vector<Run> joined;
    bool previous = false;
    for (const Run& run : runs) {
        const bool join = behavior == Behavior::contiguous ? run.delimiter == previous : run.delimiter && !previous;
        if (join && !joined.empty()) {
            joined.back().begin = std::min(joined.back().begin, run.begin);
            joined.back().end = std::max(joined.back().end, run.end);
        } else {
            joined.push_back(run);
        }
        previous = run.delimiter;
    }
    if (backwards)
        std::ranges::reverse(joined);
    runs = std::move(joined);
}

/// Cuts every text word: runsOf(index, runs) lists its runs, which cover it.
template<typename RunsOf>
Result<void> cutWords(Words& words, Behavior behavior, const JobContext& context, const RunsOf& runsOf)
{
    const auto groups = groupsOf(words.words);
    std::vector<std::vector<Word>> parts(groups.size());
    auto done = parallelFor(context, std::ssize(groups), 1, [&](std::int64_t g, std::int64_t) -> Result<void> {
        const auto [first, last] = groups[static_cast<std::size_t>(g)];
        std::vector<Word>& part = parts[static_cast<std::size_t>(g)];
        std::vector<Run> runs;
        for (std::size_t i = first; i < last; ++i) {
            const Word& word = words.words[i];
            if (word.token >= 0) {
                part.push_back(word);
                continue;
            }
            runs.clear();
            runsOf(i, runs);
            applyBehavior(runs, behavior);
            for (const Run& run : runs) {
                if (part.size() % 65536 == 0)
                    QL_CHECK(context.checkStop());
                if (run.begin < run.end)
                    part.push_back({run.begin, run.end, -1, word.startsText && run.begin == word.begin});
            }
        }
        return {};
    });
    QL_CHECK(std::move(done));
    words.words = parts.empty() ? std::vector<Word>() : std::move(parts.front());
    for (std::size_t i = 1; i < parts.size(); ++i) {
        QL_CHECK(context.checkStop());
        words.words.insert(words.words.end(), parts[i].begin(), parts[i].end());
    }
    return {};
}

/// Cuts at every character that is a delimiter.
template<typename IsDelimiter>
PreTokenizer cutAt(Behavior behavior, IsDelimiter isDelimiter)
{
    return [behavior, isDelimiter](Words& words, const JobContext& context) {
        return cutWords(words, behavior, context, [&](std::size_t i, std::vector<Run>& runs) {
            const Word& word = words.words[i];
            const std::string_view text = std::string_view(words.text).substr(0, word.end);
            std::size_t open = word.begin; // of what is no delimiter
            std::size_t tested = word.begin;
            for (std::size_t at = word.begin; at < word.end;) {
                const std::size_t start = at;
                if (start - tested > kGrainBytes) {
                    if (context.stopRequested())
                        return;
                    tested = start;
                }
                if (!isDelimiter(nextCodePoint(text, at)))
                    continue;
                if (open < start)
                    runs.push_back({open, start, false});
                runs.push_back({start, at, true});
                open = at;
            }
            if (open < word.end)
                runs.push_back({open, word.end, false});
        });
    };
}

/// Cuts at every match of the pattern, or with `invert` at what is between them.
PreTokenizer cutBy(Regex regex, Behavior behavior, bool invert)
{
    return [=, regex = std::move(regex)](Words& words, const JobContext& context) -> Result<void> {
        QL_TRY(matches, regex.findAll(words, context));
        return cutWords(words, behavior, context, [&](std::size_t i, std::vector<Run>& runs) {
            const Word& word = words.words[i];
            std::size_t open = word.begin;
            for (const Match& match : matches[i]) {
                if (open < match.begin)
                    runs.push_back({open, match.begin, invert});
                runs.push_back({match.begin, match.end, !invert});
                open = match.end;
            }
            if (open < word.end)
                runs.push_back({open, word.end, invert});
        });
    };
}

PreTokenizer chain(PreTokenizer first, PreTokenizer second)
{
    return [first = std::move(first), second = std::move(second)](Words& words,
                                                                  const JobContext& context) -> Result<void> {
        QL_CHECK(first(words, context));
        return second(words, context);
    };
}

Result<Behavior> behaviorOf(const Fields& fields, std::optional<std::string> fallback = {})
{
    static constexpr std::pair<std::string_view, Behavior> kNames[] = {
        {"Removed", Behavior::removed},
        {"Isolated", Behavior::isolated},
        {"MergedWithPrevious", Behavior::mergedWithPrevious},
        {"MergedWithNext", Behavior::mergedWithNext},
        {"Contiguous", Behavior::contiguous}};
    QL_TRY(name, fields.text("behavior", std::move(fallback)));
    for (const auto& [known, behavior] : kNames)
        if (name == known)
            return behavior;
    return fields.cannot("has the behavior '" + printable(name) + "', which does not exist");
}

/// The one character of a field.
Result<CodePoint> characterOf(const Fields& fields, const char* key)
{
    QL_TRY(text, fields.text(key));
    if (countCodePoints(text) != 1)
        return fields.wrong("needs '" + std::string(key) + "' to be one character");
    std::size_t at = 0;
    return nextCodePoint(text, at);
}

Result<PreTokenizer> makeByteLevel(const Fields& fields)
{
    QL_TRY(prefix, fields.boolean("add_prefix_space"));
    QL_TRY(cuts, fields.boolean("use_regex", true));
    QL_TRY(regex, Regex::compile(kGpt2Pattern, fields.where()));
    const PreTokenizer addBlank = [](Words& words, const JobContext& context) {
        return rewriteWords(words, context, [](std::string_view text, bool&) {
            return text.starts_with(' ') ? std::string(text) : " " + std::string(text);
        });
    };
    PreTokenizer made = [](Words& words, const JobContext& context) {
        return rewriteWords(words, context, [](std::string_view text, bool&) { return toByteCharacters(text); });
    };
    if (cuts)
        made = chain(cutBy(std::move(regex), Behavior::isolated, false), std::move(made));
    return prefix ? chain(addBlank, std::move(made)) : std::move(made);
}

Result<PreTokenizer> makeSplit(const Fields& fields)
{
    const Fields pattern(fields["pattern"], fields.where());
    const bool literal = pattern["String"].is_string();
    const Json& text = pattern[literal ? "String" : "Regex"];
    if (!text.is_string())
        return fields.wrong("needs a 'pattern' with a String or a Regex");
    QL_TRY(regex, Regex::compile(text.get<std::string>(), fields.where(), literal));
    QL_TRY(behavior, behaviorOf(fields));
    QL_TRY(invert, fields.boolean("invert"));
    return cutBy(std::move(regex), behavior, invert);
}

Result<PreTokenizer> makeDigits(const Fields& fields)
{
    QL_TRY(individual, fields.boolean("individual_digits"));
    return cutAt(individual ? Behavior::isolated : Behavior::contiguous, isNumber);
}

Result<PreTokenizer> makePunctuation(const Fields& fields)
{
    QL_TRY(behavior, behaviorOf(fields, "Isolated"));
    return cutAt(behavior, isPunctuation);
}

Result<PreTokenizer> makeWhitespaceSplit(const Fields&)
{
    return cutAt(Behavior::removed, isWhitespace);
}

/// Words by \w+ and [^\w\s]+.
Result<PreTokenizer> makeWhitespace(const Fields& fields)
{
    QL_TRY(regex, Regex::compile(R"(\w+|[^\w\s]+)", fields.where()));
    return cutBy(std::move(regex), Behavior::removed, true);
}

Result<PreTokenizer> makeBert(const Fields&)
{
    return chain(cutAt(Behavior::removed, isWhitespace), cutAt(Behavior::isolated, isPunctuation));
}

Result<PreTokenizer> makeDelimiter(const Fields& fields)
{
    QL_TRY(delimiter, characterOf(fields, "delimiter"));
    return cutAt(Behavior::removed, [delimiter = delimiter](CodePoint c) { return c == delimiter; });
}

Result<PreTokenizer> makeMetaspace(const Fields& fields)
{
    QL_TRY(character, characterOf(fields, "replacement"));
    QL_TRY(split, fields.boolean("split", true));
    QL_TRY(scheme, fields.text("prepend_scheme", "always"));
    if (fields["add_prefix_space"] == false)
        scheme = "never";
    if (scheme != "always" && scheme != "first" && scheme != "never")
        return fields.cannot("has the prepend_scheme '" + printable(scheme) + "', which does not exist");
    std::string blank;
    append(blank, character);
    PreTokenizer made = [blank, scheme = scheme](Words& words, const JobContext& context) {
        return rewriteWords(words, context, [&](std::string_view text, bool& startsText) {
            std::string out = replaceAll(text, " ", blank);
            if ((scheme == "always" || (scheme == "first" && startsText)) && !out.starts_with(blank))
                out.insert(0, blank);
            return out;
        });
    };
    if (!split)
        return made;
    return chain(std::move(made),
                 cutAt(Behavior::mergedWithNext, [character = character](CodePoint c) { return c == character; }));
}

Result<PreTokenizer> makeFixedLength(const Fields& fields)
{
    QL_TRY(length, fields.count("length", 5));
    if (length == 0)
        return fields.wrong("needs 'length' to be at least 1");
    return PreTokenizer([length = length](Words& words, const JobContext& context) {
        return cutWords(words, Behavior::isolated, context, [&](std::size_t i, std::vector<Run>& runs) {
            const Word& word = words.words[i];
            const std::string_view text = std::string_view(words.text).substr(0, word.end);
            for (std::size_t at = word.begin; at < word.end;) {
                const std::size_t start = at;
                for (std::int64_t n = 0; n < length && at < word.end; ++n)
                    nextCodePoint(text, at);
                runs.push_back({start, at, false});
            }
        });
    });
}

struct Maker {
    std::string_view type;
    Result<PreTokenizer> (*make)(const Fields&);
};
constexpr std::array kMakers{Maker{"ByteLevel", makeByteLevel},   Maker{"Split", makeSplit},
                             Maker{"Digits", makeDigits},         Maker{"Punctuation", makePunctuation},
                             Maker{"Whitespace", makeWhitespace}, Maker{"WhitespaceSplit", makeWhitespaceSplit},
                             Maker{"BertPreTokenizer", makeBert}, Maker{"CharDelimiterSplit", makeDelimiter},
                             Maker{"Metaspace", makeMetaspace},   Maker{"FixedLength", makeFixedLength}};

} // namespace

Result<std::vector<PreTokenizer>> makePreTokenizers(const Json& component, const std::string& where)
{
    QL_TRY(flat, flatten(component, "pretokenizers", where));
    std::vector<PreTokenizer> made;
    for (const Json* each : flat) {
        const Fields fields(*each, where);
        const auto maker = std::ranges::find(kMakers, fields.type(), &Maker::type);
        if (maker == kMakers.end())
            return fields.cannot("is no pre-tokenizer that QuantLoupe has");
        QL_TRY(preTokenizer, maker->make(fields));
        made.push_back(std::move(preTokenizer));
    }
    return made;
}

} // namespace ql::tok
