// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/unit_kernels.h"

#include <cstddef>

// Arrays of vectors need vectors of known size.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/formats/unit_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ql {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

/// 1/scale; 0 where the scale is next to nothing, so that y stays a number.
template<typename F>
HWY_INLINE hn::Vec<F> inverseOf(F f, hn::Vec<F> scale)
{
    const auto small = hn::Lt(hn::Abs(scale), hn::Set(f, 0x1p-100F));
    return hn::IfThenZeroElse(small, hn::Div(hn::Set(f, 1.0F), scale));
}

template<typename F>
class WholeNumbers {
public:
    WholeNumbers(F f, const UnitLevels& levels)
        : m_low(hn::Set(f, levels.low)), m_high(hn::Set(f, levels.high)), m_magic(hn::Set(f, 0x1.8p23F))
    {}
    /// Adding 1.5·2²³ rounds to a whole number.
    HWY_INLINE hn::Vec<F> nearest(F, hn::Vec<F> y) const
    {
        return hn::Sub(hn::Add(hn::Min(hn::Max(y, m_low), m_high), m_magic), m_magic);
    }

private:
    hn::Vec<F> m_low, m_high, m_magic;
};

template<typename F>
class Table {
public:
    Table(F f, const UnitLevels& levels)
        : m_low(hn::Set(f, levels.low)), m_high(hn::Set(f, levels.high)), m_table(levels.table)
    {}
    HWY_INLINE hn::Vec<F> nearest(F f, hn::Vec<F> y) const
    {
        const auto steps = hn::Sub(hn::Min(hn::Max(y, m_low), m_high), m_low);
        return hn::GatherIndex(f, m_table, hn::ConvertTo(hn::RebindToSigned<F>(), hn::Add(steps, steps)));
    }

private:
    hn::Vec<F> m_low, m_high;
    const float* m_table;
};

template<std::size_t units, template<typename> class Levels>
void sumScales(const UnitTile& tile, const UnitLevels& levels, const PerUnit& scales, ScaleSums& sums)
{
    using F = hn::CappedTag<float, units>;
    constexpr F f;
    const Levels<F> rule(f, levels);
    for (std::size_t u = 0; u < units; u += hn::MaxLanes(f)) {
        const auto scale = hn::LoadU(f, scales.data() + u);
        const auto inverse = inverseOf(f, scale);
        auto error = hn::Zero(f);
        auto slope = hn::Zero(f);
        auto curvature = hn::Zero(f);
        for (std::size_t at = u; at < kTileWeights; at += units) {
            const auto x = hn::Load(f, tile.x.data() + at);
            const auto importance = hn::Load(f, tile.importance.data() + at);
            const auto v = rule.nearest(f, hn::Mul(x, inverse));
            const auto r = hn::Sub(x, hn::Mul(scale, v));
            const auto weighted = hn::Mul(importance, r);
            error = hn::Add(error, hn::Mul(weighted, r));
            slope = hn::Add(slope, hn::Mul(weighted, v));
            curvature = hn::Add(curvature, hn::Mul(hn::Mul(importance, v), v));
        }
        hn::StoreU(error, f, sums.error.data() + u);
        hn::StoreU(slope, f, sums.slope.data() + u);
        hn::StoreU(curvature, f, sums.curvature.data() + u);
    }
}

template<std::size_t units>
void sumOffsets(const UnitTile& tile, float highest, const PerUnit& scales, const PerUnit& offsets, AffineSums& sums)
{
    using F = hn::CappedTag<float, units>;
    constexpr F f;
    const WholeNumbers<F> rule(f, {0, highest, nullptr});
    for (std::size_t u = 0; u < units; u += hn::MaxLanes(f)) {
        const auto scale = hn::LoadU(f, scales.data() + u);
        const auto offset = hn::LoadU(f, offsets.data() + u);
        const auto inverse = inverseOf(f, scale);
        auto error = hn::Zero(f);
        auto sumR = hn::Zero(f);
        auto sumVr = hn::Zero(f);
        auto sumV = hn::Zero(f);
        auto sumVv = hn::Zero(f);
        for (std::size_t at = u; at < kTileWeights; at += units) {
            const auto x = hn::Sub(hn::Load(f, tile.x.data() + at), offset);
            const auto importance = hn::Load(f, tile.importance.data() + at);
            const auto v = rule.nearest(f, hn::Mul(x, inverse));
            const auto r = hn::Sub(x, hn::Mul(scale, v));
            const auto weightedR = hn::Mul(importance, r);
            const auto weightedV = hn::Mul(importance, v);
            error = hn::Add(error, hn::Mul(weightedR, r));
            sumR = hn::Add(sumR, weightedR);
            sumVr = hn::Add(sumVr, hn::Mul(weightedR, v));
            sumV = hn::Add(sumV, weightedV);
            sumVv = hn::Add(sumVv, hn::Mul(weightedV, v));
        }
        hn::StoreU(error, f, sums.error.data() + u);
        hn::StoreU(sumR, f, sums.r.data() + u);
        hn::StoreU(sumVr, f, sums.vr.data() + u);
        hn::StoreU(sumV, f, sums.v.data() + u);
        hn::StoreU(sumVv, f, sums.vv.data() + u);
    }
}

template<std::size_t units, template<typename> class Levels>
void putLevels(const UnitTile& tile, const UnitLevels& levels, const PerUnit& scales, const PerUnit* offsets,
               float* out)
{
    using F = hn::CappedTag<float, units>;
    constexpr F f;
    const Levels<F> rule(f, levels);
    for (std::size_t u = 0; u < units; u += hn::MaxLanes(f)) {
        const auto inverse = inverseOf(f, hn::LoadU(f, scales.data() + u));
        const auto offset = offsets ? hn::LoadU(f, offsets->data() + u) : hn::Zero(f);
        for (std::size_t at = u; at < kTileWeights; at += units) {
            const auto x = hn::Sub(hn::Load(f, tile.x.data() + at), offset);
            hn::StoreU(rule.nearest(f, hn::Mul(x, inverse)), f, out + at);
        }
    }
}

void SumWithScales(const UnitTile& tile, const UnitLevels& levels, const PerUnit& scales, ScaleSums& sums)
{
    if (levels.table)
        return tile.units == 8 ? sumScales<8, Table>(tile, levels, scales, sums)
                               : sumScales<16, Table>(tile, levels, scales, sums);
    return tile.units == 8 ? sumScales<8, WholeNumbers>(tile, levels, scales, sums)
                           : sumScales<16, WholeNumbers>(tile, levels, scales, sums);
}

void SumWithOffsets(const UnitTile& tile, float highest, const PerUnit& scales, const PerUnit& offsets,
                    AffineSums& sums)
{
    return tile.units == 8 ? sumOffsets<8>(tile, highest, scales, offsets, sums)
                           : sumOffsets<16>(tile, highest, scales, offsets, sums);
}

void NearestLevels(const UnitTile& tile, const UnitLevels& levels, const PerUnit& scales, const PerUnit* offsets,
                   float* out)
{
    if (levels.table)
        return tile.units == 8 ? putLevels<8, Table>(tile, levels, scales, offsets, out)
                               : putLevels<16, Table>(tile, levels, scales, offsets, out);
    return tile.units == 8 ? putLevels<8, WholeNumbers>(tile, levels, scales, offsets, out)
                           : putLevels<16, WholeNumbers>(tile, levels, scales, offsets, out);
}

} // namespace HWY_NAMESPACE
} // namespace ql
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ql {

HWY_EXPORT(SumWithScales);
HWY_EXPORT(SumWithOffsets);
HWY_EXPORT(NearestLevels);

void sumWithScales(const UnitTile& tile, const UnitLevels& levels, const PerUnit& scales, ScaleSums& sums)
{
    HWY_DYNAMIC_DISPATCH(SumWithScales)(tile, levels, scales, sums);
}

void sumWithOffsets(const UnitTile& tile, float highest, const PerUnit& scales, const PerUnit& offsets,
                    AffineSums& sums)
{
    HWY_DYNAMIC_DISPATCH(SumWithOffsets)(tile, highest, scales, offsets, sums);
}

void nearestLevels(const UnitTile& tile, const UnitLevels& levels, const PerUnit& scales, const PerUnit* offsets,
                   float* out)
{
    HWY_DYNAMIC_DISPATCH(NearestLevels)(tile, levels, scales, offsets, out);
}

} // namespace ql
#endif
