// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/export/gguf_vocabulary.h"

#include "core/base/file.h"
#include "core/base/text.h"

namespace ql::ggufout {

using Json = nlohmann::json;

namespace {

constexpr float kAddedScore = -1000;
constexpr float kUnusedScore = -10000;

/// Added tokens that models forgot to call special, by the list of llama.cpp's converter.
bool looksSpecial(std::string_view text)
{
    const auto between = [&](std::string_view begin, std::string_view end) {
        return text.size() >= begin.size() + end.size() && text.starts_with(begin) && text.ends_with(end);
    };
    return text == "<pad>" || text == "<mask>" || text == "<2mass>" || text == "[@BOS@]" || between("<|", "|>") ||
           between("<\uff5c", "\uff5c>") || between("<unused", ">");
}

/// As it stands in text: SentencePiece's mark of a blank is for pieces only.
std::string withBlanks(std::string text)
{
    constexpr std::string_view kMark = "\u2581";
    for (auto at = text.find(kMark); at != std::string::npos; at = text.find(kMark, at))
        text.replace(at, kMark.size(), " ");
    return text;
}

} // namespace

Json readJson(const std::filesystem::path& path)
{
    constexpr std::int64_t kLargest = std::int64_t{256} << 20;
    std::error_code error;
    if (!std::filesystem::exists(path, error))
        return {};
    const auto content = readTextFile(path, kLargest);
    return content ? Json::parse(*content, nullptr, false) : Json();
}

const Json& member(const Json& object, std::string_view key)
{
    static const Json kNull;
    if (!object.is_object())
        return kNull;
    const auto found = object.find(key);
    return found == object.end() ? kNull : *found;
}

std::string textOf(const Json& object, std::string_view key)
{
    const Json& value = member(object, key);
    return value.is_string() ? value.get<std::string>() : std::string();
}

bool isTrue(const Json& object, std::string_view key)
{
    const Json& value = member(object, key);
    return value.is_boolean() && value.get<bool>();
}

std::vector<Json> stepsOf(const Json& value, std::string_view key)
{
    if (textOf(value, "type") == "Sequence" && member(value, key).is_array())
        return member(value, key).get<std::vector<Json>>();
    return value.is_object() ? std::vector<Json>{value} : std::vector<Json>();
}

Result<std::vector<std::pair<std::string, std::string>>> mergesOf(const Json& model, const std::string& where)
{
    const Json& list = member(model, "merges");
    if (!list.is_array())
        return badInput("has no list of merges", where);
    std::vector<std::pair<std::string, std::string>> merges;
    merges.reserve(list.size());
    for (const Json& merge : list) {
        if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
            merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
            continue;
        }
        const std::string joined = merge.is_string() ? merge.get<std::string>() : std::string();
        const auto blank = joined.find(' ');
        if (blank == std::string::npos || joined.find(' ', blank + 1) != std::string::npos)
            return badInput("has a merge that is not two texts", where);
        merges.emplace_back(joined.substr(0, blank), joined.substr(blank + 1));
    }
    return merges;
}

Result<void> Vocabulary::place(Token token, std::int64_t id, const std::string& where)
{
    if (id < 0)
        return badInput("has a token without a number", where);
    if (id >= std::ssize(tokens))
        return refused("has the token number " + std::to_string(id) + ", but the embedding has " +
                           std::to_string(tokens.size()) + " rows: the tokenizer belongs to another model",
                       where);
    Token& row = tokens[static_cast<std::size_t>(id)];
    if (const auto old = ids.find(row.text); row.kind != TokenKind::unused && old != ids.end() && old->second == id)
        ids.erase(old);
    ids[token.text] = id;
    row = std::move(token);
    return {};
}

Result<void> Vocabulary::placeAll(const Json& numbers, TokenKind kind, float score, const std::string& where)
{
    for (const auto& [text, id] : numbers.items())
        QL_CHECK(place({text, kind, score}, id.is_number_integer() ? id.get<std::int64_t>() : -1, where));
    return {};
}

Result<void> Vocabulary::placeAdded(const TokenizerFiles& files)
{
    const Json older = readJson(files.folder / "added_tokens.json");
    if (older.is_object())
        QL_CHECK(placeAll(older, TokenKind::userDefined, kAddedScore, files.pathOf("added_tokens.json")));
    const auto add = [&](const Json& token, std::int64_t id, const char* file) {
        const std::string text = textOf(token, "content");
        const bool control = isTrue(token, "special") || looksSpecial(text);
        return place(
            {control ? text : withBlanks(text), control ? TokenKind::control : TokenKind::userDefined, kAddedScore}, id,
            files.pathOf(file));
    };
    for (const Json& token : member(files.tokenizer, "added_tokens")) {
        const Json& id = member(token, "id");
        QL_CHECK(add(token, id.is_number_integer() ? id.get<std::int64_t>() : -1, "tokenizer.json"));
    }
    for (const auto& [id, token] : member(files.tokenizerConfig, "added_tokens_decoder").items())
        QL_CHECK(add(token, parseInt(id).value_or(-1), "tokenizer_config.json"));
    return {};
}

Result<void> Vocabulary::checkBytes(const std::string& where) const
{
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    for (std::size_t byte = 0; byte < 256; ++byte) {
        const std::string text = std::string("<0x") + kDigits[byte / 16] + kDigits[byte % 16] + '>';
        const auto id = ids.find(text);
        if (id == ids.end() || tokens[static_cast<std::size_t>(id->second)].kind != TokenKind::byte)
            return refused("has no token " + text + " for a byte, and llama.cpp needs all 256; use another target",
                           where);
    }
    return {};
}

void Vocabulary::fillUnused()
{
    for (std::size_t i = 0; i < tokens.size(); ++i)
        if (tokens[i].text.empty())
            tokens[i] = {"[PAD" + std::to_string(i) + "]", TokenKind::unused, kUnusedScore};
}

} // namespace ql::ggufout
