// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/analysis/statistics.h"
#include "core/sensitivity/layer_sums.h"

#include <algorithm>
#include <cmath>

namespace ql::metrics {

/// Share of the finite weights with z > 1, or |z| > 1, z = (w − mean)/std with the population's standard deviation; NaN
/// of none.
template<bool twoSided>
Result<double> shareBeyondDeviation(const LayerInput& input, const JobContext& context)
{
    const TensorView& weights = input.weights;
    QL_TRY(statistics, input.statistics(context));
    const auto finite = static_cast<double>(statistics->finite());
    QL_TRY(count,
           sumOverWeights(weights, context, [&](std::int64_t, std::span<const double> part, CompensatedSum& sum) {
               std::int64_t beyond = 0;
               for (const double w : part) {
                   const double above = twoSided ? std::fabs(w - statistics->mean) : w - statistics->mean;
                   beyond += std::isfinite(w) && above > statistics->std ? 1 : 0;
               }
               sum.add(static_cast<double>(beyond));
           }));
    return count / finite;
}

/// Few and extreme weights make a layer important.
inline double importanceOfShare(double share)
{
    return 1 / std::max(share, 1e-9); // none at all counts as one of 10⁹
}

} // namespace ql::metrics
