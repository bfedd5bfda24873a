// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/export/gguf_vocabulary.h"

namespace ql::ggufout {

using Json = nlohmann::json;

namespace {

/// llama.cpp's name of the pre-tokenizer, from the splitting rules in tokenizer.json.
std::string preTokenizerName(const std::vector<Json>& steps)
{
    if (steps.empty() || textOf(steps.back(), "type") != "ByteLevel")
        return "default";
    const bool ownSplit = !member(steps.back(), "use_regex").is_boolean() || isTrue(steps.back(), "use_regex");
    if (steps.size() == 1)
        return ownSplit ? "gpt-2" : "default";
    if (steps.size() != 2)
        return "default";
    if (textOf(steps[0], "type") == "Digits")
        return ownSplit && isTrue(steps[0], "individual_digits") ? "smollm" : "default";
    const std::string pattern = textOf(member(steps[0], "pattern"), "Regex");
    if (textOf(steps[0], "type") != "Split" || ownSplit)
        return "default";
    constexpr std::string_view kContractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|";
    if (pattern.starts_with(std::string(kContractions) + "\\p{N}{1,3}|"))
        return "llama-bpe";
    if (pattern.starts_with(std::string(kContractions) + "\\p{N}|"))
        return "qwen2";
    if (pattern.starts_with(
            "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|"))
        return "tekken";
    return "default";
}

/// Blanks inside a part are written as the byte-level blank.
std::string withByteBlanks(const std::string& part)
{
    std::string out;
    for (const char c : part)
        out += c == ' ' ? std::string("\u0120") : std::string(1, c);
    return out;
}

} // namespace

Result<Vocabulary> byteLevelVocabulary(const TokenizerFiles& files, std::int64_t tokenCount)
{
    const std::string where = files.pathOf("tokenizer.json");
    const Json& model = member(files.tokenizer, "model");
    Vocabulary made;
    made.model = "gpt2";
    made.tokens.resize(static_cast<std::size_t>(tokenCount));
    QL_CHECK(made.placeAll(member(model, "vocab"), TokenKind::normal, 0, where));
    QL_CHECK(made.placeAdded(files));
    made.fillUnused();
    QL_TRY(merges, mergesOf(model, where));
    for (const auto& [left, right] : merges)
        made.merges.push_back(withByteBlanks(left) + " " + withByteBlanks(right));
    const auto steps = stepsOf(member(files.tokenizer, "pre_tokenizer"), "pretokenizers");
    made.pre = preTokenizerName(steps);
    if (!steps.empty() && member(steps.back(), "add_prefix_space").is_boolean())
        made.spacePrefix = isTrue(steps.back(), "add_prefix_space");
    return made;
}

} // namespace ql::ggufout
