// SPDX-License-Identifier: GPL-3.0-or-later
// Scores of a group of windows from the hidden states of one or two versions of a language model, a few rows of logits
// at a time. Equal bits for any thread count on one CPU.
#pragma once

#include "core/model/evaluation/scores.h"
#include "core/model/evaluation/version.h"
#include "core/model/evaluation/windows.h"

namespace ql {

/// The head of one version: rows of hidden states in, rows of logits out. Refers to graph and version.
class ScoringHead {
public:
    /// Of the values that are alive before the last segment.
    static Result<ScoringHead> of(const graph::Graph& graph, const ModelVersion& version,
                                  const graph::Values<float>& values, const JobContext& context);

    Result<graph::Array<float>> logits(std::span<const std::int64_t> rows, const JobContext& context) const;

private:
    ScoringHead(const graph::Graph& graph, const ModelVersion& version, graph::Values<float> weights,
                graph::ValueId input, graph::Array<float> hidden)
        : m_graph(&graph), m_version(&version), m_weights(std::move(weights)), m_id(input), m_hidden(std::move(hidden))
    {}
    const graph::Graph* m_graph;
    const ModelVersion* m_version;
    graph::Values<float> m_weights;
    graph::ValueId m_id;
    graph::Array<float> m_hidden;
};

/// How far a token's logits x are from the other version's y.
struct LogitDifference {
    double squares = 0; // Σ x²
    double errors = 0;  // Σ (y − x)²
};

/// Appends the scores of the group that begins with firstWindow, and where asked for the differences of logits; `other`
/// may be null, and differences are 0 then. An error where logits are not finite.
Result<void> scoreGroup(const Windows& windows, std::int64_t firstWindow, Scored scored, const ScoringHead& model,
                        const ScoringHead* other, std::vector<TokenScore>& scores, const JobContext& context,
                        std::vector<LogitDifference>* differences = nullptr);

} // namespace ql
