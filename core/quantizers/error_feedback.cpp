// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/error_feedback.h"

#include "core/jobs/tiles.h"

#include <algorithm>
#include <numeric>

namespace ql {

namespace {

constexpr int kDampings = 5;

} // namespace

std::vector<std::int64_t> fallingOrder(std::span<const double> diagonal, std::int64_t groupSize, std::int64_t cellSize)
{
    const std::int64_t n = std::ssize(diagonal);
    /// Of runs of neighbours, for each column that of its run.
    const auto sumsOf = [&](std::int64_t size) {
        std::vector<double> sums(diagonal.size());
        for (std::int64_t begin = 0; begin < n; begin += size) {
            const std::int64_t end = std::min(n, begin + size);
            std::fill(sums.begin() + begin, sums.begin() + end,
                      std::accumulate(diagonal.begin() + begin, diagonal.begin() + end, 0.0));
        }
        return sums;
    };
    const std::int64_t size = groupSize > 0 ? groupSize : std::max<std::int64_t>(1, n);
    const std::vector<double> groups = sumsOf(size);
    const std::vector<double> cells = sumsOf(cellSize);
    std::vector<std::int64_t> order(diagonal.size());
    std::iota(order.begin(), order.end(), std::int64_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) {
        const auto at = static_cast<std::size_t>(a);
        const auto other = static_cast<std::size_t>(b);
        if (a / size != b / size)
            return groups[at] != groups[other] ? groups[at] > groups[other] : a < b;
        if (a / cellSize != b / cellSize)
            return cells[at] != cells[other] ? cells[at] > cells[other] : a < b;
        return a < b;
    });
    return order;
}

Result<ErrorFeedback> makeErrorFeedback(const double* gram, std::vector<std::int64_t> order, double damping,
                                        const JobContext& context)
{
    const std::int64_t n = std::ssize(order);
    ErrorFeedback feedback;
    feedback.order = std::move(order);
    feedback.cost.resize(feedback.order.size());
    QL_CHECK(context.checkMemory(12 * n * n, "the Cholesky factor of XᵀX"));
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i)
        sum += gram[i * n + i];
    const double mean = n > 0 && sum > 0 ? sum / static_cast<double>(n) : 1;
    feedback.damping = damping * mean;
    // The factor of the reversed matrix is lower: H[i, j] = A[n−1−i, n−1−j], A = L·Lᵀ, (I + F)·√D = L reversed.
    Buffer held(8 * n * n);
    double* a = held.as<double>();
    const auto column = [&](std::int64_t reversed) {
        return feedback.order[static_cast<std::size_t>(n - 1 - reversed)];
    };
    constexpr std::int64_t kRows = 64;
    for (int attempt = 1;; ++attempt) {
        QL_CHECK(parallelFor(context, n, kRows, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t i = begin; i < end; ++i) {
                const double* row = gram + column(i) * n;
                for (std::int64_t j = 0; j <= i; ++j)
                    a[i * n + j] = row[column(j)];
                a[i * n + i] += feedback.damping;
            }
        }));
        const auto factored = choleskyLower(a, n, parallelTiles(context), FactorProducts::inFloat);
        if (factored)
            break;
        if (factored.error().code != Errc::badInput || attempt == kDampings)
            return factored.error();
        feedback.damping = std::max(10 * feedback.damping, 1e-8 * mean);
    }
    feedback.factor = Buffer(4 * n * n);
    std::vector<double> roots(feedback.order.size()); // of D
    for (std::int64_t j = 0; j < n; ++j) {
        const double root = a[(n - 1 - j) * n + n - 1 - j];
        roots[static_cast<std::size_t>(j)] = root;
        feedback.cost[static_cast<std::size_t>(j)] = root * root;
    }
    float* f = feedback.factor.as<float>();
    QL_CHECK(parallelFor(context, n, kRows, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) {
            const double* row = a + (n - 1 - i) * n;
            std::fill(f + i * n, f + i * n + i + 1, 0.0F);
            for (std::int64_t j = i + 1; j < n; ++j)
                f[i * n + j] = static_cast<float>(row[n - 1 - j] / roots[static_cast<std::size_t>(j)]);
        }
    }));
    return feedback;
}

} // namespace ql
