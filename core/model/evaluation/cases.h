// SPDX-License-Identifier: GPL-3.0-or-later
// What a model is run on, case by case, each computed by itself: windows of tokens, rows of arrays, pictures. They are
// read when they are asked for, a few at a time. Thread-compatible.
#pragma once

#include "core/model/evaluation/outputs.h"
#include "core/model/evaluation/windows.h"
#include "core/model/model.h"

#include <functional>

namespace ql {

struct Cases {
    std::int64_t count = 0;
    std::int64_t tokens = 0; // in each; 0 where that is not known before they run
    std::string fingerprint; // of their content
    /// Cases [first, last): inputs of the graph, and answers where they are known.
    std::function<Result<OutputBatch>(std::int64_t first, std::int64_t last, const JobContext& context)> batch;

    static constexpr std::int64_t kTokensPerRun = 4096;
    /// How many run together: those of about kTokensPerRun tokens.
    std::int64_t perRun() const;
    /// How many are compared together: windows of text one by one, as their logits may be large.
    std::int64_t perComparison() const { return tokens > 0 ? 1 : perRun(); }
};

/// The first `limit` of them; 0: all.
Cases firstOf(Cases cases, std::int64_t limit);

/// Whether the graph's first input are ids of tokens, or pictures.
bool readsTokens(const graph::Graph& graph);
bool seesPictures(const graph::Graph& graph);

/// The graph's first input are tokens. Exported graphs also get attention_mask (ones), token_type_ids (zeros) and
/// position_ids (0, 1, …) where they take them. Refused by graphs without inputs.
Result<Cases> windowCases(const graph::Graph& graph, Windows windows);

/// Arrays of a .npz file named as the graph's inputs, [cases, …], and optionally "labels" [cases], the answers. Errors
/// name an input without an array, and arrays with another number of cases.
Result<Cases> arrayCases(const graph::Graph& graph, const std::filesystem::path& path, const JobContext& context);

/// Pictures of a folder (images.h); `labels` is a CSV, or empty for those by subfolder. Refused by models that see
/// none.
Result<Cases> imageCases(const Model& model, const graph::Graph& graph, const std::filesystem::path& folder,
                         const std::filesystem::path& labels, const JobContext& context);

struct CasesTask {
    const graph::Graph& graph;
    const Cases& cases;
    ModelVersion model;
    const ModelVersion* other = nullptr; // null: answers only
    /// Called with what is known so far and the number of cases behind it.
    std::function<void(const OutputsScore& score, std::int64_t cases)> onScore = {};
};
/// evaluateOutputs() over all cases.
Result<OutputsScore> evaluateCases(const CasesTask& task, const JobContext& context);

} // namespace ql
