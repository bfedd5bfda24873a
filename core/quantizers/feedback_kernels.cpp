// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/feedback_kernels.h"

#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/quantizers/feedback_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ql {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using F = hn::CappedTag<float, 16>;
#if HWY_TARGET == HWY_SCALAR
using D = hn::Rebind<double, F>;
using H = F;
#else
using D = hn::RepartitionToWide<F>;
using H = hn::Half<F>;
#endif
constexpr std::int64_t kLanes = static_cast<std::int64_t>(hn::MaxLanes(F()));
constexpr std::int64_t kHalf = static_cast<std::int64_t>(hn::MaxLanes(H()));

void addAll(const float* deltas, const float* factors, std::int64_t factorStride, std::int64_t count, float* values,
            std::int64_t rows)
{
    for (std::int64_t r = 0; r < rows; r += kLanes) {
        auto sum = hn::LoadU(F(), values + r);
        for (std::int64_t i = 0; i < count; ++i)
            sum = hn::MulAdd(hn::Set(F(), factors[i * factorStride]), hn::LoadU(F(), deltas + i * rows + r), sum);
        hn::StoreU(sum, F(), values + r);
    }
}

/// Σ (a − b)², or Σ a² where b is null.
double squares(const float* a, const float* b, std::int64_t n)
{
    auto sum = hn::Zero(D());
    std::int64_t i = 0;
    for (; i + kHalf <= n; i += kHalf) {
        auto x = hn::PromoteTo(D(), hn::LoadU(H(), a + i));
        if (b)
            x = hn::Sub(x, hn::PromoteTo(D(), hn::LoadU(H(), b + i)));
        sum = hn::MulAdd(x, x, sum);
    }
    double total = hn::GetLane(hn::SumOfLanes(D(), sum));
    for (; i < n; ++i) {
        const double x = static_cast<double>(a[i]) - (b ? static_cast<double>(b[i]) : 0);
        total += x * x;
    }
    return total;
}

double settle(const float* values, const float* restored, float* delta, std::int64_t rows)
{
    for (std::int64_t r = 0; r < rows; r += kLanes)
        hn::StoreU(hn::Sub(hn::LoadU(F(), delta + r), hn::LoadU(F(), restored + r)), F(), delta + r);
    return squares(values, restored, rows);
}

} // namespace HWY_NAMESPACE
} // namespace ql
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ql {

HWY_EXPORT(addAll);
HWY_EXPORT(settle);
HWY_EXPORT(squares);

void addFeedback(const float* deltas, const float* factors, std::int64_t factorStride, std::int64_t count,
                 float* values, std::int64_t rows)
{
    HWY_DYNAMIC_DISPATCH(addAll)(deltas, factors, factorStride, count, values, rows);
}

double settleColumn(const float* values, const float* restored, float* delta, std::int64_t rows)
{
    return HWY_DYNAMIC_DISPATCH(settle)(values, restored, delta, rows);
}

double sumOfSquares(const float* x, std::int64_t n)
{
    return HWY_DYNAMIC_DISPATCH(squares)(x, nullptr, n);
}

} // namespace ql
#endif
