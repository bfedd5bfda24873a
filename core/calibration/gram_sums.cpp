// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/gram_sums.h"

#include "core/base/matrix_product.h"
#include "core/tensor/float_array.h"

#include <algorithm>

namespace ql {

namespace {

/// Tokens whose products are summed in float: 256 to 1024, so that one product takes 10 to 40 ms at most.
std::int64_t tokensOfProduct(std::int64_t rows, std::int64_t width)
{
    constexpr std::int64_t kMultiplyAdds = std::int64_t{1} << 30;
    return std::clamp<std::int64_t>(kMultiplyAdds / (rows * width) / 256 * 256, 256, 1024);
}

} // namespace

void forGramProducts(const float* x, std::int64_t tokens, std::int64_t in, const GramStrip& strip,
                     const std::function<void(const float* products)>& take, const JobContext& context)
{
    const auto [first, begin, end] = strip;
    const std::int64_t n = end - begin;
    const std::int64_t width = end - first;
    const std::int64_t together = tokensOfProduct(n, width);
    FloatArray product(static_cast<std::size_t>(n * width));
    for (std::int64_t from = 0; from < tokens && !context.stopRequested(); from += together) {
        const std::int64_t depth = std::min(together, tokens - from);
        const float* rows = x + from * in;
        if (begin > first)
            multiply(MatrixProduct<float>{.rows = n,
                                          .cols = begin - first,
                                          .depth = depth,
                                          .a = rows + begin,
                                          .aStride = in,
                                          .aTransposed = true,
                                          .b = rows + first,
                                          .bStride = in,
                                          .c = product.data(),
                                          .cStride = width});
        multiplyByItself(rows + begin, depth, n, in, product.data() + begin - first, width);
        take(product.data());
    }
}

void addToHalf(const float* x, std::int64_t tokens, std::int64_t in, std::int64_t begin, std::int64_t end, double* half,
               const JobContext& context)
{
    const auto add = [&](const float* products) {
        for (std::int64_t row = begin; row < end; ++row) {
            const float* sums = products + (row - begin) * end;
            double* to = half + row * (row + 1) / 2;
            for (std::int64_t column = 0; column <= row; ++column)
                to[column] += static_cast<double>(sums[column]);
        }
    };
    forGramProducts(x, tokens, in, {.first = 0, .begin = begin, .end = end}, add, context);
}

} // namespace ql
