// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/site_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/calibration/site_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ql {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<double>;
using F = hn::Rebind<float, D>; // as many lanes
using Wide = hn::ScalableTag<float>;
using Integers = hn::RebindToSigned<Wide>;

void addChannelsOf(const float* x, std::int64_t n, double* sum, float* min, float* max)
{
    const D d;
    const F f;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        const auto value = hn::LoadU(f, x + i);
        hn::StoreU(hn::Add(hn::LoadU(d, sum + i), hn::PromoteTo(d, value)), d, sum + i);
        const auto least = hn::LoadU(f, min + i);
        hn::StoreU(hn::IfThenElse(hn::Lt(value, least), value, least), f, min + i);
        const auto largest = hn::LoadU(f, max + i);
        hn::StoreU(hn::IfThenElse(hn::Lt(largest, value), value, largest), f, max + i);
    }
    for (; i < n; ++i) {
        sum[i] += static_cast<double>(x[i]);
        min[i] = std::min(min[i], x[i]);
        max[i] = std::max(max[i], x[i]);
    }
}

float largestMagnitudeOf(const float* x, std::int64_t n)
{
    // As integers, magnitudes have the order of their bits, and NaN is the largest.
    const Wide f;
    const Integers integers;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(f));
    auto largest = hn::Zero(integers);
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes)
        largest = hn::Max(largest, hn::BitCast(integers, hn::Abs(hn::LoadU(f, x + i))));
    std::int32_t bits = hn::GetLane(hn::MaxOfLanes(integers, largest));
    for (; i < n; ++i)
        bits = std::max(bits, std::bit_cast<std::int32_t>(std::fabs(x[i])));
    return std::bit_cast<float>(bits);
}

void countBinsOf(const float* x, std::int64_t n, float scale, std::int32_t middle, std::int64_t* counts)
{
    const Wide f;
    const Integers integers;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(f));
    const auto factor = hn::Set(f, scale);
    const auto offset = hn::Set(integers, middle);
    HWY_ALIGN std::int32_t bins[hn::MaxLanes(integers)];
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        const auto floor = hn::ConvertTo(integers, hn::Floor(hn::Mul(hn::LoadU(f, x + i), factor)));
        hn::Store(hn::Add(floor, offset), integers, bins);
        for (std::int64_t k = 0; k < lanes; ++k)
            ++counts[bins[k]];
    }
    for (; i < n; ++i)
        ++counts[static_cast<std::int32_t>(std::floor(x[i] * scale)) + middle];
}

} // namespace HWY_NAMESPACE
} // namespace ql
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ql {

HWY_EXPORT(addChannelsOf);
HWY_EXPORT(largestMagnitudeOf);
HWY_EXPORT(countBinsOf);

void addChannels(const float* x, std::int64_t n, double* sum, float* min, float* max)
{
    HWY_DYNAMIC_DISPATCH(addChannelsOf)(x, n, sum, min, max);
}

float largestMagnitude(const float* x, std::int64_t n)
{
    return HWY_DYNAMIC_DISPATCH(largestMagnitudeOf)(x, n);
}

void countBins(const float* x, std::int64_t n, float scale, std::int32_t middle, std::int64_t* counts)
{
    HWY_DYNAMIC_DISPATCH(countBinsOf)(x, n, scale, middle, counts);
}

} // namespace ql
#endif
