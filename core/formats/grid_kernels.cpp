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

template<std::size_t dimension>
void sum(const GridTable& grid, int cells, const float* products, const float* importance, const bool* isWrong,
         float* sums)
{
    constexpr F f;
    const auto points = static_cast<std::size_t>(grid.points);
    const auto stride = static_cast<std::size_t>(grid.rowStride());
    const auto two = hn::Set(f, 2.0F);
    for (std::size_t k = 0; k < points; k += hn::MaxLanes(f)) {
        VF level[dimension];
        for (std::size_t j = 0; j < dimension; ++j)
            level[j] = hn::Load(f, grid.levels + j * points + k);
        const float* product = products;
        const float* matters = importance;
        float* to = sums + k;
        for (int cell = 0; cell < cells; ++cell) {
            VF term = hn::Mul(hn::Set(f, product[0]), level[0]);
            VF sumA = term;
            VF sumB = hn::Mul(hn::Set(f, matters[0]), hn::Mul(level[0], level[0]));
            VF least = term;
            for (std::size_t j = 1; j < dimension; ++j) {
                term = hn::Mul(hn::Set(f, product[j]), level[j]);
                sumA = hn::Add(sumA, term);
                sumB = hn::Add(sumB, hn::Mul(hn::Set(f, matters[j]), hn::Mul(level[j], level[j])));
                least = hn::Min(least, term);
            }
            hn::StoreU(hn::Mul(two, sumA), f, to);
            hn::StoreU(sumB, f, to + stride);
            if (isWrong[cell])
                hn::StoreU(hn::Mul(two, hn::Sub(sumA, hn::Mul(two, least))), f, to + 2 * stride);
            product += dimension;
            matters += dimension;
            to += 3 * stride;
        }
    }
}

void SumPoints(const GridTable& grid, int cells, const float* products, const float* importance, const bool* isWrong,
               float* sums)
{
    return grid.dimension == 8 ? sum<8>(grid, cells, products, importance, isWrong, sums)
                               : sum<4>(grid, cells, products, importance, isWrong, sums);
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
    for (; j + 2 <= count; j += 2)
        addCosts<2>(points, a, b, scales + j, costs + j);
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

void sumPoints(const GridTable& grid, int cells, const float* products, const float* importance, const bool* isWrong,
               float* sums)
{
    HWY_DYNAMIC_DISPATCH(SumPoints)(grid, cells, products, importance, isWrong, sums);
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
