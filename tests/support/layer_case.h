// SPDX-License-Identifier: GPL-3.0-or-later
// Weights of standard normal numbers, correlated inputs, and quantizing one under the other.
#pragma once

#include "tests/support/layer_inputs.h"
#include "tests/support/quantize_support.h"

namespace ql::tests {

struct LayerCase {
    std::int64_t rows, cols;
    std::vector<float> weights;
    ActivationStatistics inputs;

    TensorView view() const { return viewOf(weights, {rows, cols}); }
    Result<QuantizedTensor> quantize(const std::string& scheme, const std::string& spec,
                                     QuantizerReport* report = nullptr, Executor& pool = sharedExecutor()) const
    {
        return ql::quantize({.weights = view(),
                             .scheme = parseScheme(scheme).value(),
                             .spec = parseQuantizerSpec(spec).value(),
                             .inputs = &inputs,
                             .report = report},
                            JobContext(pool));
    }
    double error(const QuantizedTensor& tensor) const { return outputError(weights, restored(tensor), inputs); }
};

inline LayerCase layerCase(std::int64_t rows, std::int64_t cols, std::uint64_t seed = 1, std::int64_t tokens = 512)
{
    const CounterRng rng(seed);
    LayerCase c{rows, cols, {}, statisticsOf(correlatedInputs(tokens, cols, 32, 0.3, seed), cols)};
    for (std::int64_t i = 0; i < rows * cols; ++i)
        c.weights.push_back(static_cast<float>(rng.normal(static_cast<std::uint64_t>(i))));
    return c;
}

/// Of as many tokens of the law of layerCase's inputs, which come after those.
inline ActivationStatistics unseenInputs(std::int64_t tokens, std::int64_t cols, std::uint64_t seed)
{
    std::vector<float> x = correlatedInputs(2 * tokens, cols, 32, 0.3, seed);
    x.erase(x.begin(), x.begin() + tokens * cols);
    return statisticsOf(x, cols);
}

} // namespace ql::tests
