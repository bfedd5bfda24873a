// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/kept_rounding.h"

#include "core/formats/quantized_tensor.h"
#include "core/jobs/parallel.h"
#include "core/realize/plan_weights.h"

#include <cmath>

namespace ql {

Result<ErrorStats> keptRounding(const Model& model, const Plan& plan, const TargetProfile& target,
                                const JobContext& context)
{
    ErrorStats all;
    const PlanWeights kept(model, plan, &target, nullptr);
    for (std::size_t i = 0; i < model.layers.size(); ++i) {
        const auto layer = static_cast<std::int64_t>(i);
        if (!plan.candidates[i].weights.isKeep() || !info(model.layers[i].dtype).isFloat)
            continue;
        QL_TRY(exact, model.loadWeights(layer, context));
        QL_TRY(rounded, kept.weights(layer, context));
        const auto compare = [&](std::int64_t begin, std::int64_t end) {
            std::vector<double> w(static_cast<std::size_t>(end - begin));
            std::vector<double> stored(w.size());
            decode(exact.view.dtype, exact.view.data, begin, end - begin, w.data());
            decode(rounded.view.dtype, rounded.view.data, begin, end - begin, stored.data());
            ErrorStats part;
            for (std::size_t k = 0; k < w.size(); ++k) {
                const double error = std::fabs(w[k] - stored[k]);
                part.sumSquaredError += error * error;
                part.sumSquares += w[k] * w[k];
                part.maxAbsError = std::max(part.maxAbsError, error);
                ++part.count;
            }
            return part;
        };
        QL_TRY(error, deterministicReduce(context, exact.view.numel(), std::int64_t{1} << 16, ErrorStats(), compare,
                                          [](ErrorStats& into, const ErrorStats& next) { into.merge(next); }));
        all.merge(error);
    }
    return all;
}

} // namespace ql
