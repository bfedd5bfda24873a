// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/text.h"
#include "core/export/gguf_vocabulary.h"

#include <set>

namespace ql::ggufout {

using Json = nlohmann::json;

namespace {

constexpr std::string_view kMark = "\u2581"; // of a blank

Error cutsOtherwise(const std::string& what, const std::string& where)
{
    return refused(what +
                       ": llama.cpp would cut its text into other tokens; if it was made from a tokenizer.model, put "
                       "that beside it, or start from a GGUF file of the model",
                   where);
}

/// Blanks become marks, by a normalizer (Prepend, Replace) or by a Metaspace pre-tokenizer: whether one is put in
/// front.
Result<bool> readBlanks(const Json& tokenizer, const std::string& where)
{
    bool marked = false;
    bool inFront = false;
    for (const Json& step : stepsOf(member(tokenizer, "normalizer"), "normalizers")) {
        const std::string type = textOf(step, "type");
        if (type == "Prepend" && textOf(step, "prepend") == kMark)
            inFront = true;
        else if (type == "Replace" && textOf(member(step, "pattern"), "String") == " " &&
                 textOf(step, "content") == kMark)
            marked = true;
        else
            return cutsOtherwise("normalises text by " + printable(type), where);
    }
    for (const Json& step : stepsOf(member(tokenizer, "pre_tokenizer"), "pretokenizers")) {
        const std::string type = textOf(step, "type");
        if (type != "Metaspace" || textOf(step, "replacement") != kMark || member(step, "split") != Json(false))
            return cutsOtherwise("splits text by " + printable(type), where);
        marked = true;
        const Json& scheme = member(step, "prepend_scheme");
        inFront = scheme.is_string() ? scheme != Json("never") : !(member(step, "add_prefix_space") == Json(false));
    }
    if (!marked)
        return cutsOtherwise("does not mark blanks", where);
    return inFront;
}

bool isByte(std::string_view text)
{
    return text.size() == 6 && text.starts_with("<0x") && text.back() == '>' &&
           text.find_first_not_of("0123456789ABCDEF", 3) == 5;
}

/// Where a text can be cut between two characters of UTF-8.
std::vector<std::size_t> cutsOf(std::string_view text)
{
    std::vector<std::size_t> cuts;
    for (std::size_t i = 1; i < text.size(); ++i)
        if ((static_cast<unsigned char>(text[i]) & 0xc0U) != 0x80)
            cuts.push_back(i);
    return cuts;
}

/// Scores that fall in the order of merges.
Result<void> setScores(Vocabulary& made, const Json& model, const std::string& where)
{
    QL_TRY(merges, mergesOf(model, where));
    std::set<std::string, std::less<>> ways; // left, NUL, right
    std::set<std::string, std::less<>> joinedBefore;
    std::string last;
    for (const auto& [left, right] : merges) {
        const std::string joined = left + right;
        if (joined != last && !joinedBefore.insert(joined).second)
            return cutsOtherwise("makes '" + printable(joined) + "' by merges of different rank", where);
        last = joined;
        if (const auto id = made.ids.find(joined); id != made.ids.end()) {
            Token& token = made.tokens[static_cast<std::size_t>(id->second)];
            if (token.kind == TokenKind::normal)
                token.score = -static_cast<float>(joinedBefore.size());
        }
        ways.insert(left + '\0' + right);
    }
    // llama.cpp joins whatever makes a token
    const auto isSymbol = [&](std::string_view text) { return made.ids.contains(text) || cutsOf(text).empty(); };
    for (const Token& token : made.tokens) {
        if (token.kind != TokenKind::normal)
            continue;
        for (const std::size_t cut : cutsOf(token.text)) {
            const std::string left = token.text.substr(0, cut);
            const std::string right = token.text.substr(cut);
            if (isSymbol(left) && isSymbol(right) && !ways.contains(left + '\0' + right))
                return cutsOtherwise("does not merge '" + printable(left) + "' and '" + printable(right) +
                                         "', although they make a token",
                                     where);
        }
    }
    return {};
}

} // namespace

Result<Vocabulary> byteFallbackVocabulary(const TokenizerFiles& files, std::int64_t tokenCount)
{
    const std::string where = files.pathOf("tokenizer.json");
    const Json& model = member(files.tokenizer, "model");
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"})
        if (!textOf(model, key).empty())
            return cutsOtherwise("has a " + std::string(key), where);
    if (isTrue(model, "ignore_merges"))
        return cutsOtherwise("ignores merges", where);
    Vocabulary made;
    made.model = "llama";
    made.pre = "default";
    QL_TRY(inFront, readBlanks(files.tokenizer, where));
    made.spacePrefix = inFront;
    made.tokens.resize(static_cast<std::size_t>(tokenCount));
    QL_CHECK(made.placeAll(member(model, "vocab"), TokenKind::normal, 0, where));
    for (Token& token : made.tokens)
        if (isByte(token.text))
            token.kind = TokenKind::byte;
    if (!textOf(model, "unk_token").empty())
        if (const auto id = made.ids.find(textOf(model, "unk_token")); id != made.ids.end())
            made.specials["unk"] = id->second;
    QL_CHECK(made.placeAdded(files));
    QL_CHECK(made.checkBytes(where));
    QL_CHECK(setScores(made, model, where));
    made.fillUnused();
    return made;
}

} // namespace ql::ggufout
