// SPDX-License-Identifier: GPL-3.0-or-later
// Runs an encoder or a classifier, and another version of it beside it, over batches of inputs and compares what comes
// out: how far embeddings and logits moved, and how often known answers (classes, masked tokens) are found. Memory is
// one segment's weights and the values of one batch, twice. Sums in double, in order: equal bits for any thread count
// on one CPU.
#pragma once

#include "core/model/evaluation/scores.h"
#include "core/model/evaluation/version.h"

namespace ql {

struct OutputBatch {
    graph::Values<float> inputs; // of the graph
    std::vector<std::int64_t>
        answers; // for each row of "logits" the right column, −1 where none is known; may be empty
};

struct OutputsTask {
    const graph::Graph& graph;
    std::int64_t batches = 0;
    std::function<Result<OutputBatch>(std::int64_t index)> batch;
    ModelVersion model;
    const ModelVersion* other = nullptr; // null: answers only
};

/// Of one output of the graph, [rows…, width]; also of "embedding", the mean of "hidden" [batch, tokens, width] over
/// the tokens that attention_mask leaves.
struct OutputScore {
    std::string name;
    std::int64_t rows = 0;
    double sqnrDb = 0;     // 10·log10(Σx² / Σ(x − y)²), +inf if equal
    double meanCosine = 0; // of the rows of both versions
    double leastCosine = 0;
};

/// Over the rows with a known answer.
struct AnswerScore {
    std::int64_t count = 0;
    double loss = 0;           // mean −ln p(answer); of masked tokens: the MLM loss
    double top1 = 0, top5 = 0; // shares of answers that are the most likely column, among the five most likely
};

struct OutputsScore {
    std::vector<OutputScore> outputs; // empty without another version
    AnswerScore model, other;
    double sameTop = 0; // share of all rows of logits with the same most likely column; 0 without another version
};

Result<OutputsScore> evaluateOutputs(const OutputsTask& task, const JobContext& context);

} // namespace ql
