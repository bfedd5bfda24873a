// SPDX-License-Identifier: GPL-3.0-or-later
// Runs a language model, and if asked another version of it beside it, over windows of text and scores every token.
// Both go through the graph segment by segment, a few windows at a time, and meet at the head a few tokens at a time:
// memory is one segment's weights, the hidden states of a group of windows and 128 rows of logits; no logits are
// stored. Equal bits for any thread count on one CPU.
#pragma once

#include "core/model/evaluation/scores.h"
#include "core/model/evaluation/version.h"
#include "core/model/evaluation/windows.h"

#include <functional>
#include <map>

namespace ql {

/// What enters the head of a task's `model`, by the first window of each group: one evaluation leaves it for the next of
/// the same model and windows, which then runs only the other version. tokens · width floats in all.
struct ReferenceStates {
    std::map<std::int64_t, graph::Values<float>> groups;
};

struct EvaluationTask {
    const graph::Graph& graph; // with inputs[0] tokens and outputs[0] logits, the last segment rowwise
    const Windows& windows;
    Scored scored = Scored::secondHalf;
    ModelVersion model;
    const ModelVersion* other = nullptr; // TokenScore::otherNll, kld and sameTop need one
    /// Called after each group of windows with all scores so far and the number of windows they come from.
    std::function<Result<void>(const std::vector<TokenScore>& scores, std::int64_t windows)> onScores;
    /// Scores already known of the first windows, to go on from.
    std::vector<TokenScore> known;
    ReferenceStates* reference = nullptr; // taken where it is there, else left
};

/// Scores of all windows, in order. An error where logits are not finite.
Result<std::vector<TokenScore>> evaluate(const EvaluationTask& task, const JobContext& context);

} // namespace ql
