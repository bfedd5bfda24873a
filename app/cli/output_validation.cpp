// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/output_validation.h"

#include "core/model/evaluation/text_cases.h"

#include <nlohmann/json.hpp>

namespace ql::cli {

namespace {

nlohmann::ordered_json json(const RowMean& mean)
{
    return {{"value", numberOrNull(mean.value)}, {"error", numberOrNull(mean.error)}};
}

nlohmann::ordered_json json(const AnswerScore& score)
{
    return {{"loss", json(score.loss)}, {"top1", json(score.top1)}, {"top5", json(score.top5)}};
}

Result<Cases> casesOf(Console& console, const Model& model, const graph::Graph& graph, const TextOptions& text,
                      const CaseOptions& arrays)
{
    if (arrays.isGiven())
        return arrays.open(model, graph, console.context());
    QL_TRY(tokens, text.readTokens(console, model, TextReader::encoder));
    return encoderCases(graph, tokens, text.context, text.windows);
}

} // namespace

Result<nlohmann::ordered_json> validateOutputs(Console& console, const Model& model, const graph::Graph& graph,
                                               const TextOptions& text, const CaseOptions& arrays,
                                               const ModelVersion& own, const ModelVersion* other)
{
    QL_TRY(cases, casesOf(console, model, graph, text, arrays));
    const std::int64_t batches = ceilDiv(cases.count, cases.perComparison());
    console.status("running " + std::to_string(batches) + " batches");
    QL_TRY(score, evaluateCases({.graph = graph, .cases = cases, .model = own, .other = other}, console.context()));
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
