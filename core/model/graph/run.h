// SPDX-License-Identifier: GPL-3.0-or-later
// Runs a graph forward and backward, segment by segment. The caller decides the order: block by block over many batches
// (calibration, perplexity: each block's weights are decoded once), or batch by batch (generation, with all weights
// kept). Values live in a map from edge to array; what no later node reads is dropped at once, unless it is kept for a
// gradient. Equal bits for any thread count on one CPU.
#pragma once

#include "core/model/graph/operator.h"
#include "core/model/model.h"

#include <functional>
#include <unordered_map>

namespace ql::graph {

/// Where the weights of layers come from: the checkpoint, or what a plan restores. Thread-safe.
class WeightSource {
public:
    virtual ~WeightSource() = default;
    /// W[out, in, …] of model.layers[layer], any decodable dtype.
    virtual Result<TensorData> weights(std::int64_t layer, const JobContext& context) const = 0;
};

/// The model's own weights.
class CheckpointWeights final : public WeightSource {
public:
    explicit CheckpointWeights(const Model& model) : m_model(model) {}
    Result<TensorData> weights(std::int64_t layer, const JobContext& context) const override
    {
        return m_model.loadWeights(layer, context);
    }

private:
    const Model& m_model;
};

template<typename T>
using Values = std::unordered_map<ValueId, Value<T>>;

/// Weights of 16 bits that are only read by operators that take them as stored may stay so: for T = float, and where
/// few rows are multiplied by them, which is then twice as fast.
enum class WeightForm { decoded, stored };

/// Decodes the weights (and constants) that a segment, or a part of one, reads; F32 weights are views for T = float.
template<typename T>
Result<Values<T>> loadWeights(const Graph& graph, const Segment& segment, const WeightSource& source,
                              const JobContext& context, WeightForm form = WeightForm::decoded);

/// Looks at, or (without keepAll) replaces, the input of a node that multiplies by the weights of a layer, for that
/// node alone.
template<typename T>
using LayerInputHook = std::function<Result<void>(const Node& node, std::int64_t layer, Array<T>& input)>;

/// Looks at, or (without keepAll) replaces, the keys and values that an attention node gets, before it keeps them.
template<typename T>
using KeysValuesHook = std::function<Result<void>(const Node& node, Array<T>& keys, Array<T>& values)>;

template<typename T>
struct ForwardOptions {
    LayerInputHook<T> layerInput = {};
    KeysValuesHook<T> keysValues = {};
    SequenceState<T>* state = nullptr;
    bool keepAll = false; // for backward()
};

/// Runs one segment: reads inputs from and leaves outputs in `values`.
template<typename T>
Result<void> forward(const Graph& graph, const Segment& segment, const Values<T>& weights, Values<T>& values,
                     const JobContext& context, const ForwardOptions<T>& options = {});

/// All segments in order, each segment's weights loaded and dropped: for small models and tests.
template<typename T>
Result<void> forwardAll(const Graph& graph, const WeightSource& source, Values<T>& values, const JobContext& context,
                        const ForwardOptions<T>& options = {});

template<typename T>
using Gradients = std::unordered_map<ValueId, Array<T>>;

template<typename T>
struct BackwardOptions {
    /// Layers whose weight gradients are made and handed to the sink, once per use in the graph; none if empty.
    std::function<bool(std::int64_t layer)> wantsWeights;
    std::function<Result<void>(const Node& node, std::int64_t layer, Array<T> gradient)> weightGradient;
    /// Looks at the gradient of the output of a node that uses the weights of a layer, and at what it uses them on:
    /// activations, or the ids of a table's rows.
    std::function<Result<void>(const Node& node, std::int64_t layer, const Value<T>& input, const Array<T>& gradient)>
        outputGradient;
};

/// Runs one segment backward after forward() with keepAll: takes the gradients of what left the segment and leaves
/// those of what entered it; values used twice get the sum.
template<typename T>
Result<void> backward(const Graph& graph, const Segment& segment, const Values<T>& weights, const Values<T>& values,
                      Gradients<T>& gradients, const JobContext& context, const BackwardOptions<T>& options = {});

} // namespace ql::graph
