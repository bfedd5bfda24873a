// SPDX-License-Identifier: GPL-3.0-or-later
// An operator: what a node computes, forward and gradient, written once for float and double. One line in
// operators/operators.def and one file operators/<id>.cpp add one:
//   namespace { template<typename T> Result<void> forward(Call<T>& call); … gradient(GradientCall<T>& call); }
//   QL_OPERATOR(<id>, "Title", …)
// Shapes are checked at run time; an error names the node. Arrays are row-major, [batch, tokens, features] where they
// are sequences. Equal bits for any thread count on one CPU.
#pragma once

#include "core/jobs/parallel.h"
#include "core/model/graph/graph.h"

#include <new>
#include <span>
#include <unordered_map>

namespace ql::graph {

/// What nodes keep of the tokens already seen, for generating token by token.
template<typename T>
struct SequenceState {
    struct KeysValues {
        Array<T> keys, values;   // [batch, room, features], room for later tokens behind those that are there
        std::int64_t tokens = 0; // that are there
    };
    std::int64_t position = 0; // tokens already seen
    std::int64_t expected = 0; // tokens there will be, at most; 0: not known
    std::unordered_map<const Node*, KeysValues> attention;
    std::unordered_map<const Node*, Array<T>> recurrent; // states of scans, last inputs of causal convolutions
};

template<typename T>
struct Call {
    const Node& node;
    std::span<const Value<T>* const> inputs; // null where left out
    std::span<Value<T>> outputs;             // to be filled
    const JobContext& context;
    SequenceState<T>* state = nullptr; // null: sequences are whole

    bool has(std::size_t i) const { return i < inputs.size() && inputs[i] != nullptr; }
    const Array<T>& real(std::size_t i) const { return inputs[i]->real; }
    const Array<std::int64_t>& integers(std::size_t i) const { return inputs[i]->integers; }
    /// Makes output i, not filled, and returns its elements.
    T* make(std::size_t i, Shape shape) { return make(&Value<T>::real, i, std::move(shape)); }
    std::int64_t* makeIntegers(std::size_t i, Shape shape) { return make(&Value<T>::integers, i, std::move(shape)); }
    /// Of one of the two kinds, &Value<T>::real or &Value<T>::integers. Throws std::bad_alloc beyond the memory limit
    /// as beyond the machine's memory; forward() of run.h makes an error of it.
    template<typename U>
    U* make(Array<U> Value<T>::*kind, std::size_t i, Shape shape)
    {
        const auto count = checkedNumel(shape);
        const auto bytes = count ? mulChecked(*count, std::int64_t{sizeof(U)}) : std::nullopt;
        if (!bytes || !context.checkMemory(*bytes, "an array"))
            throw std::bad_alloc();
        outputs[i].*kind = Array<U>(std::move(shape));
        return (outputs[i].*kind).write();
    }
};

/// Calls f(&Value<T>::real) or f(&Value<T>::integers), whichever of the two input i holds: for operators that move
/// elements or compute with both.
template<typename T, typename F>
Result<void> forEitherKind(const Call<T>& call, std::size_t i, const F& f)
{
    return call.real(i) ? f(&Value<T>::real) : f(&Value<T>::integers);
}

/// The vector-Jacobian product: from the gradients of the outputs to those of the inputs.
template<typename T>
struct GradientCall {
    const Node& node;
    std::span<const Value<T>* const> inputs;   // as forward had them
    std::span<const Value<T>* const> outputs;  // as forward made them
    std::span<const Array<T>> outputGradients; // empty where nothing depends on the output
    std::span<const bool> wanted;              // which inputs' gradients are asked for
    std::span<Array<T>> inputGradients;        // to be made where wanted, or left empty where they are zero
    const JobContext& context;

    bool has(std::size_t i) const { return i < inputs.size() && inputs[i] != nullptr; }
    bool wants(std::size_t i) const { return has(i) && wanted[i]; }
    const Array<T>& real(std::size_t i) const { return inputs[i]->real; }
    const Array<std::int64_t>& integers(std::size_t i) const { return inputs[i]->integers; }
    const Array<T>& output(std::size_t i) const { return outputs[i]->real; }
    /// Makes the gradient of input i, of that input's shape, not filled, and returns its elements.
    T* make(std::size_t i) { return make(i, real(i).shape()); }
    /// Full of zeros; null unless the gradient is asked for.
    T* makeZeros(std::size_t i)
    {
        if (!wants(i))
            return nullptr;
        inputGradients[i] = Array<T>::filled(real(i).shape(), T{0});
        return inputGradients[i].write();
    }
    /// A part of it: a linear node that uses one expert of stacked weights makes that expert's gradient alone.
    T* make(std::size_t i, Shape shape)
    {
        inputGradients[i] = Array<T>(std::move(shape));
        return inputGradients[i].write();
    }
};

struct Operator {
    std::string_view id;
    std::string_view title;
    Result<void> (*forwardFloat)(Call<float>&);
    Result<void> (*forwardDouble)(Call<double>&);
    /// Null where the output has no gradient (integers) or none is defined.
    Result<void> (*gradientFloat)(GradientCall<float>&) = nullptr;
    Result<void> (*gradientDouble)(GradientCall<double>&) = nullptr;
    /// Inputs that cannot be left out: the first ones.
    std::size_t required = 1;
    /// What each input holds: 'r' real numbers, 'i' integers, 'e' either; the last letter stands for all that follow.
    std::string_view kinds = "r";
    /// Which input is the weight [out, in, …] of a layer that can be quantized, and which its activations; −1: none.
    int weights = -1;
    int activations = -1;
    /// Whether a node takes these weights as they are stored too (Value::stored); null: none does.
    bool (*takesStored)(const Node& node) = nullptr;
    /// Which inputs are the keys and values of attention.
    int keys = -1;
    int values = -1;
};

template<typename T>
auto forwardOf(const Operator& op)
{
    if constexpr (std::is_same_v<T, float>)
        return op.forwardFloat;
    else
        return op.forwardDouble;
}
template<typename T>
auto gradientOf(const Operator& op)
{
    if constexpr (std::is_same_v<T, float>)
        return op.gradientFloat;
    else
        return op.gradientDouble;
}

std::span<const Operator* const> allOperators();
/// Null if there is none of that id.
const Operator* findOperator(std::string_view id);

/// "blocks.3.q_proj (linear): what".
Error nodeError(const Node& node, const std::string& what);

/// An error unless all required inputs are there, and all are of the right kind.
template<typename T>
Result<void> checkInputs(const Node& node, std::span<const Value<T>* const> inputs)
{
    for (std::size_t i = 0; i < node.op->required; ++i)
        if (i >= inputs.size() || !inputs[i])
            return nodeError(node, "lacks input " + std::to_string(i));
    for (std::size_t i = 0; i < inputs.size(); ++i) {
        const char kind = node.op->kinds[std::min(i, node.op->kinds.size() - 1)];
        if (inputs[i] && kind != 'e' && inputs[i]->isReal() != (kind == 'r'))
            return nodeError(node, "input " + std::to_string(i) + " is of " +
                                       (kind == 'r' ? "integers, not real numbers" : "real numbers, not integers"));
    }
    return {};
}

/// Elements a task of an elementwise loop works on: 0.1 ms or more.
constexpr std::int64_t kElementGrain = 1 << 15;
/// Rows of that width a task works on.
inline std::int64_t rowGrain(std::int64_t width)
{
    return std::max<std::int64_t>(1, kElementGrain / std::max<std::int64_t>(1, width));
}

} // namespace ql::graph

/// Defines an operator from the templates forward and gradient of its file, at namespace ql::graph.
#define QL_OPERATOR(name, titleText, ...)                                                                              \
    QL_OPERATOR_WITHOUT_GRADIENT(name, titleText, .gradientFloat = gradient<float>,                                    \
                                 .gradientDouble = gradient<double> __VA_OPT__(, ) __VA_ARGS__)
/// Of one whose outputs are integers.
#define QL_OPERATOR_WITHOUT_GRADIENT(name, titleText, ...)                                                             \
    namespace operators {                                                                                              \
    extern const Operator name##_operator;                                                                             \
    const Operator name##_operator{.id = #name,                                                                        \
                                   .title = titleText,                                                                 \
                                   .forwardFloat = forward<float>,                                                     \
                                   .forwardDouble = forward<double> __VA_OPT__(, ) __VA_ARGS__};                       \
    }
