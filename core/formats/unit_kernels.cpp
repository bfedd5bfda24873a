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

template<std::size_t units>
UnitExtremes extremes(const float* weights, const float* importance)
{
    using F = hn::CappedTag<float, kTileWeights / units>;
    constexpr F f;
    constexpr std::size_t kLength = kTileWeights / units;
    const auto end = hn::Set(f, 0x1.fffffep127F);
    UnitExtremes found;
    auto finite = hn::Eq(end, end);
    for (std::size_t u = 0; u < units; ++u) {
        auto weight = hn::Zero(f);
        auto matters = hn::Zero(f);
        for (std::size_t e = 0; e < kLength; e += hn::MaxLanes(f)) {
            const auto size = hn::Abs(hn::LoadU(f, weights + u * kLength + e));
            finite = hn::And(finite, hn::Le(size, end));
            weight = hn::Max(weight, size);
            if (importance) {
                const auto value = hn::LoadU(f, importance + u * kLength + e);
                matters = hn::Max(matters, hn::IfThenElseZero(hn::Le(value, end), value));
            }
        }
        found.weight[u] = hn::GetLane(hn::MaxOfLanes(f, weight));
        found.importance[u] = hn::GetLane(hn::MaxOfLanes(f, matters));
    }
    found.isFinite = hn::AllTrue(f, finite);
    return found;
}

template<std::size_t units>
void fill(const float* weights, const float* importance, const PerUnit& factor, const PerUnit& importanceFactor,
          float least, UnitTile& tile, PerUnit& lowest, PerUnit& highest, PerUnit& sum)
{
    using F = hn::CappedTag<float, units>;
    constexpr F f;
    constexpr std::size_t kLength = kTileWeights / units;
    const hn::RebindToSigned<F> d;
    for (std::size_t u = 0; u < units; u += hn::MaxLanes(f)) {
        const auto places = hn::Mul(hn::Iota(d, static_cast<std::int32_t>(u)), hn::Set(d, std::int32_t{kLength}));
        const auto scale = hn::LoadU(f, factor.data() + u);
        const auto importanceScale = hn::LoadU(f, importanceFactor.data() + u);
        auto low = hn::Set(f, 0x1.fffffep127F);
        auto high = hn::Neg(low);
        auto total = hn::Zero(f);
        for (std::size_t e = 0; e < kLength; ++e) {
            const auto x = hn::Mul(hn::GatherIndex(f, weights + e, places), scale);
            low = hn::Min(low, x);
            high = hn::Max(high, x);
            hn::Store(x, f, tile.x.data() + e * units + u);
            auto matters = hn::Set(f, 1.0F);
            if (importance) {
                const auto value = hn::Mul(hn::GatherIndex(f, importance + e, places), importanceScale);
                // What is no number fails the comparison.
                matters = hn::IfThenElse(hn::Gt(value, hn::Set(f, least)), hn::Min(value, matters), hn::Set(f, least));
            }
            hn::Store(matters, f, tile.importance.data() + e * units + u);
            total = hn::Add(total, matters);
        }
        hn::StoreU(low, f, lowest.data() + u);
        hn::StoreU(high, f, highest.data() + u);
        hn::StoreU(total, f, sum.data() + u);
    }
}

UnitExtremes ExtremesOf(const float* weights, const float* importance, int units)
{
    return units == 8 ? extremes<8>(weights, importance) : extremes<16>(weights, importance);
}

void FillTile(const float* weights, const float* importance, const PerUnit& factor, const PerUnit& importanceFactor,
              float least, UnitTile& tile, PerUnit& lowest, PerUnit& highest, PerUnit& sum)
{
    return tile.units == 8 ? fill<8>(weights, importance, factor, importanceFactor, least, tile, lowest, highest, sum)
                           : fill<16>(weights, importance, factor, importanceFactor, least, tile, lowest, highest, sum);
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

/// Σ importance·x·v and Σ importance·v² of the codes at a scale.
template<typename F>
struct ProductSums {
    hn::Vec<F> xv, vv;
};
template<std::size_t units, bool uniform, typename Rule, typename F>
HWY_INLINE ProductSums<F> sumProducts(const UnitTile& tile, const Rule& rule, F f, std::size_t u, hn::Vec<F> scale)
{
    const auto inverse = inverseOf(f, scale);
    ProductSums<F> sums{hn::Zero(f), hn::Zero(f)};
    for (std::size_t at = u; at < kTileWeights; at += units) {
        const auto x = hn::Load(f, tile.x.data() + at);
        const auto v = rule.nearest(f, hn::Mul(x, inverse));
        const auto weighted = uniform ? v : hn::Mul(hn::Load(f, tile.importance.data() + at), v);
        sums.xv = hn::Add(sums.xv, hn::Mul(weighted, x));
        sums.vv = hn::Add(sums.vv, hn::Mul(weighted, v));
    }
    return sums;
}

/// The least squares' error is Σ importance·x² − (Σ importance·x·v)²/Σ importance·v², so the last term decides; it is
/// exact enough where the error is no tiny part of it.
template<std::size_t units, bool uniform, template<typename> class Levels>
void improveCoarseScale(const UnitTile& tile, const UnitLevels& levels, const PerUnit& base, float factor,
                        BestScales& best)
{
    using F = hn::CappedTag<float, units>;
    constexpr F f;
    const Levels<F> rule(f, levels);
    for (std::size_t u = 0; u < units; u += hn::MaxLanes(f)) {
        const auto scale = hn::Mul(hn::LoadU(f, base.data() + u), hn::Set(f, factor));
        const ProductSums<F> sums = sumProducts<units, uniform>(tile, rule, f, u, scale);
        const auto found = quotientOf(f, sums.xv, sums.vv);
        const auto error = hn::Neg(hn::Mul(found, sums.xv));
        const auto better = hn::Lt(error, hn::LoadU(f, best.error.data() + u));
        keep(f, better, error, best.error.data() + u);
        keep(f, better, found, best.scale.data() + u);
    }
}

/// Both ends at once: codes at −scale are those at scale, negated, between −high and −low.
template<std::size_t units, bool uniform>
void improveBothEnds(const UnitTile& tile, const UnitLevels& levels, const PerUnit& base, float factor,
                     BestScales& best)
{
    using F = hn::CappedTag<float, units>;
    constexpr F f;
    const auto low = hn::Set(f, levels.low);
    const auto high = hn::Set(f, levels.high);
    const auto magic = hn::Set(f, 0x1.8p23F);
    for (std::size_t u = 0; u < units; u += hn::MaxLanes(f)) {
        const auto inverse = inverseOf(f, hn::Mul(hn::LoadU(f, base.data() + u), hn::Set(f, factor)));
        ProductSums<F> near{hn::Zero(f), hn::Zero(f)};
        ProductSums<F> far = near;
        for (std::size_t at = u; at < kTileWeights; at += units) {
            const auto x = hn::Load(f, tile.x.data() + at);
            const auto whole = hn::Sub(hn::Add(hn::Mul(x, inverse), magic), magic);
            const auto weightedX = uniform ? x : hn::Mul(hn::Load(f, tile.importance.data() + at), x);
            const auto importance = uniform ? x : hn::Load(f, tile.importance.data() + at);
            const auto add = [&](hn::Vec<F> v, ProductSums<F>& sums) HWY_ATTR {
                sums.xv = hn::Add(sums.xv, hn::Mul(weightedX, v));
                sums.vv = hn::Add(sums.vv, hn::Mul(uniform ? v : hn::Mul(importance, v), v));
            };
            add(hn::Min(hn::Max(whole, low), high), near);
            add(hn::Min(hn::Max(whole, hn::Neg(high)), hn::Neg(low)), far);
        }
        const auto consider = [&](const ProductSums<F>& sums, bool negate) HWY_ATTR {
            const auto found = quotientOf(f, sums.xv, sums.vv);
            const auto error = hn::Neg(hn::Mul(found, sums.xv));
            const auto better = hn::Lt(error, hn::LoadU(f, best.error.data() + u));
            keep(f, better, error, best.error.data() + u);
            keep(f, better, negate ? hn::Neg(found) : found, best.scale.data() + u);
        };
        consider(near, false);
        consider(far, true);
    }
}

template<std::size_t units, template<typename> class Levels>
void improveScale(const UnitTile& tile, const UnitLevels& levels, const PerUnit& base, float factor, BestScales& best)
{
    if (!levels.isFine)
        return tile.isUniform ? improveCoarseScale<units, true, Levels>(tile, levels, base, factor, best)
                              : improveCoarseScale<units, false, Levels>(tile, levels, base, factor, best);
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

template<typename F>
HWY_INLINE hn::Vec<F> wholeNumber(F f, hn::Vec<F> x, float least, float most)
{
    const auto magic = hn::Set(f, 0x1.8p23F);
    const auto bounded = hn::Min(hn::Max(x, hn::Set(f, least)), hn::Set(f, most));
    return hn::Sub(hn::Add(bounded, magic), magic);
}

template<typename F>
HWY_INLINE void keepNumber(F f, hn::Vec<F> number, hn::Vec<F> scale, const ProductSums<F>& sums, std::size_t u,
                           BestNumbers& best)
{
    const auto slope = hn::Sub(sums.xv, hn::Mul(scale, sums.vv));
    const auto error = hn::Neg(hn::Mul(scale, hn::Add(slope, sums.xv)));
    const auto better = hn::Lt(error, hn::LoadU(f, best.error.data() + u));
    keep(f, better, number, best.number.data() + u);
    keep(f, better, error, best.error.data() + u);
    keep(f, better, slope, best.slope.data() + u);
    keep(f, better, sums.vv, best.curvature.data() + u);
}

template<std::size_t units, bool uniform, template<typename> class Levels>
void chooseNumber(const UnitTile& tile, const UnitLevels& levels, const PerUnit& wanted, float scale, float least,
                  float most, BestNumbers& best)
{
    using F = hn::CappedTag<float, units>;
    constexpr F f;
    const Levels<F> rule(f, levels);
    const auto step = hn::Set(f, 1.0F);
    const auto one = hn::Set(f, scale);
    for (std::size_t u = 0; u < units; u += hn::MaxLanes(f)) {
        const auto middle = wholeNumber(f, quotientOf(f, hn::LoadU(f, wanted.data() + u), one), least, most);
        const auto below = hn::Max(hn::Sub(middle, step), hn::Set(f, least));
        const auto above = hn::Min(hn::Add(middle, step), hn::Set(f, most));
        const auto middleScale = hn::Mul(middle, one);
        const auto belowScale = hn::Mul(below, one);
        const auto aboveScale = hn::Mul(above, one);
        const auto middleInverse = inverseOf(f, middleScale);
        const auto belowInverse = inverseOf(f, belowScale);
        const auto aboveInverse = inverseOf(f, aboveScale);
        ProductSums<F> ofMiddle{hn::Zero(f), hn::Zero(f)};
        ProductSums<F> ofBelow = ofMiddle;
        ProductSums<F> ofAbove = ofMiddle;
        for (std::size_t at = u; at < kTileWeights; at += units) {
            const auto x = hn::Load(f, tile.x.data() + at);
            const auto importance = hn::Load(f, tile.importance.data() + at);
            const auto add = [&](hn::Vec<F> inverse, ProductSums<F>& sums) HWY_ATTR {
                const auto v = rule.nearest(f, hn::Mul(x, inverse));
                const auto weighted = uniform ? v : hn::Mul(importance, v);
                sums.xv = hn::Add(sums.xv, hn::Mul(weighted, x));
                sums.vv = hn::Add(sums.vv, hn::Mul(weighted, v));
            };
            add(middleInverse, ofMiddle);
            add(belowInverse, ofBelow);
            add(aboveInverse, ofAbove);
        }
        hn::StoreU(hn::Set(f, 0x1.fffffep127F), f, best.error.data() + u);
        keepNumber(f, middle, middleScale, ofMiddle, u, best);
        keepNumber(f, below, belowScale, ofBelow, u, best);
        keepNumber(f, above, aboveScale, ofAbove, u, best);
    }
}

template<typename F>
struct AffineSums {
    hn::Vec<F> error, r, vr, v, vv;
};
template<std::size_t units, bool uniform, typename F>
HWY_INLINE AffineSums<F> sumAffine(const UnitTile& tile, F f, std::size_t u, float highest, hn::Vec<F> scale,
                                   hn::Vec<F> offset)
{
    const WholeNumbers<F> rule(f, {0, highest, nullptr});
    const auto inverse = inverseOf(f, scale);
    auto xx = hn::Zero(f);
    auto x1 = hn::Zero(f);
    auto xv = hn::Zero(f);
    auto v1 = hn::Zero(f);
    auto vv = hn::Zero(f);
    for (std::size_t at = u; at < kTileWeights; at += units) {
        const auto x = hn::Sub(hn::Load(f, tile.x.data() + at), offset);
        const auto v = rule.nearest(f, hn::Mul(x, inverse));
        const auto importance = uniform ? x : hn::Load(f, tile.importance.data() + at);
        const auto weightedX = uniform ? x : hn::Mul(importance, x);
        const auto weightedV = uniform ? v : hn::Mul(importance, v);
        xx = hn::Add(xx, hn::Mul(weightedX, x));
        x1 = hn::Add(x1, weightedX);
        xv = hn::Add(xv, hn::Mul(weightedX, v));
        v1 = hn::Add(v1, weightedV);
        vv = hn::Add(vv, hn::Mul(weightedV, v));
    }
    // of r = x − scale·v
    const auto vr = hn::Sub(xv, hn::Mul(scale, vv));
    return {hn::Sub(xx, hn::Mul(scale, hn::Add(xv, vr))), hn::Sub(x1, hn::Mul(scale, v1)), vr, v1, vv};
}

template<std::size_t units, bool uniform>
void improveAffine(const UnitTile& tile, const AffineRule& rule, const PerUnit& scales, const PerUnit& offsets,
                   BestAffines& best)
{
    using F = hn::CappedTag<float, units>;
    constexpr F f;
    for (std::size_t u = 0; u < units; u += hn::MaxLanes(f)) {
        const auto scale = hn::LoadU(f, scales.data() + u);
        const auto offset = hn::LoadU(f, offsets.data() + u);
        const auto importance = hn::LoadU(f, rule.importance.data() + u);
        const AffineSums<F> sums = sumAffine<units, uniform>(tile, f, u, rule.highest, scale, offset);
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

template<std::size_t units, bool uniform>
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
            sumAffine<units, uniform>(tile, f, u, rule.highest, hn::Mul(scaleNumber, hn::Set(f, scale)), offset);
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

template<std::size_t units, template<typename> class Levels>
void tryScale(const UnitTile& tile, const UnitLevels& levels, const PerUnit& scales, BestScales& best)
{
    using F = hn::CappedTag<float, units>;
    constexpr F f;
    const Levels<F> rule(f, levels);
    for (std::size_t u = 0; u < units; u += hn::MaxLanes(f)) {
        const auto scale = hn::LoadU(f, scales.data() + u);
        const ProductSums<F> sums = sumProducts<units, false>(tile, rule, f, u, scale);
        const auto slope = hn::Sub(sums.xv, hn::Mul(scale, sums.vv));
        const auto error = hn::Neg(hn::Mul(scale, hn::Add(slope, sums.xv)));
        const auto better = hn::Lt(error, hn::LoadU(f, best.error.data() + u));
        keep(f, better, error, best.error.data() + u);
        keep(f, better, scale, best.scale.data() + u);
    }
}

void ImproveEnds(const UnitTile& tile, const UnitLevels& levels, const PerUnit& base, float factor, BestScales& best)
{
    if (levels.table || levels.isFine) {
        ImproveScales(tile, levels, base, factor, best);
        ImproveScales(tile, levels, base, -factor, best);
    } else if (tile.units == 8) {
        tile.isUniform ? improveBothEnds<8, true>(tile, levels, base, factor, best)
                       : improveBothEnds<8, false>(tile, levels, base, factor, best);
    } else {
        tile.isUniform ? improveBothEnds<16, true>(tile, levels, base, factor, best)
                       : improveBothEnds<16, false>(tile, levels, base, factor, best);
    }
}

void TryScales(const UnitTile& tile, const UnitLevels& levels, const PerUnit& scales, BestScales& best)
{
    if (levels.table)
        return tile.units == 8 ? tryScale<8, Table>(tile, levels, scales, best)
                               : tryScale<16, Table>(tile, levels, scales, best);
    return tile.units == 8 ? tryScale<8, WholeNumbers>(tile, levels, scales, best)
                           : tryScale<16, WholeNumbers>(tile, levels, scales, best);
}

void ChooseNumbers(const UnitTile& tile, const UnitLevels& levels, const PerUnit& wanted, float scale, float least,
                   float most, BestNumbers& best)
{
    if (levels.table)
        return tile.units == 8 ? chooseNumber<8, false, Table>(tile, levels, wanted, scale, least, most, best)
                               : chooseNumber<16, false, Table>(tile, levels, wanted, scale, least, most, best);
    if (tile.units == 8)
        return tile.isUniform ? chooseNumber<8, true, WholeNumbers>(tile, levels, wanted, scale, least, most, best)
                              : chooseNumber<8, false, WholeNumbers>(tile, levels, wanted, scale, least, most, best);
    return tile.isUniform ? chooseNumber<16, true, WholeNumbers>(tile, levels, wanted, scale, least, most, best)
                          : chooseNumber<16, false, WholeNumbers>(tile, levels, wanted, scale, least, most, best);
}

void ImproveAffines(const UnitTile& tile, const AffineRule& rule, const PerUnit& scales, const PerUnit& offsets,
                    BestAffines& best)
{
    if (tile.units == 8)
        return tile.isUniform ? improveAffine<8, true>(tile, rule, scales, offsets, best)
                              : improveAffine<8, false>(tile, rule, scales, offsets, best);
    return tile.isUniform ? improveAffine<16, true>(tile, rule, scales, offsets, best)
                          : improveAffine<16, false>(tile, rule, scales, offsets, best);
}

bool TryPairs(const UnitTile& tile, const AffineRule& rule, float scale, float minimum, float most,
              const PerUnit& scales, PerUnit& minima, BestPairs& best)
{
    if (tile.units == 8)
        return tile.isUniform ? tryPair<8, true>(tile, rule, scale, minimum, most, scales, minima, best)
                              : tryPair<8, false>(tile, rule, scale, minimum, most, scales, minima, best);
    return tile.isUniform ? tryPair<16, true>(tile, rule, scale, minimum, most, scales, minima, best)
                          : tryPair<16, false>(tile, rule, scale, minimum, most, scales, minima, best);
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

HWY_EXPORT(ExtremesOf);
HWY_EXPORT(FillTile);
HWY_EXPORT(ImproveScales);
HWY_EXPORT(ImproveEnds);
HWY_EXPORT(TryScales);
HWY_EXPORT(ChooseNumbers);
HWY_EXPORT(ImproveAffines);
HWY_EXPORT(TryPairs);
HWY_EXPORT(NearestNumbers);
HWY_EXPORT(NearestLevels);

UnitExtremes extremesOf(const float* weights, const float* importance, int units)
{
    return HWY_DYNAMIC_DISPATCH(ExtremesOf)(weights, importance, units);
}

void fillTile(const float* weights, const float* importance, const PerUnit& factor, const PerUnit& importanceFactor,
              float least, UnitTile& tile, PerUnit& lowest, PerUnit& highest, PerUnit& sum)
{
    HWY_DYNAMIC_DISPATCH(FillTile)
    (weights, importance, factor, importanceFactor, least, tile, lowest, highest, sum);
}

void improveScales(const UnitTile& tile, const UnitLevels& levels, const PerUnit& base, float factor, BestScales& best)
{
    HWY_DYNAMIC_DISPATCH(ImproveScales)(tile, levels, base, factor, best);
}

void improveEnds(const UnitTile& tile, const UnitLevels& levels, const PerUnit& base, float factor, BestScales& best)
{
    HWY_DYNAMIC_DISPATCH(ImproveEnds)(tile, levels, base, factor, best);
}

void tryScales(const UnitTile& tile, const UnitLevels& levels, const PerUnit& scales, BestScales& best)
{
    HWY_DYNAMIC_DISPATCH(TryScales)(tile, levels, scales, best);
}

void chooseNumbers(const UnitTile& tile, const UnitLevels& levels, const PerUnit& wanted, float scale, float least,
                   float most, BestNumbers& best)
{
    HWY_DYNAMIC_DISPATCH(ChooseNumbers)
    (tile, levels, wanted, scale, least, most, best);
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
    HWY_DYNAMIC_DISPATCH(NearestNumbers)
    (values, divisor, step, least, most, numbers);
}

void nearestLevels(const UnitTile& tile, const UnitLevels& levels, const PerUnit& scales, const PerUnit* offsets,
                   float* out)
{
    HWY_DYNAMIC_DISPATCH(NearestLevels)(tile, levels, scales, offsets, out);
}

} // namespace ql
#endif
