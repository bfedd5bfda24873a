// SPDX-License-Identifier: GPL-3.0-or-later
// tokenizer.json of Hugging Face tokenizers, and vocab.txt of BERT as the same document.
#include "core/base/file.h"
#include "core/checkpoint/config_json.h"
#include "core/model/tokenizer/pipeline.h"

#include <algorithm>
#include <limits>

namespace ql::tok {

namespace {

constexpr std::int64_t kLargestFile = std::int64_t{256} << 20U;
constexpr std::int64_t kLargestConfig = std::int64_t{16} << 20U;

Result<std::vector<AddedToken>> readAddedTokens(const Json& list, const std::string& where)
{
    std::vector<AddedToken> tokens;
    if (list.is_null())
        return tokens;
    if (!list.is_array())
        return badInput("has 'added_tokens' that are no list", where);
    for (const Json& entry : list) {
        const Fields fields(entry, where);
        AddedToken token;
        QL_TRY(content, fields.text("content"));
        QL_TRY(id, fields.count("id"));
        QL_TRY(singleWord, fields.boolean("single_word", false));
        QL_TRY(left, fields.boolean("lstrip", false));
        QL_TRY(right, fields.boolean("rstrip", false));
        QL_TRY(normalized, fields.boolean("normalized", true));
        QL_TRY(special, fields.boolean("special", false));
        token.content = content;
        token.id = static_cast<std::int32_t>(id);
        token.singleWord = singleWord;
        token.leftStrip = left;
        token.rightStrip = right;
        token.normalized = normalized;
        token.special = special;
        if (!token.content.empty())
            tokens.push_back(std::move(token));
    }
    return tokens;
}

/// Ids around a text, of one post-processor.
struct Around {
    std::vector<std::int64_t> before;
    std::vector<std::int64_t> behind;
};

Result<Around> aroundByTemplate(const Fields& fields)
{
    Around around;
    bool textSeen = false;
    QL_TRY(parts, fields.array("single"));
    for (const Json& part : *parts) {
        const Fields piece(part, fields.where());
        const Json& sequence = piece["Sequence"];
        const Json& special = piece["SpecialToken"];
        if (sequence.is_object()) {
            if (textSeen || Fields(sequence, fields.where())["id"] != "A")
                return fields.cannot("does not put one text in 'single', once");
            textSeen = true;
            continue;
        }
        const Fields tokens(fields["special_tokens"], fields.where());
        const Json& name = Fields(special, fields.where())["id"];
        const Json& ids =
            Fields(name.is_string() ? tokens[name.get<std::string>().c_str()] : name, fields.where())["ids"];
        if (!ids.is_array())
            return fields.wrong("has a part of 'single' that is neither a text nor one of its 'special_tokens'");
        for (const Json& id : ids) {
            if (!id.is_number_unsigned() || id.get<std::uint64_t>() >= static_cast<std::uint64_t>(Vocabulary::kMostIds))
                return fields.wrong("has an id that is no whole number");
            (textSeen ? around.behind : around.before).push_back(id.get<std::int64_t>());
        }
    }
    if (!textSeen)
        return fields.cannot("leaves the text out of 'single'");
    return around;
}

/// BertProcessing and RobertaProcessing: "cls" before, "sep" behind, as [text, id].
Result<Around> aroundByPair(const Fields& fields)
{
    Around around;
    for (const char* key : {"cls", "sep"}) {
        const Json& entry = fields[key];
        if (!entry.is_array() || entry.size() != 2 || !entry[1].is_number_integer() || entry[1] < 0)
            return fields.wrong("needs '" + std::string(key) + "' to be a text and its id");
        (key[0] == 'c' ? around.before : around.behind).push_back(entry[1].get<std::int64_t>());
    }
    return around;
}

Result<void> readPostProcessor(Pipeline& pipeline, const Json& component, const std::string& where)
{
    QL_TRY(flat, flatten(component, "processors", where));
    for (const Json* each : flat) {
        const Fields fields(*each, where);
        const std::string type = fields.type();
        if (type == "ByteLevel")
            continue; // trims offsets only
        if (type != "TemplateProcessing" && type != "BertProcessing" && type != "RobertaProcessing")
            return fields.cannot("is no post-processor that QuantLoupe has");
        QL_TRY(around, type == "TemplateProcessing" ? aroundByTemplate(fields) : aroundByPair(fields));
        pipeline.prefix.insert(pipeline.prefix.begin(), around.before.begin(), around.before.end());
        pipeline.suffix.insert(pipeline.suffix.end(), around.behind.begin(), around.behind.end());
    }
    return {};
}

/// A JSON object of at most 64 levels, or null if there is no such file or it is something else.
Json readOptional(const std::filesystem::path& file)
{
    const auto text = readTextFile(file, kLargestConfig);
    return text && isHarmlessObject(*text) ? Json::parse(*text) : Json();
}

} // namespace

Result<void> addTokens(Pipeline& pipeline, std::vector<AddedToken> tokens, Overlap overlap)
{
    Executor executor(1);
    const JobContext context(executor);
    std::vector<AddedToken> raw;
    std::vector<AddedToken> normalized;
    for (AddedToken& token : tokens) {
        QL_CHECK(pipeline.vocabulary.add(token.content, token.id, pipeline.path.string()));
        if (token.special)
            pipeline.specialIds.insert(token.id);
        if (!token.normalized) {
            raw.push_back(std::move(token));
            continue;
        }
        Words words{token.content, {{0, token.content.size(), -1, true}}};
        for (const Normalizer& normalizer : pipeline.normalizers)
            QL_CHECK(normalizer(words, context));
        if (words.text != token.content)
            pipeline.decodedAs[token.id] = words.text;
        token.content = words.text;
        normalized.push_back(std::move(token));
    }
    pipeline.rawTokens = AddedTokens(std::move(raw), overlap);
    pipeline.normalizedTokens = AddedTokens(std::move(normalized), overlap);
    return {};
}

void readSpecialTokens(Pipeline& pipeline, const std::filesystem::path& folder)
{
    const Json config = readOptional(folder / "tokenizer_config.json");
    const Json map = readOptional(folder / "special_tokens_map.json");
    const std::string where = (folder / "tokenizer_config.json").string();
    const auto idNamed = [&](const char* key) -> std::optional<std::int64_t> {
        for (const Json* source : {&config, &map}) {
            const Json& entry = Fields(*source, where)[key];
            const Json& text = entry.is_object() ? Fields(entry, where)["content"] : entry;
            const std::int32_t id = text.is_string() ? pipeline.vocabulary.idOf(text.get<std::string>()) : -1;
            if (id >= 0)
                return id;
        }
        return std::nullopt;
    };
    const auto set = [&](std::optional<std::int64_t>& id, const char* key, const char* orKey) {
        for (const char* each : {key, orKey})
            if (!id)
                id = idNamed(each);
    };
    set(pipeline.bos, "bos_token", "cls_token");
    set(pipeline.eos, "eos_token", "sep_token");
    set(pipeline.unknown, "unk_token", "unk_token");
    set(pipeline.pad, "pad_token", "pad_token");
    const auto contradicts = [&](const char* key, const std::vector<std::int64_t>& ids,
                                 const std::optional<std::int64_t>& id) {
        const Json& said = Fields(config, where)[key];
        const bool does = id && std::ranges::find(ids, *id) != ids.end();
        if (said.is_boolean() && said.get<bool>() != does)
            pipeline.warnings.push_back({where, "says " + std::string(key) + " = " + said.dump() +
                                                    ", but the post-processor of tokenizer.json does the contrary; the "
                                                    "latter counts"});
    };
    contradicts("add_bos_token", pipeline.prefix, pipeline.bos);
    contradicts("add_eos_token", pipeline.suffix, pipeline.eos);
}

Result<std::unique_ptr<Pipeline>> pipelineOf(const Json& document, const std::filesystem::path& file)
{
    const std::string where = file.string();
    const Fields fields(document, where);
    auto pipeline = std::make_unique<Pipeline>();
    pipeline->path = file;

    const Fields model(fields["model"], where);
    const auto known = std::ranges::find_if(allTokenModels(), [&](const TokenModelKind* kind) {
        return kind->type == model.type() ||
               (model.type().empty() && kind->type == "BPE" && model["merges"].is_array()); // older files say no type
    });
    if (known == allTokenModels().end())
        return model.cannot("is no tokenizer model that QuantLoupe has");
    QL_TRY(made, (*known)->make(model, pipeline->vocabulary));
    pipeline->model = std::move(made);
    pipeline->title = std::string((*known)->title) + " (" + file.filename().string() + ")";
    if (const Json& unknown = model["unk_token"]; unknown.is_string())
        if (const auto id = pipeline->vocabulary.idOf(unknown.get<std::string>()); id >= 0)
            pipeline->unknown = id;
    if (model["unk_id"].is_number_unsigned())
        pipeline->unknown = model["unk_id"].get<std::int64_t>();

    QL_TRY(normalizers, makeNormalizers(fields["normalizer"], where));
    pipeline->normalizers = std::move(normalizers);
    QL_TRY(preTokenizers, makePreTokenizers(fields["pre_tokenizer"], where));
    pipeline->preTokenizers = std::move(preTokenizers);
    QL_TRY(decoder, makeDecoder(fields["decoder"], where));
    pipeline->decoder = std::move(decoder);
    QL_TRY(tokens, readAddedTokens(fields["added_tokens"], where));
    QL_CHECK(addTokens(*pipeline, std::move(tokens), Overlap::leftmostLongest));
    QL_CHECK(readPostProcessor(*pipeline, fields["post_processor"], where));
    return pipeline;
}

Result<std::unique_ptr<const Pipeline>> readTokenizerJson(const std::filesystem::path& file)
{
    QL_TRY(text, readTextFile(file, kLargestFile));
    if (!isHarmlessObject(text))
        return badInput("is not a JSON object of at most 64 levels", file.string());
    QL_TRY(pipeline, pipelineOf(Json::parse(text), file));
    readSpecialTokens(*pipeline, file.parent_path());
    return std::unique_ptr<const Pipeline>(std::move(pipeline));
}

Result<std::unique_ptr<const Pipeline>> readVocabText(const std::filesystem::path& file)
{
    QL_TRY(text, readTextFile(file, kLargestFile));
    Json vocabulary = Json::object();
    std::int64_t id = 0;
    std::string_view rest = text;
    if (rest.ends_with('\n'))
        rest.remove_suffix(1);
    for (const std::string_view line : split(rest, '\n')) {
        const std::string_view piece = line.ends_with('\r') ? line.substr(0, line.size() - 1) : line;
        vocabulary[std::string(piece)] = id++;
    }
    const std::filesystem::path folder = file.parent_path();
    const Json config = readOptional(folder / "tokenizer_config.json");
    const Fields settings(config, (folder / "tokenizer_config.json").string());
    QL_TRY(lowercase, settings.boolean("do_lower_case", true));
    QL_TRY(ideographs, settings.boolean("tokenize_chinese_chars", true));
    Json added = Json::array();
    Json around = Json::object();
    for (const char* name : {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"}) {
        const auto found = vocabulary.find(name);
        if (found == vocabulary.end()) {
            if (std::string_view(name) == "[MASK]" || std::string_view(name) == "[PAD]")
                continue;
            return badInput("has no line " + std::string(name) + ", so it is not a vocabulary of BERT", file.string());
        }
        added.push_back({{"id", *found}, {"content", name}, {"normalized", false}, {"special", true}});
        around[name] = *found;
    }
    const Json document{{"added_tokens", added},
                        {"normalizer",
                         {{"type", "BertNormalizer"},
                          {"clean_text", true},
                          {"handle_chinese_chars", ideographs},
                          {"strip_accents", settings["strip_accents"]},
                          {"lowercase", lowercase}}},
                        {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
                        {"post_processor",
                         {{"type", "BertProcessing"},
                          {"cls", Json::array({"[CLS]", around["[CLS]"]})},
                          {"sep", Json::array({"[SEP]", around["[SEP]"]})}}},
                        {"decoder", {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}},
                        {"model",
                         {{"type", "WordPiece"},
                          {"unk_token", "[UNK]"},
                          {"continuing_subword_prefix", "##"},
                          {"max_input_chars_per_word", 100},
                          {"vocab", vocabulary}}}};
    QL_TRY(pipeline, pipelineOf(document, file));
    readSpecialTokens(*pipeline, folder);
    for (const auto& [id_, name] :
         {std::pair{&pipeline->bos, "[CLS]"}, std::pair{&pipeline->eos, "[SEP]"}, std::pair{&pipeline->pad, "[PAD]"}})
        if (const std::int32_t known = pipeline->vocabulary.idOf(name); !*id_ && known >= 0)
            *id_ = known;
    return std::unique_ptr<const Pipeline>(std::move(pipeline));
}

} // namespace ql::tok
