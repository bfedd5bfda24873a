// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/transforms/threshold_search.h"

#include "core/transforms/smoothing.h"

#include <algorithm>
#include <cmath>

namespace ql {

void ThresholdSearch::shift(const std::vector<double>& z)
{
    for (std::size_t j = 0; j < z.size(); ++j) {
        min[j] -= z[j];
        max[j] -= z[j];
        const double even = max[j] * max[j] / 3;
        inputSquares[j] = std::min(even, std::max(inputSquares[j] - z[j] * z[j], even / 100));
    }
}

double ThresholdSearch::largest() const
{
    double most = 0;
    for (std::size_t j = 0; j < min.size(); ++j)
        most = std::max({most, std::fabs(min[j]), std::fabs(max[j])});
    return most;
}

double ThresholdSearch::error(double t) const
{
    const std::vector<double> s = thresholdFactors(min, max, t);
    double inputRange = 0;
    double weightRange = 0;
    double weights = 0;
    double inputs = 0;
    for (std::size_t j = 0; j < s.size(); ++j) {
        inputRange = std::max({inputRange, std::fabs(min[j]) / s[j], std::fabs(max[j]) / s[j]});
        weightRange = std::max(weightRange, largestWeights[j] * s[j]);
        weights += weightSquares[j] * s[j] * s[j];
        inputs += inputSquares[j] / (s[j] * s[j]);
    }
    const double levels = std::exp2(bits) - 1;
    const double inputStep = 2 * inputRange / levels;
    const double weightStep = 2 * weightRange / levels;
    return (inputStep * inputStep * weights + weightStep * weightStep * static_cast<double>(rows) * inputs) / 12;
}

Result<double> ThresholdSearch::best(double least, const JobContext& context) const
{
    const double most = largest();
    if (!(most > least) || !std::isfinite(most))
        return most > 0 && std::isfinite(most) ? most : 1.0;
    const auto steps =
        std::min<std::int64_t>(100'000, std::max<std::int64_t>(100, static_cast<std::int64_t>(most / 0.5)));
    double best = most;
    double smallest = error(most);
    for (std::int64_t i = 1; i <= steps; ++i) {
        QL_CHECK(context.checkStop());
        const double t = most - (most - least) * static_cast<double>(i) / static_cast<double>(steps);
        if (const double now = error(t); now < smallest) {
            smallest = now;
            best = t;
        }
    }
    return best;
}

} // namespace ql
