// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/text_cases.h"

#include "core/model/graph/first_name.h"

namespace ql {

namespace {

constexpr double kMasked = 0.15; // the share BERT was trained with

} // namespace

Result<Cases> encoderCases(const graph::Graph& graph, const TextTokens& text, std::int64_t length, std::int64_t limit)
{
    QL_TRY(windows, text.windows(length, limit));
    const bool hasHead = firstName(graph, graph.outputs) == "logits";
    if (!hasHead || !text.mask)
        return windowCases(graph, std::move(windows));
    MaskedWindows masked = maskTokens(std::move(windows), text.mask->id, text.mask->kept, kMasked, 0);
    QL_TRY(cases, windowCases(graph, std::move(masked.windows)));
    cases.batch = [inputs = std::move(cases.batch), answers = std::move(masked.answers),
                   length](std::int64_t first, std::int64_t last, const JobContext& context) -> Result<OutputBatch> {
        QL_TRY(batch, inputs(first, last, context));
        batch.answers.assign(answers.begin() + first * length, answers.begin() + last * length);
        return batch;
    };
    return cases;
}

} // namespace ql
