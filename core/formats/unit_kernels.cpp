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

/// a/b, or 0 where b is next to nothing.
template<typename F>
HWY_INLINE hn::Vec<F> quotientOf(F f, hn::Vec<F> a, hn::Vec<F> b)
{
    return hn::IfThenZeroElse(hn::Lt(hn::Abs(b), hn::Set(f, 0x1p-100F)), hn::Div(a, b));
}

/// Puts the value where the condition holds.
template<typename F>
HWY_INLINE void keep(F f, hn::Mask<F> condition, hn::Vec<F> value, float* to)
{
    hn::StoreU(hn::IfThenElse(condition, value, hn::LoadU(f, to)), f, to);
}

template<typename F>
struct ScaleSums {
    hn::Vec<F> error, slope, curvature;
};
template<std::size_t units, typename Rule, typename F>
HWY_INLINE ScaleSums<F> sumScale(const UnitTile& tile, const Rule& rule, F f, std::size_t u, hn::Vec<F> scale)
{
    const auto inverse = inverseOf(f, scale);
    ScaleSums<F> sums{hn::Zero(f), hn::Zero(f), hn::Zero(f)};
    for (std::size_t at = u; at < kTileWeights; at += units) {
        const auto x = hn::Load(f, tile.x.data() + at);
        const auto importance = hn::Load(f, tile.importance.data() + at);
        const auto v = rule.nearest(f, hn::Mul(x, inverse));
        const auto r = hn::Sub(x, hn::Mul(scale, v));
        const auto weighted = hn::Mul(importance, r);
        sums.error = hn::Add(sums.error, hn::Mul(weighted, r));
        sums.slope = hn::Add(sums.slope, hn::Mul(weighted, v));
        sums.curvature = hn::Add(sums.curvature, hn::Mul(hn::Mul(importance, v), v));
    }
    return sums;
}

template<std::size_t units, template<typename> class Levels>
void improveScale(const UnitTile& tile, const UnitLevels& levels, const PerUnit& base, float factor, BestScales& best)
{
    using F = hn::CappedTag<float, units>;
    constexpr F f;
    const Levels<F> rule(f, levels);
    for (std::size_t u = 0; u < units; u += hn::MaxLanes(f)) {
        const auto scale = hn::Mul(hn::LoadU(f, base.data() + u), hn::Set(f, factor));
        const ScaleSums<F> sums = sumScale<units>(tile, rule, f, u, scale);
        const auto step = quotientOf(f, sums.slope, sums.curvature);
        const auto error = hn::Sub(sums.error, hn::Mul(step, sums.slope));
        const auto better = hn::Lt(error, hn::LoadU(f, best.error.data() + u));
        keep(f, better, error, best.error.data() + u);
        keep(f, better, hn::Add(scale, step), best.scale.data() + u);
    }
}

template<std::size_t units, template<typename> class Levels>
void tryNumber(const UnitTile& tile, const UnitLevels& levels, float scale, const PerUnit& numbers, BestNumbers& best)
{
    using F = hn::CappedTag<float, units>;
    constexpr F f;
    const Levels<F> rule(f, levels);
    for (std::size_t u = 0; u < units; u += hn::MaxLanes(f)) {
        const auto number = hn::LoadU(f, numbers.data() + u);
        const ScaleSums<F> sums = sumScale<units>(tile, rule, f, u, hn::Mul(number, hn::Set(f, scale)));
        const auto better = hn::Lt(sums.error, hn::LoadU(f, best.error.data() + u));
        keep(f, better, number, best.number.data() + u);
        keep(f, better, sums.error, best.error.data() + u);
        keep(f, better, sums.slope, best.slope.data() + u);
        keep(f, better, sums.curvature, best.curvature.data() + u);
    }
}

template<typename F>
struct AffineSums {
    hn::Vec<F> error, r, vr, v, vv;
};
template<std::size_t units, typename F>
HWY_INLINE AffineSums<F> sumAffine(const UnitTile& tile, F f, std::size_t u, float highest, hn::Vec<F> scale,
                                   hn::Vec<F> offset)
{
    const WholeNumbers<F> rule(f, {0, highest, nullptr});
    const auto inverse = inverseOf(f, scale);
    AffineSums<F> sums{hn::Zero(f), hn::Zero(f), hn::Zero(f), hn::Zero(f), hn::Zero(f)};
    for (std::size_t at = u; at < kTileWeights; at += units) {
        const auto x = hn::Sub(hn::Load(f, tile.x.data() + at), offset);
        const auto importance = hn::Load(f, tile.importance.data() + at);
        const auto v = rule.nearest(f, hn::Mul(x, inverse));
        const auto r = hn::Sub(x, hn::Mul(scale, v));
        const auto weightedR = hn::Mul(importance, r);
        const auto weightedV = hn::Mul(importance, v);
        sums.error = hn::Add(sums.error, hn::Mul(weightedR, r));
        sums.r = hn::Add(sums.r, weightedR);
        sums.vr = hn::Add(sums.vr, hn::Mul(weightedR, v));
        sums.v = hn::Add(sums.v, weightedV);
        sums.vv = hn::Add(sums.vv, hn::Mul(weightedV, v));
    }
    return sums;
}

template<std::size_t units>
void improveAffine(const UnitTile& tile, const AffineRule& rule, const PerUnit& scales, const PerUnit& offsets,
                   BestAffines& best)
{
    using F = hn::CappedTag<float, units>;
    constexpr F f;
    for (std::size_t u = 0; u < units; u += hn::MaxLanes(f)) {
        const auto scale = hn::LoadU(f, scales.data() + u);
        const auto offset = hn::LoadU(f, offsets.data() + u);
        const auto importance = hn::LoadU(f, rule.importance.data() + u);
        const AffineSums<F> sums = sumAffine<units>(tile, f, u, rule.highest, scale, offset);
        // The least squares of both; of the offset alone where the codes are all but equal.
        const auto product = hn::Mul(sums.vv, importance);
        const auto determinant = hn::Sub(product, hn::Mul(sums.v, sums.v));
        const auto both = hn::Gt(determinant, hn::Mul(product, hn::Set(f, 1e-5F)));
        const auto stepScale = hn::IfThenElseZero(
            both, hn::Div(hn::Sub(hn::Mul(importance, sums.vr), hn::Mul(sums.v, sums.r)), determinant));
        const auto stepOffset =
            hn::IfThenElse(both, hn::Div(hn::Sub(hn::Mul(sums.vv, sums.r), hn::Mul(sums.v, sums.vr)), determinant),
                           quotientOf(f, sums.r, importance));
        auto newScale = hn::Add(scale, stepScale);
        auto newOffset = hn::Add(offset, stepOffset);
        auto error = hn::Sub(hn::Sub(sums.error, hn::Mul(stepScale, sums.vr)), hn::Mul(stepOffset, sums.r));
        if (rule.offsetBelowZero) { // else no offset: what it took away is back in the residuals
            const auto none = hn::Gt(newOffset, hn::Zero(f));
            const auto slope = hn::Add(sums.vr, hn::Mul(offset, sums.v));
            const auto step = quotientOf(f, slope, sums.vv);
            const auto more = hn::Mul(offset, hn::Add(hn::Add(sums.r, sums.r), hn::Mul(offset, importance)));
            newScale = hn::IfThenElse(none, hn::Add(scale, step), newScale);
            newOffset = hn::IfThenZeroElse(none, newOffset);
            error = hn::IfThenElse(none, hn::Sub(hn::Add(sums.error, more), hn::Mul(step, slope)), error);
        }
        const auto better = hn::Lt(error, hn::LoadU(f, best.error.data() + u));
        keep(f, better, error, best.error.data() + u);
        keep(f, better, newScale, best.scale.data() + u);
        keep(f, better, newOffset, best.offset.data() + u);
    }
}

template<typename F>
HWY_INLINE hn::Vec<F> wholeNumber(F f, hn::Vec<F> x, float least, float most)
{
    const auto magic = hn::Set(f, 0x1.8p23F);
    const auto bounded = hn::Min(hn::Max(x, hn::Set(f, least)), hn::Set(f, most));
    return hn::Sub(hn::Add(bounded, magic), magic);
}

template<std::size_t units>
bool tryPair(const UnitTile& tile, const AffineRule& rule, float scale, float minimum, float most,
             const PerUnit& scales, PerUnit& minima, BestPairs& best)
{
    using F = hn::CappedTag<float, units>;
    constexpr F f;
    bool moved = false;
    for (std::size_t u = 0; u < units; u += hn::MaxLanes(f)) {
        const auto scaleNumber = hn::LoadU(f, scales.data() + u);
        const auto minimumNumber = hn::LoadU(f, minima.data() + u);
        const auto offset = hn::Neg(hn::Mul(minimumNumber, hn::Set(f, minimum)));
        const AffineSums<F> sums =
            sumAffine<units>(tile, f, u, rule.highest, hn::Mul(scaleNumber, hn::Set(f, scale)), offset);
        const auto better = hn::Lt(sums.error, hn::LoadU(f, best.error.data() + u));
        keep(f, better, scaleNumber, best.scale.data() + u);
        keep(f, better, minimumNumber, best.minimum.data() + u);
        keep(f, better, sums.error, best.error.data() + u);
        keep(f, better, sums.r, best.r.data() + u);
        keep(f, better, sums.vr, best.vr.data() + u);
        keep(f, better, sums.v, best.v.data() + u);
        keep(f, better, sums.vv, best.vv.data() + u);
        const auto wanted = hn::Add(offset, quotientOf(f, sums.r, hn::LoadU(f, rule.importance.data() + u)));
        const auto suits = wholeNumber(f, quotientOf(f, hn::Neg(wanted), hn::Set(f, minimum)), 0, most);
        moved = moved || !hn::AllTrue(f, hn::Eq(suits, minimumNumber));
        hn::StoreU(suits, f, minima.data() + u);
    }
    return moved;
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

void ImproveScales(const UnitTile& tile, const UnitLevels& levels, const PerUnit& base, float factor, BestScales& best)
{
    if (levels.table)
        return tile.units == 8 ? improveScale<8, Table>(tile, levels, base, factor, best)
                               : improveScale<16, Table>(tile, levels, base, factor, best);
    return tile.units == 8 ? improveScale<8, WholeNumbers>(tile, levels, base, factor, best)
                           : improveScale<16, WholeNumbers>(tile, levels, base, factor, best);
}

void TryNumbers(const UnitTile& tile, const UnitLevels& levels, float scale, const PerUnit& numbers, BestNumbers& best)
{
    if (levels.table)
        return tile.units == 8 ? tryNumber<8, Table>(tile, levels, scale, numbers, best)
                               : tryNumber<16, Table>(tile, levels, scale, numbers, best);
    return tile.units == 8 ? tryNumber<8, WholeNumbers>(tile, levels, scale, numbers, best)
                           : tryNumber<16, WholeNumbers>(tile, levels, scale, numbers, best);
}

void ImproveAffines(const UnitTile& tile, const AffineRule& rule, const PerUnit& scales, const PerUnit& offsets,
                    BestAffines& best)
{
    return tile.units == 8 ? improveAffine<8>(tile, rule, scales, offsets, best)
                           : improveAffine<16>(tile, rule, scales, offsets, best);
}

bool TryPairs(const UnitTile& tile, const AffineRule& rule, float scale, float minimum, float most,
              const PerUnit& scales, PerUnit& minima, BestPairs& best)
{
    return tile.units == 8 ? tryPair<8>(tile, rule, scale, minimum, most, scales, minima, best)
                           : tryPair<16>(tile, rule, scale, minimum, most, scales, minima, best);
}

void NearestNumbers(const PerUnit& values, float divisor, float step, float least, float most, PerUnit& numbers)
{
    using F = hn::CappedTag<float, kMostUnits>;
    constexpr F f;
    for (std::size_t u = 0; u < kMostUnits; u += hn::MaxLanes(f)) {
        const auto number = quotientOf(f, hn::LoadU(f, values.data() + u), hn::Set(f, divisor));
        const auto centre = hn::Add(wholeNumber(f, number, least, most), hn::Set(f, step));
        hn::StoreU(hn::Min(hn::Max(centre, hn::Set(f, least)), hn::Set(f, most)), f, numbers.data() + u);
    }
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

HWY_EXPORT(ImproveScales);
HWY_EXPORT(TryNumbers);
HWY_EXPORT(ImproveAffines);
HWY_EXPORT(TryPairs);
HWY_EXPORT(NearestNumbers);
HWY_EXPORT(NearestLevels);

void improveScales(const UnitTile& tile, const UnitLevels& levels, const PerUnit& base, float factor, BestScales& best)
{
    HWY_DYNAMIC_DISPATCH(ImproveScales)(tile, levels, base, factor, best);
}

void tryNumbers(const UnitTile& tile, const UnitLevels& levels, float scale, const PerUnit& numbers, BestNumbers& best)
{
    HWY_DYNAMIC_DISPATCH(TryNumbers)(tile, levels, scale, numbers, best);
}

void improveAffines(const UnitTile& tile, const AffineRule& rule, const PerUnit& scales, const PerUnit& offsets,
                    BestAffines& best)
{
    HWY_DYNAMIC_DISPATCH(ImproveAffines)(tile, rule, scales, offsets, best);
}

bool tryPairs(const UnitTile& tile, const AffineRule& rule, float scale, float minimum, float most,
              const PerUnit& scales, PerUnit& minima, BestPairs& best)
{
    return HWY_DYNAMIC_DISPATCH(TryPairs)(tile, rule, scale, minimum, most, scales, minima, best);
}

void nearestNumbers(const PerUnit& values, float divisor, float step, float least, float most, PerUnit& numbers)
{
    HWY_DYNAMIC_DISPATCH(NearestNumbers)(values, divisor, step, least, most, numbers);
}

void nearestLevels(const UnitTile& tile, const UnitLevels& levels, const PerUnit& scales, const PerUnit* offsets,
                   float* out)
{
    HWY_DYNAMIC_DISPATCH(NearestLevels)(tile, levels, scales, offsets, out);
}

} // namespace ql
#endif
