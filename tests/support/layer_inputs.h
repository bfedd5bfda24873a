// SPDX-License-Identifier: GPL-3.0-or-later
// Correlated inputs of a layer and what a calibration would know of them.
#pragma once

#include "core/base/rng.h"
#include "core/calibration/activations.h"

#include <cmath>
#include <cstdint>
#include <vector>

namespace ql::tests {

/// X[rows, cols] = Z·B + noise, Z[rows, rank] and B[rank, cols] of standard normal numbers.
inline std::vector<float> correlatedInputs(std::int64_t rows, std::int64_t cols, std::int64_t rank = 32,
                                           double noise = 0.3, std::uint64_t seed = 5)
{
    const CounterRng z(seed, 1);
    const CounterRng b(seed, 2);
    const CounterRng e(seed, 3);
    std::vector<double> basis(static_cast<std::size_t>(rank * cols));
    for (std::size_t i = 0; i < basis.size(); ++i)
        basis[i] = b.normal(i) / std::sqrt(static_cast<double>(rank));
    std::vector<float> x(static_cast<std::size_t>(rows * cols));
    for (std::int64_t r = 0; r < rows; ++r) {
        std::vector<double> sums(static_cast<std::size_t>(cols));
        for (std::int64_t k = 0; k < rank; ++k) {
            const double factor = z.normal(static_cast<std::uint64_t>(r * rank + k));
            for (std::size_t j = 0; j < sums.size(); ++j)
                sums[j] += factor * basis[static_cast<std::size_t>(k * cols) + j];
        }
        for (std::size_t j = 0; j < sums.size(); ++j) {
            const auto at = static_cast<std::size_t>(r * cols) + j;
            x[at] = static_cast<float>(sums[j] + noise * e.normal(at));
        }
    }
    return x;
}

/// XᵀX, ranges and root mean squares of X[rows, cols].
inline ActivationStatistics statisticsOf(const std::vector<float>& x, std::int64_t cols)
{
    ActivationStatistics statistics;
    const auto n = static_cast<std::size_t>(cols);
    statistics.in = cols;
    statistics.tokens = std::ssize(x) / cols;
    statistics.gram.assign(n * n, 0);
    statistics.channelMin.assign(n, 0);
    statistics.channelMax.assign(n, 0);
    for (std::size_t row = 0; row < x.size(); row += n)
        for (std::size_t i = 0; i < n; ++i) {
            const auto a = static_cast<double>(x[row + i]);
            statistics.channelMin[i] = std::min(statistics.channelMin[i], a);
            statistics.channelMax[i] = std::max(statistics.channelMax[i], a);
            for (std::size_t j = 0; j < n; ++j)
                statistics.gram[i * n + j] += a * static_cast<double>(x[row + j]);
        }
    for (std::size_t i = 0; i < n; ++i)
        statistics.channelRms.push_back(std::sqrt(statistics.gram[i * n + i] / static_cast<double>(statistics.tokens)));
    return statistics;
}

/// tr((W − Ŵ)·gram·(W − Ŵ)ᵀ) of W[rows, cols], term by term.
inline double outputError(const std::vector<float>& weights, const std::vector<float>& restored,
                          const ActivationStatistics& statistics)
{
    const auto n = static_cast<std::size_t>(statistics.in);
    double sum = 0;
    for (std::size_t row = 0; row < weights.size(); row += n)
        for (std::size_t i = 0; i < n; ++i) {
            double product = 0;
            for (std::size_t j = 0; j < n; ++j)
                product += statistics.gram[i * n + j] *
                           (static_cast<double>(weights[row + j]) - static_cast<double>(restored[row + j]));
            sum += product * (static_cast<double>(weights[row + i]) - static_cast<double>(restored[row + i]));
        }
    return sum;
}

} // namespace ql::tests
