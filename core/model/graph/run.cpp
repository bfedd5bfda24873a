// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/graph/run.h"

#include "core/model/graph/indexing.h"
#include "core/model/graph/row_kernels.h"
#include "core/model/graph/stored_weights.h"

#include <algorithm>
#include <array>
#include <stdexcept>

namespace ql::graph {

namespace {

/// Whether all that read a value take it as it is stored.
bool isTakenStored(const Graph& graph, ValueId id)
{
    return std::ranges::all_of(graph.nodes, [id](const Node& node) {
        for (std::size_t i = 0; i < node.inputs.size(); ++i)
            if (node.inputs[i] == id &&
                (static_cast<int>(i) != node.op->weights || !node.op->takesStored || !node.op->takesStored(node)))
                return false;
        return true;
    });
}

template<typename T>
Array<T> converted(const Array<double>& from)
{
    Array<T> to(from.shape());
    std::transform(from.data(), from.data() + from.numel(), to.write(), [](double x) { return static_cast<T>(x); });
    return to;
}

template<typename T>
const Value<T>* lookUp(ValueId id, const Values<T>& values, const Values<T>& weights)
{
    if (const auto found = values.find(id); found != values.end())
        return &found->second;
    const auto found = weights.find(id);
    return found == weights.end() ? nullptr : &found->second;
}

template<typename T>
Result<std::vector<const Value<T>*>> inputsOf(const Node& node, const Values<T>& values, const Values<T>& weights)
{
    std::vector<const Value<T>*> inputs;
    for (const ValueId id : node.inputs) {
        inputs.push_back(id == kLeftOut ? nullptr : lookUp(id, values, weights));
        if (id != kLeftOut && !inputs.back())
            return nodeError(node, "input " + std::to_string(inputs.size() - 1) + " has no value");
        if (inputs.back() && !isAddressable(inputs.back()->shape()))
            return nodeError(node, "input " + std::to_string(inputs.size() - 1) + " has the impossible shape " +
                                       formatShape(inputs.back()->shape()));
    }
    QL_CHECK(checkInputs<T>(node, inputs));
    return inputs;
}

/// What a file asks of an operator may be larger than memory.
template<typename T>
Result<void> computed(Call<T>& call)
{
    try {
        return forwardOf<T>(*call.node.op)(call);
    } catch (const std::bad_alloc&) {    // arrays
    } catch (const std::length_error&) { // std::vector
    }
    Error error = nodeError(call.node, "needs more memory than there is or than it may use");
    error.code = Errc::outOfMemory;
    return error;
}

} // namespace

template<typename T>
Result<Values<T>> loadWeights(const Graph& graph, const Segment& segment, const WeightSource& source,
                              const JobContext& context, WeightForm form)
{
    Values<T> weights;
    for (std::size_t n = segment.begin; n < segment.end; ++n) {
        for (const ValueId id : graph.nodes[n].inputs) {
            if (id == kLeftOut || weights.contains(id))
                continue;
            const ValueInfo& info = graph.values[static_cast<std::size_t>(id)];
            if (info.layer >= 0) {
                QL_TRY(data, source.weights(info.layer, context));
                if (form == WeightForm::stored && std::is_same_v<T, float> && canMultiplyStored(data.view) &&
                    isTakenStored(graph, id)) {
                    weights[id].stored = std::move(data);
                    continue;
                }
                QL_TRY(array, decoded<T>(data, context));
                weights[id].real = std::move(array);
            } else if (info.real) {
                weights[id].real = converted<T>(info.real);
            } else if (info.integers) {
                weights[id].integers = info.integers;
            }
        }
    }
    return weights;
}

template<typename T>
Result<void> forward(const Graph& graph, const Segment& segment, const Values<T>& weights, Values<T>& values,
                     const JobContext& context, const ForwardOptions<T>& options)
{
    for (std::size_t n = segment.begin; n < segment.end; ++n) {
        QL_CHECK(context.checkStop());
        const Node& node = graph.nodes[n];
        QL_TRY(inputs, inputsOf(node, values, weights));
        Value<T> seen; // what the hook leaves is for this node alone
        if (const std::int64_t layer = graph.productLayerOf(node); layer >= 0 && options.layerInput) {
            const Value<T>*& input = inputs[static_cast<std::size_t>(node.op->activations)];
            if (input && input->real) {
                seen = *input;
                QL_CHECK(options.layerInput(node, layer, seen.real));
                assert(!options.keepAll || seen.real.data() == input->real.data());
                input = &seen;
            }
        }
        std::array<Value<T>, 2> kept; // keys and values, as the hook leaves them
        if (node.op->keys >= 0 && options.keysValues) {
            const Value<T>*& keys = inputs[static_cast<std::size_t>(node.op->keys)];
            const Value<T>*& vectors = inputs[static_cast<std::size_t>(node.op->values)];
            kept = {*keys, *vectors};
            QL_CHECK(options.keysValues(node, kept[0].real, kept[1].real));
            keys = &kept[0];
            vectors = &kept[1];
        }
        std::vector<Value<T>> outputs(node.outputs.size());
        Call<T> call{node, inputs, outputs, context, options.state};
        QL_CHECK(computed(call));
        for (std::size_t i = 0; i < outputs.size(); ++i)
            values[node.outputs[i]] = std::move(outputs[i]);
        if (!options.keepAll)
            for (const ValueId id : node.inputs)
                if (id != kLeftOut && graph.lastUse[static_cast<std::size_t>(id)] == n)
                    values.erase(id);
    }
    return {};
}

template<typename T>
Result<void> forwardAll(const Graph& graph, const WeightSource& source, Values<T>& values, const JobContext& context,
                        const ForwardOptions<T>& options)
{
    for (const Segment& segment : graph.segments) {
        QL_TRY(weights, loadWeights<T>(graph, segment, source, context));
        QL_CHECK(forward(graph, segment, weights, values, context, options));
    }
    return {};
}

template<typename T>
Result<void> backward(const Graph& graph, const Segment& segment, const Values<T>& weights, const Values<T>& values,
                      Gradients<T>& gradients, const JobContext& context, const BackwardOptions<T>& options)
{
    for (std::size_t n = segment.end; n-- > segment.begin;) {
        QL_CHECK(context.checkStop());
        const Node& node = graph.nodes[n];
        std::vector<Array<T>> outputGradients;
        bool reached = false;
        for (const ValueId id : node.outputs) {
            auto taken = gradients.extract(id);
            outputGradients.push_back(taken ? std::move(taken.mapped()) : Array<T>());
            reached = reached || outputGradients.back();
        }
        if (!reached || !gradientOf<T>(*node.op))
            continue; // nothing depends on it, or integers
        QL_TRY(inputs, inputsOf(node, values, weights));
        std::vector<const Value<T>*> outputs;
        for (const ValueId id : node.outputs)
            outputs.push_back(&values.at(id));
        // Not std::vector<bool>: a span is handed out.
        const auto wanted = std::make_unique<bool[]>(inputs.size());
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            if (!inputs[i] || !inputs[i]->real)
                continue;
            const ValueInfo& info = graph.values[static_cast<std::size_t>(node.inputs[i])];
            wanted[i] = info.layer >= 0 ? options.wantsWeights && options.wantsWeights(info.layer) : !info.isConstant();
        }
        if (const std::int64_t layer = graph.layerOf(node); layer >= 0 && options.outputGradient) {
            const Value<T>& input = *inputs[static_cast<std::size_t>(std::max(0, node.op->activations))];
            QL_CHECK(options.outputGradient(node, layer, input, outputGradients.front()));
        }
        std::vector<Array<T>> inputGradients(inputs.size());
        GradientCall<T> call{node,           inputs, outputs, outputGradients, {wanted.get(), inputs.size()},
                             inputGradients, context};
        QL_CHECK(gradientOf<T>(*node.op)(call));
        for (std::size_t i = 0; i < inputs.size(); ++i) {
            if (!inputGradients[i])
                continue;
            const ValueId id = node.inputs[i];
            if (const std::int64_t layer = graph.values[static_cast<std::size_t>(id)].layer; layer >= 0) {
                QL_CHECK(options.weightGradient(node, layer, std::move(inputGradients[i])));
            } else if (auto& sum = gradients[id]; sum) {
                addTo(sum.write(), inputGradients[i].data(), sum.numel());
            } else {
                sum = std::move(inputGradients[i]);
            }
        }
    }
    return {};
}

#define QL_RUN(T)                                                                                                      \
    template Result<Values<T>> loadWeights<T>(const Graph&, const Segment&, const WeightSource&, const JobContext&,    \
                                              WeightForm);                                                             \
    template Result<void> forward<T>(const Graph&, const Segment&, const Values<T>&, Values<T>&, const JobContext&,    \
                                     const ForwardOptions<T>&);                                                        \
    template Result<void> forwardAll<T>(const Graph&, const WeightSource&, Values<T>&, const JobContext&,              \
                                        const ForwardOptions<T>&);                                                     \
    template Result<void> backward<T>(const Graph&, const Segment&, const Values<T>&, const Values<T>&, Gradients<T>&, \
                                      const JobContext&, const BackwardOptions<T>&);
QL_RUN(float)
QL_RUN(double)
#undef QL_RUN

} // namespace ql::graph
