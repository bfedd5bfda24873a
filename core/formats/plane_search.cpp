// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/plane_search.h"

#include "core/tensor/half.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ql {

namespace {

double sumOf(const std::array<double, kMostPlanes>& values, const PlaneScales& scale, int planes)
{
    double sum = 0;
    for (std::size_t p = 0; p < static_cast<std::size_t>(planes); ++p)
        sum += values[p] * scale[p];
    return sum;
}

} // namespace

PlaneWeights::PlaneWeights(const float* weights, const float* given, int n) : count(n)
{
    constexpr float kMost = std::numeric_limits<float>::max();
    const auto size = static_cast<std::size_t>(n);
    float mostImportant = 0;
    for (std::size_t i = 0; i < size; ++i) {
        if (std::isfinite(weights[i]))
            largest = std::max(largest, std::fabs(static_cast<double>(weights[i])));
        if (given && given[i] > 0)
            mostImportant = std::max(mostImportant, std::min(given[i], kMost));
    }
    for (std::size_t i = 0; i < size; ++i) {
        const float w = weights[i];
        x[i] = std::isnan(w)   ? 0
               : std::isinf(w) ? std::copysign(8 * largest, static_cast<double>(w))
                               : static_cast<double>(w);
        const float known = mostImportant > 0 && given[i] > 0 ? std::min(given[i], kMost) : 0;
        importance[i] =
            mostImportant > 0 ? std::max(1e-6, static_cast<double>(known) / static_cast<double>(mostImportant)) : 1;
        isWeighted = isWeighted || importance[i] != 1;
        if (std::isinf(w))
            importance[i] = 0;
    }
}

void nearestPlanes(const PlaneWeights& weights, PlaneTable table, int planes, PlaneFit& fit)
{
    std::array<double, 16> sums;
    for (std::size_t code = 0; code < table.size(); ++code)
        sums[code] = sumOf(table[code], fit.scale, planes);
    fit.error = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(weights.count); ++i) {
        double least = std::fabs(weights.x[i] - sums[0]);
        std::size_t best = 0;
        for (std::size_t code = 1; code < table.size(); ++code) {
            const double distance = std::fabs(weights.x[i] - sums[code]);
            best = distance < least ? code : best;
            least = std::min(distance, least);
        }
        fit.codes[i] = static_cast<std::uint8_t>(best);
        fit.error += weights.importance[i] * least * least;
    }
}

void leastSquaresScales(const PlaneWeights& weights, PlaneTable table, int planes, PlaneFit& fit)
{
    const auto q = static_cast<std::size_t>(planes);
    std::array<PlaneScales, kMostPlanes> squares{};
    PlaneScales products{};
    double total = 0;
    for (std::size_t i = 0; i < static_cast<std::size_t>(weights.count); ++i) {
        const auto& t = table[fit.codes[i]];
        total += weights.importance[i];
        for (std::size_t a = 0; a < q; ++a) {
            products[a] += weights.importance[i] * t[a] * weights.x[i];
            for (std::size_t b = 0; b < q; ++b)
                squares[a][b] += weights.importance[i] * t[a] * t[b];
        }
    }
    // Elimination without exchange of rows: the matrix is positive definite once the diagonal is raised enough.
    for (double ridge = 1e-8 * total; ridge > 0; ridge *= 10) {
        auto m = squares;
        PlaneScales y = products;
        double least = std::numeric_limits<double>::infinity();
        double most = 0;
        for (std::size_t a = 0; a < q; ++a) {
            m[a][a] += ridge;
            most = std::max(most, m[a][a]);
        }
        for (std::size_t a = 0; a < q; ++a) {
            least = std::min(least, m[a][a]);
            for (std::size_t row = a + 1; row < q; ++row) {
                const double factor = m[row][a] / m[a][a];
                for (std::size_t b = a; b < q; ++b)
                    m[row][b] -= factor * m[a][b];
                y[row] -= factor * y[a];
            }
        }
        if (!(least > 1e-6 * most))
            continue;
        for (std::size_t a = q; a-- > 0;) {
            for (std::size_t b = a + 1; b < q; ++b)
                y[a] -= m[a][b] * fit.scale[b];
            fit.scale[a] = y[a] / m[a][a];
        }
        return;
    }
}

void alternate(const PlaneWeights& weights, PlaneTable table, int planes, int rounds, PlaneFit& fit)
{
    PlaneFit next = fit;
    for (int round = 0; round < rounds; ++round) {
        leastSquaresScales(weights, table, planes, next);
        nearestPlanes(weights, table, planes, next);
        if (!(next.error < fit.error))
            return;
        fit = next;
    }
}

void roundScales(const PlaneWeights& weights, PlaneTable table, int planes, PlaneFit& fit)
{
    for (std::size_t p = 0; p < static_cast<std::size_t>(planes); ++p) {
        const auto bounded = static_cast<float>(std::clamp(fit.scale[p], -65504.0, 65504.0));
        fit.scale[p] = static_cast<double>(floatFromF16(f16FromFloat(bounded))) + 0.0;
    }
    nearestPlanes(weights, table, planes, fit);
}

} // namespace ql
