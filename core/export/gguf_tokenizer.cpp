// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/file.h"
#include "core/base/text.h"
#include "core/export/gguf_sources.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <optional>

namespace ql::ggufout {

namespace {

using Json = nlohmann::json;
constexpr std::int64_t kLargestTokenizer = std::int64_t{256} << 20;
enum TokenType : std::int32_t { kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5 };

const Json& member(const Json& object, std::string_view key)
{
    static const Json kNull;
    if (!object.is_object())
        return kNull;
    const auto found = object.find(key);
    return found == object.end() ? kNull : *found;
}

std::string text(const Json& object, std::string_view key)
{
    const Json& value = member(object, key);
    return value.is_string() ? value.get<std::string>() : std::string();
}

bool isTrue(const Json& object, std::string_view key)
{
    const Json& value = member(object, key);
    return value.is_boolean() && value.get<bool>();
}

Json readJson(const std::filesystem::path& path)
{
    std::error_code error;
    if (!std::filesystem::exists(path, error))
        return {};
    const auto content = readTextFile(path, kLargestTokenizer);
    return content ? Json::parse(*content, nullptr, false) : Json();
}

void put32(std::string& out, std::uint32_t value)
{
    for (int i = 0; i < 4; ++i)
        out += static_cast<char>((value >> (8 * i)) & 0xffU);
}

void put64(std::string& out, std::uint64_t value)
{
    for (int i = 0; i < 8; ++i)
        out += static_cast<char>((value >> (8 * i)) & 0xffU);
}

Key arrayKey(std::string name, GgufType element, std::size_t count)
{
    Key key{std::move(name), GgufType::array, {}};
    put32(key.value, static_cast<std::uint32_t>(element));
    put64(key.value, count);
    return key;
}

Key textsKey(std::string name, const std::vector<std::string>& texts)
{
    Key key = arrayKey(std::move(name), GgufType::string, texts.size());
    for (const std::string& entry : texts) {
        put64(key.value, entry.size());
        key.value += entry;
    }
    return key;
}

std::vector<Json> preTokenizerSteps(const Json& preTokenizer)
{
    std::vector<Json> steps;
    if (text(preTokenizer, "type") == "Sequence" && member(preTokenizer, "pretokenizers").is_array())
        steps = member(preTokenizer, "pretokenizers").get<std::vector<Json>>();
    else if (preTokenizer.is_object())
        steps.push_back(preTokenizer);
    return steps;
}

/// llama.cpp's name of the pre-tokenizer, from the splitting rules in tokenizer.json.
std::string preTokenizerName(const Json& preTokenizer)
{
    const std::vector<Json> steps = preTokenizerSteps(preTokenizer);
    if (steps.empty() || text(steps.back(), "type") != "ByteLevel")
        return "default";
    const bool ownSplit = !member(steps.back(), "use_regex").is_boolean() || isTrue(steps.back(), "use_regex");
    if (steps.size() == 1)
        return ownSplit ? "gpt-2" : "default";
    if (steps.size() != 2)
        return "default";
    if (text(steps[0], "type") == "Digits")
        return ownSplit && isTrue(steps[0], "individual_digits") ? "smollm" : "default";
    const std::string pattern = text(member(steps[0], "pattern"), "Regex");
    if (text(steps[0], "type") != "Split" || ownSplit)
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

struct Tokens {
    std::vector<std::string> texts;
    std::vector<std::int32_t> types;
    std::map<std::string, std::int64_t> ids;
};

Result<Tokens> readTokens(const Json& tokenizer, std::int64_t tokenCount, const std::string& where)
{
    Tokens tokens;
    tokens.texts.resize(static_cast<std::size_t>(tokenCount));
    tokens.types.assign(static_cast<std::size_t>(tokenCount), kUnused);
    const auto place = [&](const std::string& token, const Json& id, std::int32_t type) -> Result<void> {
        if (!id.is_number_integer() || id.get<std::int64_t>() < 0)
            return badInput("has a token without a number", where);
        const auto index = id.get<std::int64_t>();
        if (index >= tokenCount)
            return refused("has the token number " + std::to_string(index) + ", but the embedding has " +
                               std::to_string(tokenCount) + " rows: the tokenizer belongs to another model",
                           where);
        tokens.texts[static_cast<std::size_t>(index)] = token;
        tokens.types[static_cast<std::size_t>(index)] = type;
        tokens.ids[token] = index;
        return {};
    };
    for (const auto& [token, id] : member(member(tokenizer, "model"), "vocab").items())
        QL_CHECK(place(token, id, kNormal));
    const Json& added = member(tokenizer, "added_tokens");
    if (added.is_array())
        for (const Json& token : added)
            QL_CHECK(
                place(text(token, "content"), member(token, "id"), isTrue(token, "special") ? kControl : kUserDefined));
    for (std::size_t i = 0; i < tokens.texts.size(); ++i)
        if (tokens.types[i] == kUnused)
            tokens.texts[i] = "[PAD" + std::to_string(i) + "]";
    return tokens;
}

/// Merges as "left right"; blanks inside a part are written as the byte-level blank.
Result<std::vector<std::string>> readMerges(const Json& model, const std::string& where)
{
    const Json& list = member(model, "merges");
    if (!list.is_array())
        return badInput("has no list of merges", where);
    std::vector<std::string> merges;
    merges.reserve(list.size());
    for (const Json& merge : list) {
        if (merge.is_string()) {
            merges.push_back(merge.get<std::string>());
            continue;
        }
        if (!merge.is_array() || merge.size() != 2 || !merge[0].is_string() || !merge[1].is_string())
            return badInput("has a merge that is not two texts", where);
        std::string joined;
        for (const Json& part : merge) {
            joined += joined.empty() ? "" : " ";
            for (const char c : part.get_ref<const std::string&>())
                joined += c == ' ' ? std::string("\u0120") : std::string(1, c);
        }
        merges.push_back(std::move(joined));
    }
    return merges;
}

/// A special token: its text in tokenizer_config.json, else its number in config.json.
std::optional<std::int64_t> specialToken(const std::string& name, const Tokens& tokens, const Json& tokenizerConfig,
                                         const Json& config)
{
    const Json& entry = member(tokenizerConfig, name + "_token");
    const std::string content = entry.is_string() ? entry.get<std::string>() : text(entry, "content");
    if (const auto found = tokens.ids.find(content); !content.empty() && found != tokens.ids.end())
        return found->second;
    const Json* id = &member(config, name + "_token_id");
    if (id->is_array() && !id->empty())
        id = &id->front();
    if (id->is_number_integer() && id->get<std::int64_t>() >= 0 && id->get<std::int64_t>() < std::ssize(tokens.texts))
        return id->get<std::int64_t>();
    return std::nullopt;
}

/// Whether the tokenizer puts the first token in front: said in tokenizer_config.json, else by the post-processor.
bool addsBos(const Json& tokenizerConfig, const Json& tokenizer)
{
    const Json& said = member(tokenizerConfig, "add_bos_token");
    if (said.is_boolean())
        return said.get<bool>();
    std::vector<Json> processors;
    const Json& post = member(tokenizer, "post_processor");
    if (text(post, "type") == "Sequence" && member(post, "processors").is_array())
        processors = member(post, "processors").get<std::vector<Json>>();
    else
        processors.push_back(post);
    for (const Json& processor : processors) {
        const Json& single = member(processor, "single");
        if (text(processor, "type") == "TemplateProcessing" && single.is_array() && !single.empty() &&
            member(single.front(), "SpecialToken").is_object())
            return true;
    }
    return false;
}

/// Whether a blank is put in front, if anything says so.
std::optional<bool> addsSpace(const Json& tokenizerConfig, const Json& tokenizer)
{
    if (const Json& said = member(tokenizerConfig, "add_prefix_space"); said.is_boolean())
        return said.get<bool>();
    const auto steps = preTokenizerSteps(member(tokenizer, "pre_tokenizer"));
    if (!steps.empty() && member(steps.back(), "add_prefix_space").is_boolean())
        return isTrue(steps.back(), "add_prefix_space");
    return std::nullopt;
}

std::optional<std::string> chatTemplate(const Json& tokenizerConfig, const std::filesystem::path& folder)
{
    const Json& entry = member(tokenizerConfig, "chat_template");
    if (entry.is_string())
        return entry.get<std::string>();
    if (entry.is_array())
        for (const Json& named : entry)
            if (text(named, "name") == "default")
                return text(named, "template");
    std::error_code error;
    const auto file = folder / "chat_template.jinja";
    if (std::filesystem::exists(file, error))
        if (auto content = readTextFile(file, std::int64_t{1} << 24))
            return std::move(content).value();
    return std::nullopt;
}

} // namespace

Result<std::vector<Key>> tokenizerKeys(const std::filesystem::path& folder, const std::string& configJson,
                                       std::int64_t tokenCount)
{
    const std::string where = (folder / "tokenizer.json").string();
    const Json tokenizer = readJson(folder / "tokenizer.json");
    const Json tokenizerConfig = readJson(folder / "tokenizer_config.json");
    const Json config = Json::parse(configJson, nullptr, false);
    const Json& model = member(tokenizer, "model");
    if (!tokenizer.is_object())
        return refused("is missing or unreadable; a GGUF file needs the tokenizer: put it beside the weights, or start "
                       "from a GGUF file of the model",
                       where);
    if (text(model, "type") != "BPE" || isTrue(model, "byte_fallback") || !member(model, "vocab").is_object())
        return refused("is not a byte-level BPE tokenizer (SentencePiece models need scores that it does not hold); "
                       "start from a GGUF file of the model",
                       where);
    QL_TRY(tokens, readTokens(tokenizer, tokenCount, where));
    QL_TRY(merges, readMerges(model, where));

    std::vector<Key> keys;
    const auto boolean = [](std::string name, bool value) {
        return numberKey(std::move(name), GgufType::boolean, value ? 1 : 0, 1);
    };
    if (const auto prefix = addsSpace(tokenizerConfig, tokenizer))
        keys.push_back(boolean("tokenizer.ggml.add_space_prefix", *prefix));
    keys.push_back(boolean("tokenizer.ggml.add_bos_token", addsBos(tokenizerConfig, tokenizer)));
    keys.push_back(textKey("tokenizer.ggml.model", "gpt2"));
    keys.push_back(textKey("tokenizer.ggml.pre", preTokenizerName(member(tokenizer, "pre_tokenizer"))));
    keys.push_back(textsKey("tokenizer.ggml.tokens", tokens.texts));
    Key types = arrayKey("tokenizer.ggml.token_type", GgufType::i32, tokens.types.size());
    for (const std::int32_t type : tokens.types)
        put32(types.value, static_cast<std::uint32_t>(type));
    keys.push_back(std::move(types));
    keys.push_back(textsKey("tokenizer.ggml.merges", merges));
    const std::pair<const char*, const char*> specials[] = {
        {"bos", "bos"}, {"eos", "eos"}, {"unk", "unknown"}, {"pad", "padding"}};
    for (const auto& [theirs, ours] : specials)
        if (const auto id = specialToken(theirs, tokens, tokenizerConfig, config))
            keys.push_back(
                u32Key("tokenizer.ggml." + std::string(ours) + "_token_id", static_cast<std::uint32_t>(*id)));
    if (const auto chat = chatTemplate(tokenizerConfig, folder))
        keys.push_back(textKey("tokenizer.chat_template", *chat));
    return keys;
}

} // namespace ql::ggufout
