// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/file.h"
#include "core/export/gguf_sources.h"
#include "core/export/gguf_vocabulary.h"

#include <bit>

namespace ql::ggufout {

namespace {

using Json = nlohmann::json;

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

template<typename Range, typename TextOf>
Key textsKey(std::string name, const Range& range, const TextOf& text)
{
    Key key = arrayKey(std::move(name), GgufType::string, range.size());
    for (const auto& entry : range) {
        put64(key.value, text(entry).size());
        key.value += text(entry);
    }
    return key;
}

template<typename BitsOf>
Key numbersKey(std::string name, GgufType type, const std::vector<Token>& tokens, const BitsOf& bits)
{
    Key key = arrayKey(std::move(name), type, tokens.size());
    for (const Token& token : tokens)
        put32(key.value, bits(token));
    return key;
}

Result<Vocabulary> readVocabulary(const TokenizerFiles& files, std::int64_t tokenCount)
{
    const Json& model = member(files.tokenizer, "model");
    const bool bpe = textOf(model, "type") == "BPE" && member(model, "vocab").is_object();
    std::error_code error;
    if (bpe && !isTrue(model, "byte_fallback"))
        return byteLevelVocabulary(files, tokenCount);
    if (std::filesystem::exists(files.folder / "tokenizer.model", error))
        return sentencePieceVocabulary(files, tokenCount);
    if (bpe)
        return byteFallbackVocabulary(files, tokenCount);
    if (files.tokenizer.is_object())
        return refused("is no BPE tokenizer, and there is no tokenizer.model; start from a GGUF file of the model",
                       files.pathOf("tokenizer.json"));
    return refused("is missing or unreadable, and there is no tokenizer.model; a GGUF file needs the tokenizer: put it "
                   "beside the weights, or start from a GGUF file of the model",
                   files.pathOf("tokenizer.json"));
}

/// A special token: its text in tokenizer_config.json, else its number in config.json, else what the tokenizer says.
std::optional<std::int64_t> specialToken(const std::string& name, const Vocabulary& vocabulary,
                                         const TokenizerFiles& files)
{
    const Json& entry = member(files.tokenizerConfig, name + "_token");
    const std::string content = entry.is_string() ? entry.get<std::string>() : textOf(entry, "content");
    if (const auto found = vocabulary.ids.find(content); !content.empty() && found != vocabulary.ids.end())
        return found->second;
    const auto isToken = [&](std::int64_t id) { return id >= 0 && id < std::ssize(vocabulary.tokens); };
    const Json* id = &member(files.config, name + "_token_id");
    if (id->is_array() && !id->empty())
        id = &id->front();
    if (id->is_number_integer() && isToken(id->get<std::int64_t>()))
        return id->get<std::int64_t>();
    const auto own = vocabulary.specials.find(name);
    return own != vocabulary.specials.end() && isToken(own->second) ? std::optional(own->second) : std::nullopt;
}

/// Whether the post-processor puts a special token at that end of a text.
bool templateAdds(const Json& tokenizer, bool inFront)
{
    for (const Json& processor : stepsOf(member(tokenizer, "post_processor"), "processors")) {
        const Json& single = member(processor, "single");
        if (textOf(processor, "type") == "TemplateProcessing" && single.is_array() && single.size() > 1 &&
            member(inFront ? single.front() : single.back(), "SpecialToken").is_object())
            return true;
    }
    return false;
}

/// What tokenizer_config.json says under that key.
std::optional<bool> said(const TokenizerFiles& files, const char* key)
{
    const Json& value = member(files.tokenizerConfig, key);
    return value.is_boolean() ? std::optional(value.get<bool>()) : std::nullopt;
}

std::optional<std::string> chatTemplate(const TokenizerFiles& files)
{
    const Json& entry = member(files.tokenizerConfig, "chat_template");
    if (entry.is_string())
        return entry.get<std::string>();
    if (entry.is_array())
        for (const Json& named : entry)
            if (textOf(named, "name") == "default")
                return textOf(named, "template");
    std::error_code error;
    const auto file = files.folder / "chat_template.jinja";
    if (std::filesystem::exists(file, error))
        if (auto content = readTextFile(file, std::int64_t{1} << 24))
            return std::move(content).value();
    return std::nullopt;
}

} // namespace

Result<std::vector<Key>> tokenizerKeys(const std::filesystem::path& folder, const std::string& configJson,
                                       std::int64_t tokenCount)
{
    const TokenizerFiles files{.folder = folder,
                               .tokenizer = readJson(folder / "tokenizer.json"),
                               .tokenizerConfig = readJson(folder / "tokenizer_config.json"),
                               .config = Json::parse(configJson, nullptr, false)};
    QL_TRY(vocabulary, readVocabulary(files, tokenCount));

    std::vector<Key> keys;
    const auto boolean = [&](const char* name, std::optional<bool> value) {
        if (value)
            keys.push_back(numberKey("tokenizer.ggml." + std::string(name), GgufType::boolean, *value ? 1 : 0, 1));
    };
    const auto spacePrefix = said(files, "add_prefix_space");
    boolean("add_space_prefix", spacePrefix ? spacePrefix : vocabulary.spacePrefix);
    // Without a key llama.cpp goes by the kind of model, and without tokenizer.json nothing else is known.
    std::optional<bool> bos = said(files, "add_bos_token");
    if (!bos && files.tokenizer.is_object())
        bos = templateAdds(files.tokenizer, true);
    boolean("add_bos_token", bos);
    std::optional<bool> eos = said(files, "add_eos_token");
    if (!eos && templateAdds(files.tokenizer, false))
        eos = true;
    boolean("add_eos_token", eos);
    keys.push_back(textKey("tokenizer.ggml.model", vocabulary.model));
    keys.push_back(textKey("tokenizer.ggml.pre", vocabulary.pre));
    keys.push_back(textsKey("tokenizer.ggml.tokens", vocabulary.tokens,
                            [](const Token& token) -> const std::string& { return token.text; }));
    if (vocabulary.hasScores())
        keys.push_back(numbersKey("tokenizer.ggml.scores", GgufType::f32, vocabulary.tokens,
                                  [](const Token& token) { return std::bit_cast<std::uint32_t>(token.score); }));
    keys.push_back(numbersKey("tokenizer.ggml.token_type", GgufType::i32, vocabulary.tokens,
                              [](const Token& token) { return static_cast<std::uint32_t>(token.kind); }));
    if (!vocabulary.hasScores())
        keys.push_back(textsKey("tokenizer.ggml.merges", vocabulary.merges,
                                [](const std::string& merge) -> const std::string& { return merge; }));
    const std::pair<const char*, const char*> specials[] = {
        {"bos", "bos"}, {"eos", "eos"}, {"unk", "unknown"}, {"pad", "padding"}};
    for (const auto& [theirs, ours] : specials)
        if (const auto id = specialToken(theirs, vocabulary, files))
            keys.push_back(
                u32Key("tokenizer.ggml." + std::string(ours) + "_token_id", static_cast<std::uint32_t>(*id)));
    if (const auto chat = chatTemplate(files))
        keys.push_back(textKey("tokenizer.chat_template", *chat));
    return keys;
}

} // namespace ql::ggufout
