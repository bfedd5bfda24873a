// SPDX-License-Identifier: GPL-3.0-or-later
// Single nodes of a graph with inputs, run as float or double: for tests that walk the operators.
#pragma once

#include "core/base/rng.h"
#include "core/model/graph/operator.h"

#include <cmath>

namespace ql::test {

using namespace graph;

/// A left-out input has neither kind of elements.
struct CaseInput {
    Shape shape;
    std::vector<double> reals; // floats, so that float and double begin with the same
    std::vector<std::int64_t> integers;
    bool differentiable = true;
};

/// What PyTorch says.
struct Golden {
    std::vector<double> output, outputGradient;
    std::vector<std::vector<double>> inputGradients; // empty: none
};

struct OperatorCase {
    std::string op, name;
    Attributes attributes;
    std::vector<CaseInput> inputs;
    bool large = false;                // enough for several tasks; too many elements for central differences
    std::vector<std::size_t> sequence; // inputs that may come token by token, along dimension 1
    std::optional<Golden> golden;
};

/// Uniform in [low, high), by a seed that the shape and `salt` make.
inline CaseInput reals(Shape shape, double low = -2, double high = 2, std::uint64_t salt = 0)
{
    CaseInput input{.shape = std::move(shape), .reals = {}, .integers = {}};
    const CounterRng rng(salt, static_cast<std::uint64_t>(numel(input.shape)));
    for (std::int64_t i = 0; i < numel(input.shape); ++i) {
        const double value = low + (high - low) * rng.uniform(static_cast<std::uint64_t>(i));
        input.reals.push_back(static_cast<double>(static_cast<float>(value)));
    }
    return input;
}
inline CaseInput given(Shape shape, std::vector<double> values)
{
    return {.shape = std::move(shape), .reals = std::move(values), .integers = {}, .differentiable = false};
}
inline CaseInput integers(Shape shape, std::vector<std::int64_t> values)
{
    return {.shape = std::move(shape), .reals = {}, .integers = std::move(values)};
}
inline CaseInput leftOut()
{
    return {};
}

inline Node nodeOf(const OperatorCase& c)
{
    return {findOperator(c.op), "test." + c.name, {}, {}, c.attributes};
}

template<typename To, typename From>
Array<To> arrayOf(const Shape& shape, const std::vector<From>& values)
{
    Array<To> array(shape);
    std::transform(values.begin(), values.end(), array.write(), [](From x) { return static_cast<To>(x); });
    return array;
}

/// The inputs of a case as values, and pointers to them as operators take them.
template<typename T>
struct CaseValues {
    std::vector<Value<T>> values;
    explicit CaseValues(const std::vector<CaseInput>& inputs)
    {
        for (const CaseInput& input : inputs) {
            Value<T> value;
            if (!input.integers.empty())
                value.integers = arrayOf<std::int64_t>(input.shape, input.integers);
            else if (!input.reals.empty() || !input.shape.empty())
                value.real = arrayOf<T>(input.shape, input.reals);
            values.push_back(std::move(value));
        }
    }
    std::vector<const Value<T>*> pointers() const
    {
        std::vector<const Value<T>*> all;
        for (const Value<T>& value : values)
            all.push_back(value ? &value : nullptr);
        return all;
    }
};

/// The node's one output.
template<typename T>
Result<Value<T>> runForward(const Node& node, const CaseValues<T>& inputs, const JobContext& context,
                            SequenceState<T>* state = nullptr)
{
    const auto pointers = inputs.pointers();
    QL_CHECK(checkInputs<T>(node, pointers));
    Value<T> output;
    Call<T> call{node, pointers, {&output, 1}, context, state};
    QL_CHECK(forwardOf<T>(*node.op)(call));
    return output;
}

/// Gradients of the real inputs; zeros where the operator leaves them out.
template<typename T>
Result<std::vector<Array<T>>> runGradient(const Node& node, const CaseValues<T>& inputs, const Value<T>& output,
                                          const Array<T>& outputGradient, const JobContext& context)
{
    const auto pointers = inputs.pointers();
    const Value<T>* const outputs[] = {&output};
    const auto wanted = std::make_unique<bool[]>(pointers.size());
    for (std::size_t i = 0; i < pointers.size(); ++i)
        wanted[i] = pointers[i] && pointers[i]->real;
    std::vector<Array<T>> gradients(pointers.size());
    GradientCall<T> call{node,      pointers, outputs, {&outputGradient, 1}, {wanted.get(), pointers.size()},
                         gradients, context};
    QL_CHECK(gradientOf<T>(*node.op)(call));
    for (std::size_t i = 0; i < pointers.size(); ++i)
        if (wanted[i] && !gradients[i])
            gradients[i] = Array<T>::filled(pointers[i]->real.shape(), T{0});
    return gradients;
}

} // namespace ql::test
