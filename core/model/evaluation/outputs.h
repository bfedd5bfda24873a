// SPDX-License-Identifier: GPL-3.0-or-later
// Runs an encoder or a classifier, and another version of it beside it, over batches of inputs and compares what comes
// out: how far embeddings and logits moved, and how often known answers (classes, masked tokens) are found. Memory is
// one segment's weights and the values of one batch, twice. Sums in double, in order: equal bits for any thread count
// on one CPU.
#pragma once

#include "core/model/evaluation/version.h"

#include <functional>

namespace ql {

struct OutputBatch {
    graph::Values<float> inputs; // of the graph
    std::vector<std::int64_t>
        answers; // for each row of "logits" the right column, −1 where none is known; may be empty
};

/// A mean over rows and its standard error, √(variance / (n − 1)); 0 below two rows.
struct RowMean {
    double value = 0;
    double error = 0;
};

/// Of one output of the graph, real numbers [rows…, width]; also of "embedding", the mean of "hidden" [batch, tokens,
/// width] over the tokens that attention_mask leaves.
struct OutputScore {
    std::string name;
    std::int64_t rows = 0;
    double sqnrDb = 0; // 10·log10(Σx² / Σ(x − y)²), +inf if equal
    RowMean cosine;    // of the rows of both versions
    double leastCosine = 0;
};

/// Over the rows with a known answer.
struct AnswerScore {
    std::int64_t count = 0;
    RowMean loss;       // −ln p(answer); of masked tokens: the MLM loss
    RowMean top1, top5; // shares of answers that are the most likely column, among the five most likely
};

struct OutputsScore {
    std::vector<OutputScore> outputs; // empty without another version
    AnswerScore model, other;
    RowMean sameTop; // share of all rows of logits with the same most likely column; 0 without another version
};

struct OutputsTask {
    const graph::Graph& graph;
    std::int64_t batches = 0;
    std::function<Result<OutputBatch>(std::int64_t index)> batch;
    ModelVersion model;
    const ModelVersion* other = nullptr; // null: answers only
    /// Called after each batch with what is known by then and the number of batches behind it.
    std::function<void(const OutputsScore& score, std::int64_t batches)> onScore = {};
};

/// An error where there is nothing to compare (neither another version nor answers), where outputs are not finite, and
/// where their shapes follow from values and differ between the versions.
Result<OutputsScore> evaluateOutputs(const OutputsTask& task, const JobContext& context);

} // namespace ql
