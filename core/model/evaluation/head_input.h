// SPDX-License-Identifier: GPL-3.0-or-later
// A language model's head computes each token by itself, so it can be run for some tokens at a time.
#pragma once

#include "core/model/graph/run.h"

namespace ql {

/// The value that alone enters the last segment: hidden states. `values` is what is alive before it.
template<typename T>
Result<graph::ValueId> headInput(const graph::Graph& graph, const graph::Values<T>& values)
{
    const bool hasLogits = graph.values[static_cast<std::size_t>(graph.outputs.front())].name == "logits";
    if (!hasLogits || !graph.segments.back().rowwise || values.size() != 1 || !values.begin()->second.real)
        return refused("has no head that turns each token's hidden state into logits, so it has no perplexity");
    return values.begin()->first;
}

} // namespace ql
