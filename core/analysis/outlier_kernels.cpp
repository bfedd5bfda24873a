// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/outlier_kernels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/analysis/outlier_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ql {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template<typename T>
using UnsignedOf = hwy::MakeUnsigned<T>;

/// Bits of |x|, +inf for NaN.
template<typename T>
UnsignedOf<T> magnitude(T x)
{
    constexpr auto kInfinity = std::bit_cast<UnsignedOf<T>>(std::numeric_limits<T>::infinity());
    return std::min(static_cast<UnsignedOf<T>>(std::bit_cast<UnsignedOf<T>>(x) & (~UnsignedOf<T>{0} >> 1U)), kInfinity);
}

template<class D, typename T = hn::TFromD<D>>
HWY_INLINE hn::Vec<hn::RebindToUnsigned<D>> magnitudes(D d, const T* from)
{
    const hn::RebindToUnsigned<D> du;
    constexpr auto kInfinity = std::bit_cast<UnsignedOf<T>>(std::numeric_limits<T>::infinity());
    return hn::Min(hn::BitCast(du, hn::Abs(hn::LoadU(d, from))), hn::Set(du, kInfinity));
}

void raise(float& into, std::uint32_t bits)
{
    into = std::bit_cast<float>(std::max(std::bit_cast<std::uint32_t>(into), bits));
}

void reduceTwoRows(const float* top, const float* bottom, std::int64_t n, float* cells, float* rowMax, float* colMax)
{
    const hn::ScalableTag<float> d;
    [[maybe_unused]] const hn::RebindToUnsigned<decltype(d)> du;
    [[maybe_unused]] const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    auto topMax = hn::Zero(du);
    auto bottomMax = hn::Zero(du);
    std::int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR // where vectors have no pairs
    for (; i + 2 * lanes <= n; i += 2 * lanes) {
        const auto t0 = magnitudes(d, top + i);
        const auto t1 = magnitudes(d, top + i + lanes);
        const auto b0 = magnitudes(d, bottom + i);
        const auto b1 = magnitudes(d, bottom + i + lanes);
        topMax = hn::Max(topMax, hn::Max(t0, t1));
        bottomMax = hn::Max(bottomMax, hn::Max(b0, b1));
        const auto m0 = hn::Max(t0, b0);
        const auto m1 = hn::Max(t1, b1);
        const auto c0 = hn::Max(m0, hn::BitCast(du, hn::LoadU(d, colMax + i)));
        const auto c1 = hn::Max(m1, hn::BitCast(du, hn::LoadU(d, colMax + i + lanes)));
        hn::StoreU(hn::BitCast(d, c0), d, colMax + i);
        hn::StoreU(hn::BitCast(d, c1), d, colMax + i + lanes);
        const auto pairs = hn::Max(hn::ConcatEven(du, m1, m0), hn::ConcatOdd(du, m1, m0));
        hn::StoreU(hn::BitCast(d, pairs), d, cells + i / 2);
    }
#endif
    raise(rowMax[0], hn::GetLane(hn::MaxOfLanes(du, topMax)));
    raise(rowMax[1], hn::GetLane(hn::MaxOfLanes(du, bottomMax)));
    for (; i < n; ++i) {
        const std::uint32_t t = magnitude(top[i]);
        const std::uint32_t b = magnitude(bottom[i]);
        raise(rowMax[0], t);
        raise(rowMax[1], b);
        raise(colMax[i], std::max(t, b));
        if (i % 2 == 0)
            cells[i / 2] = 0;
        raise(cells[i / 2], std::max(t, b));
    }
}

void reduceTwoCellRows(const float* top, const float* bottom, std::int64_t n, float* cells)
{
    const hn::ScalableTag<float> d;
    [[maybe_unused]] const hn::RebindToUnsigned<decltype(d)> du;
    [[maybe_unused]] const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    std::int64_t i = 0;
#if HWY_TARGET != HWY_SCALAR
    for (; i + 2 * lanes <= n; i += 2 * lanes) {
        const auto m0 = hn::Max(hn::BitCast(du, hn::LoadU(d, top + i)), hn::BitCast(du, hn::LoadU(d, bottom + i)));
        const auto m1 =
            hn::Max(hn::BitCast(du, hn::LoadU(d, top + i + lanes)), hn::BitCast(du, hn::LoadU(d, bottom + i + lanes)));
        const auto pairs = hn::Max(hn::ConcatEven(du, m1, m0), hn::ConcatOdd(du, m1, m0));
        hn::StoreU(hn::BitCast(d, pairs), d, cells + i / 2);
    }
#endif
    for (; i < n; ++i) {
        if (i % 2 == 0)
            cells[i / 2] = 0;
        raise(cells[i / 2], std::max(std::bit_cast<std::uint32_t>(top[i]), std::bit_cast<std::uint32_t>(bottom[i])));
    }
}

template<typename T>
T maxAbsOf(const T* values, std::int64_t n)
{
    const hn::ScalableTag<T> d;
    const hn::RebindToUnsigned<decltype(d)> du;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    auto max0 = hn::Zero(du);
    auto max1 = hn::Zero(du);
    std::int64_t i = 0;
    for (; i + 2 * lanes <= n; i += 2 * lanes) {
        max0 = hn::Max(max0, magnitudes(d, values + i));
        max1 = hn::Max(max1, magnitudes(d, values + i + lanes));
    }
    UnsignedOf<T> bits = hn::GetLane(hn::MaxOfLanes(du, hn::Max(max0, max1)));
    for (; i < n; ++i)
        bits = std::max(bits, magnitude(values[i]));
    return std::bit_cast<T>(bits);
}

template<typename T>
std::int64_t countAboveOf(const T* values, std::int64_t n, T threshold)
{
    const hn::ScalableTag<T> d;
    const auto limit = hn::Set(d, threshold);
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    std::size_t within = 0;
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes)
        within += hn::CountTrue(d, hn::Le(hn::Abs(hn::LoadU(d, values + i)), limit));
    for (; i < n; ++i)
        within += std::fabs(values[i]) <= threshold ? 1U : 0U;
    return n - static_cast<std::int64_t>(within);
}

float maxAbsOfFloats(const float* values, std::int64_t n)
{
    return maxAbsOf(values, n);
}
double maxAbsOfDoubles(const double* values, std::int64_t n)
{
    return maxAbsOf(values, n);
}
std::int64_t countFloatsAbove(const float* values, std::int64_t n, float threshold)
{
    return countAboveOf(values, n, threshold);
}
std::int64_t countDoublesAbove(const double* values, std::int64_t n, double threshold)
{
    return countAboveOf(values, n, threshold);
}

} // namespace HWY_NAMESPACE
} // namespace ql
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ql {

HWY_EXPORT(reduceTwoRows);
HWY_EXPORT(reduceTwoCellRows);
HWY_EXPORT(maxAbsOfFloats);
HWY_EXPORT(maxAbsOfDoubles);
HWY_EXPORT(countFloatsAbove);
HWY_EXPORT(countDoublesAbove);

void reduceRows(const float* top, const float* bottom, std::int64_t n, float* cells, float* rowMax, float* colMax)
{
    HWY_DYNAMIC_DISPATCH(reduceTwoRows)(top, bottom, n, cells, rowMax, colMax);
}

void reduceCells(const float* top, const float* bottom, std::int64_t n, float* cells)
{
    HWY_DYNAMIC_DISPATCH(reduceTwoCellRows)(top, bottom, n, cells);
}

float maxAbs(const float* values, std::int64_t n)
{
    return HWY_DYNAMIC_DISPATCH(maxAbsOfFloats)(values, n);
}

double maxAbs(const double* values, std::int64_t n)
{
    return HWY_DYNAMIC_DISPATCH(maxAbsOfDoubles)(values, n);
}

std::int64_t countAbove(const float* values, std::int64_t n, double threshold)
{
    // The largest float ≤ threshold separates the same floats.
    auto limit = static_cast<float>(threshold);
    if (static_cast<double>(limit) > threshold)
        limit = std::nextafter(limit, -std::numeric_limits<float>::infinity());
    return HWY_DYNAMIC_DISPATCH(countFloatsAbove)(values, n, limit);
}

std::int64_t countAbove(const double* values, std::int64_t n, double threshold)
{
    return HWY_DYNAMIC_DISPATCH(countDoublesAbove)(values, n, threshold);
}

} // namespace ql
#endif
