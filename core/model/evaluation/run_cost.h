// SPDX-License-Identifier: GPL-3.0-or-later
// How long it will take to run a model, told before it is run: the work is counted, the machine's speed at it measured
// on a small part.
#pragma once

#include "core/model/evaluation/cases.h"

namespace ql {

/// Of the products with the weights of layers, through the whole graph; what attention adds, which grows with the
/// window, is left out. All experts of a layer are counted.
double multiplyAddsPerToken(const Model& model, const graph::Graph& graph);

/// Floats of so many tokens' activations in a segment, for gradients: what its linear nodes take and make, twice.
std::int64_t activationFloats(const Model& model, const graph::Graph& graph, const graph::Segment& segment,
                              std::int64_t tokens);

struct RunSpeed {
    double secondsPerMultiplyAdd = 0;
    std::int64_t tokens = 0; // in a case, at least 1
};
/// Measured on the first case. One of known length goes through the segments up to the first that multiplies by weights
/// (the first block, usually). Another goes through the whole graph, and has as many tokens as a layer's input has rows
/// at most; of graphs that are all convolutions that is 1, and the time of a multiply-add one of all places together.
Result<RunSpeed> measureSpeed(const Model& model, const graph::Graph& graph, const Cases& cases,
                              const JobContext& context);

} // namespace ql
