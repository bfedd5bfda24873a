// SPDX-License-Identifier: GPL-3.0-or-later
// What a transform does to a model: to each layer it touches, in terms of the changed channels of what the layer reads
// and writes. Applying it is exact; weights are computed in double and rounded once.
#pragma once

#include "core/model/model.h"
#include "core/transforms/channel_map.h"

namespace ql {

struct LayerRewrite {
    std::vector<ChannelMapPtr> reads;  // of the layer's input, one after the other: rows become w·A⁻¹
    std::vector<ChannelMapPtr> writes; // of its output: W's columns, or a bias, are values that change
    std::vector<ChannelMapPtr> rows;   // of an embedding: each row is a value that changes
    std::vector<double> values;        // instead of what is stored, before `writes`: norms, biases that take up a shift
    std::vector<double> shift;         // what the input lost, x − z: of ranges only, as biases take it up

    bool changesWeights() const { return !reads.empty() || !writes.empty() || !rows.empty() || !values.empty(); }
};

struct Rewrite {
    std::map<std::int64_t, LayerRewrite> layers; // indices into model.layers
    /// Of an output head that uses the embedding and has to differ from it now: a tensor of its own. Without a value
    /// the head stays as it is.
    std::optional<LayerRewrite> untiedHead;
    std::vector<Warning> notes; // what was not done and why
};

/// The layer's weights, from those as the checkpoint stores them in the order of the layer, as `dtype` (f32 or f64).
/// Needs 8 bytes a weight besides where outputs change.
Result<Buffer> rewritten(const LayerRewrite& rewrite, const Layer& layer, const TensorView& weights, Dtype dtype,
                         const JobContext& context);

/// Statistics of the layer's input after it, of its outputs' gradients too, and of each part of a stack its own. Empty
/// where nothing is known any more.
Result<ActivationStatistics> rewritten(const LayerRewrite& rewrite, const ActivationStatistics& input,
                                       const JobContext& context);

/// Whether the layer's outputs are what they were.
bool keepsOutputs(const LayerRewrite& rewrite);
/// Whether the Fisher diagonal of the layer's weights follows from what it was: not where its inputs are shifted.
bool keepsFisher(const LayerRewrite& rewrite);
/// It then: Σ F·ΔW² of a change stays, and where channels are mixed its expectation over the rotation's signs. Sums are
/// rounded to bf16 once more.
Result<FisherDiagonal> rewritten(const LayerRewrite& rewrite, const FisherDiagonal& fisher, const JobContext& context);
/// What becomes of squares of derivatives by the layer's outputs, [out] or empty, likewise.
std::vector<double> rewrittenOutputSquares(const LayerRewrite& rewrite, std::vector<double> squares);

} // namespace ql
