// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/input_rounding.h"

#include "core/base/matrix_product.h"
#include "core/base/sum.h"
#include "core/jobs/parallel.h"
#include "core/jobs/tiles.h"
#include "core/tensor/float_array.h"

#include <algorithm>

namespace ql {

namespace {

/// Wᵀ·dy of every token, [tokens, in].
Result<FloatArray> inputGradient(const WeightUse<float>& use, const graph::Array<float>& weights,
                                 const JobContext& context)
{
    const std::int64_t in = use.input.width();
    const std::int64_t out = use.outputGradient.width();
    const bool isTransposed = use.left.data() == use.input.data(); // W is stored as [in, out]
    FloatArray gradient(static_cast<std::size_t>(use.input.rows() * in));
    QL_CHECK(multiply(MatrixProduct<float>{.rows = use.input.rows(),
                                           .cols = in,
                                           .depth = out,
                                           .a = use.outputGradient.data(),
                                           .aStride = out,
                                           .b = weights.data() + use.firstRow * use.right.width(),
                                           .bStride = use.right.width(),
                                           .bTransposed = isTransposed,
                                           .c = gradient.data(),
                                           .cStride = in},
                      parallelTiles(context)));
    return gradient;
}

/// Σ over tokens of ⟨gradient, r(x) − x⟩.
Result<double> movedBy(Runtime::Round round, const graph::Array<float>& x, const FloatArray& gradient,
                       const JobContext& context)
{
    const std::int64_t width = x.width();
    std::vector<double> ofTokens(static_cast<std::size_t>(x.rows()));
    QL_CHECK(parallelFor(context, x.rows(), graph::rowGrain(width), [&](std::int64_t begin, std::int64_t end) {
        std::vector<float> rounded(static_cast<std::size_t>(width));
        for (std::int64_t t = begin; t < end; ++t) {
            const float* const its = x.data() + t * width;
            const float* const slope = gradient.data() + t * width;
            std::copy_n(its, width, rounded.data());
            round(rounded.data(), width);
            double sum = 0;
            for (std::int64_t i = 0; i < width; ++i)
                sum += static_cast<double>(slope[i]) *
                       (static_cast<double>(rounded[static_cast<std::size_t>(i)]) - static_cast<double>(its[i]));
            ofTokens[static_cast<std::size_t>(t)] = sum;
        }
    }));
    CompensatedSum sum;
    for (const double ofToken : ofTokens)
        sum.add(ofToken);
    return sum.value();
}

} // namespace

Result<std::vector<double>> roundingProducts(std::span<const WeightUse<float>> uses, const graph::Array<float>& weights,
                                             std::span<const Runtime::Round> roundings, const JobContext& context)
{
    std::vector<double> products(roundings.size());
    for (const WeightUse<float>& use : uses) {
        if (!use.input || use.input.rows() == 0)
            continue;
        QL_TRY(gradient, inputGradient(use, weights, context));
        for (std::size_t r = 0; r < roundings.size(); ++r) {
            QL_TRY(moved, movedBy(roundings[r], use.input, gradient, context));
            products[r] += moved;
        }
    }
    return products;
}

} // namespace ql
