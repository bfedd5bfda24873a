// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/grid_kernels.h"

#include <cstddef>
#include <limits>

// Arrays of vectors need vectors of known size.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/formats/grid_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ql {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using F = hn::CappedTag<float, 16>;
using VF = hn::Vec<F>;

template<std::size_t dimension, bool hasWrong>
void sum(const GridTable& grid, const float* products, const float* importance, float* a, float* b, float* wrong)
{
    constexpr F f;
    const auto points = static_cast<std::size_t>(grid.points);
    VF product[dimension];
    VF matters[dimension];
    for (std::size_t j = 0; j < dimension; ++j) {
        product[j] = hn::Set(f, products[j]);
        matters[j] = hn::Set(f, importance[j]);
    }
    const auto two = hn::Set(f, 2.0F);
    for (std::size_t k = 0; k < points; k += hn::MaxLanes(f)) {
        VF sumA = hn::Mul(product[0], hn::Load(f, grid.levels + k));
        VF sumB = hn::Mul(matters[0], hn::Load(f, grid.squares + k));
        [[maybe_unused]] VF least = sumA;
        for (std::size_t j = 1; j < dimension; ++j) {
            const std::size_t at = j * points + k;
            const VF term = hn::Mul(product[j], hn::Load(f, grid.levels + at));
            sumA = hn::Add(sumA, term);
            sumB = hn::Add(sumB, hn::Mul(matters[j], hn::Load(f, grid.squares + at)));
            if constexpr (hasWrong)
                least = hn::Min(least, term);
        }
        hn::StoreU(hn::Mul(two, sumA), f, a + k);
        hn::StoreU(sumB, f, b + k);
        if constexpr (hasWrong)
            hn::StoreU(hn::Mul(two, hn::Sub(sumA, hn::Mul(two, least))), f, wrong + k);
    }
}

void SumPoints(const GridTable& grid, const float* products, const float* importance, float* a, float* b, float* wrong)
{
    if (grid.dimension == 8)
        return wrong ? sum<8, true>(grid, products, importance, a, b, wrong)
                     : sum<8, false>(grid, products, importance, a, b, wrong);
    return wrong ? sum<4, true>(grid, products, importance, a, b, wrong)
                 : sum<4, false>(grid, products, importance, a, b, wrong);
}

template<std::size_t count>
void addCosts(int points, const float* a, const float* b, const float* scales, float* costs)
{
    constexpr F f;
    VF scale[count];
    VF least[count];
    for (std::size_t j = 0; j < count; ++j) {
        scale[j] = hn::Set(f, scales[j]);
        least[j] = hn::Set(f, std::numeric_limits<float>::infinity());
    }
    for (std::size_t k = 0; k < static_cast<std::size_t>(points); k += hn::MaxLanes(f)) {
        const VF pointA = hn::LoadU(f, a + k);
        const VF pointB = hn::LoadU(f, b + k);
        for (std::size_t j = 0; j < count; ++j)
            least[j] = hn::Min(least[j], hn::Sub(hn::Mul(scale[j], pointB), pointA));
    }
    for (std::size_t j = 0; j < count; ++j)
        costs[j] += scales[j] * hn::GetLane(hn::MinOfLanes(f, least[j]));
}

void AddLeastCosts(int points, const float* a, const float* b, int count, const float* scales, float* costs)
{
    int j = 0;
    for (; j + 4 <= count; j += 4)
        addCosts<4>(points, a, b, scales + j, costs + j);
    for (; j < count; ++j)
        addCosts<1>(points, a, b, scales + j, costs + j);
}

int BestPoint(int points, const float* a, const float* b, float scale)
{
    constexpr F f;
    const VF wanted = hn::Set(f, scale);
    VF least = hn::Set(f, std::numeric_limits<float>::infinity());
    for (std::size_t k = 0; k < static_cast<std::size_t>(points); k += hn::MaxLanes(f))
        least = hn::Min(least, hn::Sub(hn::Mul(wanted, hn::LoadU(f, b + k)), hn::LoadU(f, a + k)));
    const VF minimum = hn::Set(f, hn::GetLane(hn::MinOfLanes(f, least)));
    for (std::size_t k = 0; k < static_cast<std::size_t>(points); k += hn::MaxLanes(f)) {
        const auto value = hn::Sub(hn::Mul(wanted, hn::LoadU(f, b + k)), hn::LoadU(f, a + k));
        const auto found = hn::FindFirstTrue(f, hn::Eq(value, minimum));
        if (found >= 0)
            return static_cast<int>(k) + static_cast<int>(found);
    }
    return 0;
}

} // namespace HWY_NAMESPACE
} // namespace ql
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ql {

HWY_EXPORT(SumPoints);
HWY_EXPORT(AddLeastCosts);
HWY_EXPORT(BestPoint);

void sumPoints(const GridTable& grid, const float* products, const float* importance, float* a, float* b, float* wrong)
{
    HWY_DYNAMIC_DISPATCH(SumPoints)(grid, products, importance, a, b, wrong);
}

void addLeastCosts(int points, const float* a, const float* b, int count, const float* scales, float* costs)
{
    HWY_DYNAMIC_DISPATCH(AddLeastCosts)(points, a, b, count, scales, costs);
}

int bestPoint(int points, const float* a, const float* b, float scale)
{
    return HWY_DYNAMIC_DISPATCH(BestPoint)(points, a, b, scale);
}

} // namespace ql
#endif
