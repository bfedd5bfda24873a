// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/norms.h"

#include "core/model/graph/operator.h"
#include "core/realize/changed_tensors.h"

#include <algorithm>

namespace ql {

namespace {

/// How often nodes read each layer.
std::map<std::int64_t, int> usesOf(const graph::Graph& graph)
{
    std::map<std::int64_t, int> uses;
    for (const graph::Node& node : graph.nodes)
        for (const graph::ValueId id : node.inputs)
            if (id != graph::kLeftOut)
                ++uses[graph.values[static_cast<std::size_t>(id)].layer];
    return uses;
}

} // namespace

Norms normsOf(const Model& model, const graph::Graph& graph)
{
    Norms found;
    const auto uses = usesOf(graph);
    for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
        const graph::Node& node = graph.nodes[n];
        const std::string_view op = node.op->id;
        if (op != "rms_norm" && op != "layer_norm" && op != "batch_norm")
            continue;
        const auto layerAt = [&](std::size_t input) {
            return input < node.inputs.size() && node.inputs[input] != graph::kLeftOut
                       ? graph.values[static_cast<std::size_t>(node.inputs[input])].layer
                       : -1;
        };
        const auto whyNot = [&](std::int64_t layer) -> std::string {
            const Layer& its = model.layers[static_cast<std::size_t>(layer)];
            if (uses.at(layer) > 1)
                return "several nodes use it";
            return its.stored.moves() ? "its elements are stored in another order" : "";
        };
        Norm norm{.node = n, .gain = layerAt(1), .offset = node.number("offset", 0)};
        if (norm.gain < 0) {
            found.notes.push_back({node.name, "is left as it is: its gain is not stored"});
            continue;
        }
        const Layer& gain = model.layers[static_cast<std::size_t>(norm.gain)];
        if (const std::string why = whyNot(norm.gain); !why.empty()) {
            found.notes.push_back({gain.name, "is left as it is: " + why});
            continue;
        }
        norm.channels = gain.numel();
        if (op != "rms_norm")
            norm.bias = layerAt(2);
        if (norm.bias >= 0 &&
            (!whyNot(norm.bias).empty() || model.layers[static_cast<std::size_t>(norm.bias)].numel() != norm.channels))
            norm.bias = -1;
        found.norms.push_back(norm);
    }
    return found;
}

std::shared_ptr<const Model> withRepairedTensors(const Model& model, std::span<const RepairedTensor> tensors,
                                                 std::span<const RepairedTensor> rowFactors)
{
    ChangedTensors changed;
    for (const RepairedTensor& tensor : tensors) {
        Buffer values(4 * std::ssize(tensor.values));
        std::ranges::copy(tensor.values, values.as<float>());
        changed[static_cast<std::size_t>(model.layers[static_cast<std::size_t>(tensor.layer)].tensor)] =
            std::make_shared<const Buffer>(std::move(values));
    }
    RowFactors factors;
    for (const RepairedTensor& tensor : rowFactors)
        factors[tensor.layer] = tensor.values;
    return withChangedTensors(model, std::move(changed), std::move(factors));
}

Result<std::vector<double>> vectorOf(const Model& model, std::int64_t layer, const JobContext& context)
{
    QL_TRY(data, model.loadWeights(layer, context));
    std::vector<double> values(static_cast<std::size_t>(data.view.numel()));
    decode(data.view.dtype, data.view.data, 0, data.view.numel(), values.data());
    return values;
}

} // namespace ql
