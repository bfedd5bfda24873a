// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/output_validation.h"

#include "core/model/tokenizer/tokenizer.h"

#include <nlohmann/json.hpp>

namespace ql::cli {

namespace {

constexpr double kMasked = 0.15; // the share BERT was trained with

/// Windows of text; with a mask token and a head some tokens are hidden and asked for.
Result<Cases> textCases(Console& console, const Model& model, const graph::Graph& graph, const TextOptions& text)
{
    QL_TRY(tokenizer, openTokenizer(*model.checkpoint, console.context()));
    console.warn(tokenizer->warnings());
    QL_TRY(windows, text.readWrapped(console, model, *tokenizer));
    const bool hasHead = graph.values[static_cast<std::size_t>(graph.outputs.front())].name == "logits";
    auto mask = tokenizer->idOf("[MASK]");
    if (!mask)
        mask = tokenizer->idOf("<mask>");
    if (!hasHead || !mask)
        return windowCases(graph, std::move(windows));
    std::vector<std::int64_t> kept(tokenizer->prefixIds().begin(), tokenizer->prefixIds().end());
    kept.insert(kept.end(), tokenizer->suffixIds().begin(), tokenizer->suffixIds().end());
    MaskedWindows masked = maskTokens(std::move(windows), *mask, kept, kMasked, 0);
    const std::int64_t length = masked.windows.length;
    QL_TRY(cases, windowCases(graph, std::move(masked.windows)));
    cases.batch = [inputs = std::move(cases.batch), answers = std::move(masked.answers),
                   length](std::int64_t first, std::int64_t last, const JobContext& context) -> Result<OutputBatch> {
        QL_TRY(batch, inputs(first, last, context));
        batch.answers.assign(answers.begin() + first * length, answers.begin() + last * length);
        return batch;
    };
    return cases;
}

nlohmann::ordered_json json(const RowMean& mean)
{
    return {{"value", numberOrNull(mean.value)}, {"error", numberOrNull(mean.error)}};
}

nlohmann::ordered_json json(const AnswerScore& score)
{
    return {{"loss", json(score.loss)}, {"top1", json(score.top1)}, {"top5", json(score.top5)}};
}

} // namespace

Result<nlohmann::ordered_json> validateOutputs(Console& console, const Model& model, const graph::Graph& graph,
                                               const TextOptions& text, const CaseOptions& arrays,
                                               const ModelVersion& own, const ModelVersion* other)
{
    QL_TRY(cases,
           arrays.isGiven() ? arrays.open(model, graph, console.context()) : textCases(console, model, graph, text));
    const std::int64_t size = arrays.isGiven() ? cases.perRun() : 1;
    const std::int64_t batches = ceilDiv(cases.count, size);
    console.status("running " + std::to_string(batches) + " batches");
    const auto batch = [&](std::int64_t index) {
        return cases.batch(index * size, std::min(cases.count, (index + 1) * size), console.context());
    };
    QL_TRY(score, evaluateOutputs({.graph = graph, .batches = batches, .batch = batch, .model = own, .other = other},
                                  console.context()));
    nlohmann::ordered_json document{{"batches", batches}};
    if (score.model.count > 0) {
        document["answers"] = score.model.count;
        document["model"] = json(score.model);
        if (other)
            document["other"] = json(score.other);
    }
    if (other) {
        auto outputs = nlohmann::ordered_json::array();
        for (const OutputScore& output : score.outputs)
            outputs.push_back({{"name", output.name},
                               {"rows", output.rows},
                               {"sqnr_db", numberOrNull(output.sqnrDb)},
                               {"mean_cosine", numberOrNull(output.cosine.value)},
                               {"mean_cosine_error", numberOrNull(output.cosine.error)},
                               {"least_cosine", output.leastCosine}});
        document["outputs"] = std::move(outputs);
        if (std::ranges::find(score.outputs, "logits", &OutputScore::name) != score.outputs.end())
            document["same_top"] = json(score.sameTop);
    }
    return document;
}

} // namespace ql::cli
