// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/version_options.h"
#include "core/base/text.h"
#include "core/model/evaluation/generate.h"
#include "core/model/frontends/frontend.h"

#include <nlohmann/json.hpp>

#include <iostream>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string file;
    std::string prompt;
    std::int64_t tokens = 64;
    Sampling sampling;
    std::string memory;
    VersionOptions version;
};

/// One version's continuation, shown while it arrives.
Result<nlohmann::ordered_json> continuation(Console& console, const std::string& title, const GenerationTask& task,
                                            const JobContext& context)
{
    if (!console.json())
        std::cout << title << ":\n";
    GenerationTask shown = task;
    shown.onToken = [&](const GeneratedToken& token) {
        if (!console.json())
            std::cout << token.text << std::flush;
        return Result<void>();
    };
    QL_TRY(generation, generate(shown, context));
    if (!console.json())
        std::cout << "\n\n";
    nlohmann::ordered_json json{
        {"version", title}, {"text", generation.text()}, {"end", word(generation.end)}, {"tokens", nullptr}};
    for (const GeneratedToken& token : generation.tokens)
        json["tokens"].push_back(
            {{"id", token.id}, {"text", token.text}, {"log_probability", numberOrNull(token.logProbability)}});
    return json;
}

/// How many tokens two continuations have in common at their start.
std::size_t commonTokens(const nlohmann::ordered_json& a, const nlohmann::ordered_json& b)
{
    std::size_t n = 0;
    while (n < std::min(a.size(), b.size()) && a[n]["id"] == b[n]["id"])
        ++n;
    return n;
}

Result<int> run(Console& console, const Options& options)
{
    QL_TRY(model, openModelFor(console, options.file));
    QL_TRY(tokenizer, openTokenizer(*model->checkpoint, console.context()));
    console.warn(tokenizer->warnings());
    QL_TRY(prompt, encodePrompt(*tokenizer, options.prompt, console.context()));
    console.warn(prompt.warnings);
    std::optional<std::int64_t> memory = 0;
    if (!options.memory.empty() && !(memory = parseBytes(options.memory)))
        return usageError("'" + options.memory + "' is not a size; try 900MB or 1.5GiB");
    const JobContext& outer = console.context();
    const JobContext context(outer.executor(), outer.stopToken(), &outer.progress(), *memory);

    QL_TRY(other, options.version.open(console, model, context));
    const Model& ran = other ? *other->opened.model : *model;
    QL_TRY(graph, buildGraph(ran));
    GenerationTask task{.model = ran,
                        .graph = graph,
                        .version = other ? other->opened.baseVersion() : ownVersion(*model),
                        .prompt = prompt.ids,
                        .tokens = options.tokens,
                        .sampling = options.sampling,
                        .endIds = endIdsOf(*model->checkpoint, *tokenizer),
                        .tokenizer = tokenizer,
                        .onToken = {}};
    task.contextLength = static_cast<std::int64_t>(model->configNumber("max_position_embeddings").value_or(0));
    QL_CHECK(checkGeneration(task)); // before anything is shown
    const GenerationCost cost = generationCost(task);
    console.status("generating: about " + formatBytes(cost.weightBytes + cost.stateBytes) + " of memory, or " +
                   formatBytes(cost.segmentBytes + cost.stateBytes) + " with --memory below that");
    if (!console.json())
        std::cout << "prompt:\n" << options.prompt << "\n\n";
    auto versions = nlohmann::ordered_json::array();
    QL_TRY(original, continuation(console, "model", task, context));
    versions.push_back(std::move(original));

    nlohmann::ordered_json document{{"prompt", options.prompt}, {"prompt_ids", prompt.ids}};
    if (other) {
        task.version = other->version;
        QL_TRY(json, continuation(console, other->title, task, context));
        document["common_tokens"] = commonTokens(versions[0]["tokens"], json["tokens"]);
        versions.push_back(std::move(json));
    }
    QL_CHECK(model->checkpoint->checkIntact());
    if (console.json()) {
        document["versions"] = std::move(versions);
        console.show(document);
    }
    return 0;
}

} // namespace

extern const Command generate_;
const Command generate_{
    "generate", "continue a text, token by token, by the model and by a plan", [](CLI::App& app) -> CommandRun {
        const auto options = std::make_shared<Options>();
        app.add_option("FILE", options->file, "checkpoint file or folder")->required();
        app.add_option("--prompt", options->prompt, "the text to continue")->required();
        app.add_option("--tokens", options->tokens, "how many tokens at most")->capture_default_str();
        app.add_option("--temperature", options->sampling.temperature, "0: always the most likely token")
            ->capture_default_str();
        app.add_option("--top-k", options->sampling.topK, "draw among so many of the most likely tokens; 0: all")
            ->capture_default_str();
        app.add_option("--top-p", options->sampling.topP,
                       "and among the fewest of these that reach this share of the probability")
            ->capture_default_str();
        app.add_option("--seed", options->sampling.seed, "of the random numbers")->capture_default_str();
        app.add_option("--memory", options->memory,
                       "limit, e.g. 2GB: where all decoded weights pass it, one block's are decoded at a time");
        options->version.declare(app);
        return [options](Console& console) { return run(console, *options); };
    }};

} // namespace ql::cli::commands
