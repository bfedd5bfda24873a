// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/loss_slice.h"

#include "core/jobs/parallel_sum.h"

namespace ql {

std::vector<double> sliceSteps(const LossSliceSettings& settings)
{
    std::vector<double> steps;
    const std::int64_t half = settings.points / 2;
    for (std::int64_t i = -half; i <= half; ++i)
        steps.push_back(settings.radius * static_cast<double>(i) / static_cast<double>(half));
    return steps;
}

Result<LossSlice> sliceLoss(const LossAt& loss, const ProductWith& product, std::int64_t size,
                            const LossSliceSettings& settings, const JobContext& context)
{
    if (settings.points < 3 || settings.points % 2 == 0 || !(settings.radius > 0))
        return usageError("a slice of the loss takes an odd number of points, 3 or more, and a radius above 0");
    if (size < 2)
        return refused("the loss of fewer than two weights has no slice along two directions");
    QL_CHECK(context.checkMemory(5 * 8 * size, "two eigenvectors"));
    QL_TRY(axes, topEigenvalues(product, size, 2, settings.iterations, settings.tolerance, settings.seed, context));
    LossSlice slice{.axes = {std::move(axes[0]), std::move(axes[1])}, .steps = sliceSteps(settings), .loss = {}};
    const std::vector<double>& u = slice.axes[0].vector;
    const std::vector<double>& v = slice.axes[1].vector;
    std::vector<double> shift(u.size());
    for (const double a : slice.steps)
        for (const double b : slice.steps) {
            QL_CHECK(context.checkStop());
            QL_CHECK(parallelFill(context, shift, [&](std::size_t i) { return a * u[i] + b * v[i]; }));
            QL_TRY(value, loss(shift));
            slice.loss.push_back(value);
        }
    return slice;
}

Result<LossSlice> sliceLoss(const LossFunction& loss, const LossSliceSettings& settings,
                            const std::function<void()>& onProduct, const std::function<void(double)>& onLoss,
                            const JobContext& context)
{
    QL_TRY(size, weightCount(loss, context));
    const auto product = [&](std::span<const double> v) {
        auto made = hessianVectorProduct<double>(loss, v, context);
        if (made && onProduct)
            onProduct();
        return made;
    };
    const auto at = [&](std::span<const double> shift) {
        auto value = lossAt(loss, shift, context);
        if (value && onLoss)
            onLoss(*value);
        return value;
    };
    return sliceLoss(at, product, size, settings, context);
}

} // namespace ql
