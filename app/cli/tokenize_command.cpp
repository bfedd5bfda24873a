// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "core/base/file.h"
#include "core/base/text.h"
#include "core/model/evaluation/text_tokens.h"
#include "core/model/tokenizer/tokenizer.h"

#include <nlohmann/json.hpp>

#include <iostream>
#include <iterator>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string model;
    std::optional<std::string> text;
    std::string file;
    bool ids = false;
    EncodeOptions encode;
};

Result<std::string> readText(const Options& options)
{
    if (options.text)
        return *options.text;
    if (!options.file.empty())
        return readTextFile(options.file, kLargestText);
    return std::string(std::istreambuf_iterator<char>(std::cin), {});
}

nlohmann::ordered_json idOrNull(const std::optional<std::int64_t>& id)
{
    return id ? nlohmann::ordered_json(*id) : nlohmann::ordered_json();
}

Result<int> run(Console& console, const Options& options)
{
    if (options.text && !options.file.empty())
        return usageError("give --text or --file, not both");
    QL_TRY(tokenizer, openTokenizer(std::filesystem::path(options.model), console.context()));
    console.warn(tokenizer->warnings());
    QL_TRY(text, readText(options));
    QL_TRY(encoded, tokenizer->encode(text, options.encode, console.context()));
    console.warn(encoded.warnings);
    if (options.ids && !console.json()) {
        for (const std::int64_t id : encoded.ids)
            std::cout << id << '\n';
        return 0;
    }
    nlohmann::ordered_json document{
        {"tokenizer", tokenizer->title()},           {"path", tokenizer->path().string()},
        {"vocabulary", tokenizer->vocabularySize()}, {"bos", idOrNull(tokenizer->bosId())},
        {"eos", idOrNull(tokenizer->eosId())},       {"unknown", idOrNull(tokenizer->unknownId())},
        {"pad", idOrNull(tokenizer->padId())},       {"adds_bos", tokenizer->addsBos()},
        {"adds_eos", tokenizer->addsEos()},          {"count", encoded.ids.size()}};
    if (options.ids) {
        document["ids"] = encoded.ids;
    } else {
        auto rows = nlohmann::ordered_json::array();
        for (const std::int64_t id : encoded.ids)
            rows.push_back({{"id", id}, {"piece", tokenizer->piece(id)}});
        document["tokens"] = std::move(rows);
    }
    console.show(document);
    return 0;
}

} // namespace

extern const Command tokenize_;
const Command tokenize_{
    "tokenize", "a text as token ids and pieces, by the model's own tokenizer", [](CLI::App& app) -> CommandRun {
        const auto options = std::make_shared<Options>();
        app.add_option("FILE", options->model, "model folder, GGUF file, tokenizer.json, tokenizer.model or vocab.txt")
            ->required();
        app.add_option("--text", options->text, "the text; without --text and --file it is read from standard input");
        app.add_option("--file", options->file, "a file with the text");
        app.add_flag("--ids", options->ids, "only ids, one a line (with --json: a list)");
        app.add_flag("--special", options->encode.addSpecial,
                     "with what the tokenizer puts around a text (BOS, [CLS])");
        app.add_flag("!--no-parse-special", options->encode.parseSpecial,
                     "special tokens written in the text are text like any other");
        return [options](Console& console) { return run(console, *options); };
    }};

} // namespace ql::cli::commands
