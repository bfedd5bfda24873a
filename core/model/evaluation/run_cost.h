// SPDX-License-Identifier: GPL-3.0-or-later
// How long it will take to run a model, told before it is run: the work is counted, the machine's speed at it measured
// on a small part.
#pragma once

#include "core/model/evaluation/windows.h"
#include "core/model/graph/run.h"

namespace ql {

/// Of the products with the weights of layers, through the whole graph; what attention adds, which grows with the
/// window, is left out. All experts of a layer are counted.
double multiplyAddsPerToken(const Model& model, const graph::Graph& graph);

/// Measured on up to 512 tokens of the first window, through the segments up to the first that multiplies by weights
/// (the first block, usually).
Result<double> secondsPerMultiplyAdd(const Model& model, const graph::Graph& graph, const Windows& windows,
                                     const JobContext& context);

} // namespace ql
