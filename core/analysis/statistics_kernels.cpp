// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/statistics_kernels.h"

#include "core/tensor/half.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

// Scalable vectors cannot be members of a structure; those machines have NEON too.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/analysis/statistics_kernels.cpp"
// The order matters: the first includes this file once per target.
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "core/tensor/minifloat-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ql {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t kWidth = 8;                // lanes, whatever the vector width
constexpr std::int64_t kSample = 512;            // elements the shift is taken from
using DoubleTag = hn::CappedTag<double, kWidth>; // 8, 4, 2 or 1 lanes
using FloatTag = hn::Rebind<float, DoubleTag>;   // as many
using WordTag = hn::Rebind<std::uint32_t, DoubleTag>;
using HalfTag = hn::Rebind<std::uint16_t, DoubleTag>;
constexpr std::size_t kParts = kWidth / hn::MaxLanes(DoubleTag());

/// Eight lanes: one vector, or a tree of pairs of them. Members are named so that they stay in registers.
template<typename V>
struct Leaf {
    static constexpr std::size_t kCount = kWidth / kParts;
    V v;
};
template<typename Half>
struct Pair {
    static constexpr std::size_t kCount = 2 * Half::kCount;
    Half lo, hi;
};
template<typename V, std::size_t parts>
struct WideOf {
    using Type = Pair<typename WideOf<V, parts / 2>::Type>;
};
template<typename V>
struct WideOf<V, 1> {
    using Type = Leaf<V>;
};
using Doubles = WideOf<hn::Vec<DoubleTag>, kParts>::Type;
using Floats = WideOf<hn::Vec<FloatTag>, kParts>::Type;

template<typename V>
HWY_INLINE void addTo(Leaf<V>& sum, const Leaf<V>& x)
{
    sum.v = hn::Add(sum.v, x.v);
}
template<typename H>
HWY_INLINE void addTo(Pair<H>& sum, const Pair<H>& x)
{
    addTo(sum.lo, x.lo);
    addTo(sum.hi, x.hi);
}
template<typename V>
HWY_INLINE Leaf<V> mul(const Leaf<V>& x, const Leaf<V>& y)
{
    return {hn::Mul(x.v, y.v)};
}
template<typename H>
HWY_INLINE Pair<H> mul(const Pair<H>& x, const Pair<H>& y)
{
    return {mul(x.lo, y.lo), mul(x.hi, y.hi)};
}
template<typename V>
HWY_INLINE Leaf<V> sub(const Leaf<V>& x, const Leaf<V>& y)
{
    return {hn::Sub(x.v, y.v)};
}
template<typename H>
HWY_INLINE Pair<H> sub(const Pair<H>& x, const Pair<H>& y)
{
    return {sub(x.lo, y.lo), sub(x.hi, y.hi)};
}
/// Widens the range [lo, hi] by x and counts zeros.
template<typename V>
HWY_INLINE void observe(Leaf<V>& lo, Leaf<V>& hi, std::size_t& zeros, const Leaf<V>& x)
{
    const hn::DFromV<V> tag;
    lo.v = hn::Min(lo.v, x.v);
    hi.v = hn::Max(hi.v, x.v);
    zeros += hn::CountTrue(tag, hn::Eq(x.v, hn::Zero(tag)));
}
template<typename H>
HWY_INLINE void observe(Pair<H>& lo, Pair<H>& hi, std::size_t& zeros, const Pair<H>& x)
{
    observe(lo.lo, hi.lo, zeros, x.lo);
    observe(lo.hi, hi.hi, zeros, x.hi);
}
template<typename V>
HWY_INLINE void promote(const Leaf<V>& x, Leaf<hn::Vec<DoubleTag>>& out)
{
    if constexpr (std::is_same_v<V, hn::Vec<DoubleTag>>)
        out.v = x.v;
    else
        out.v = hn::PromoteTo(DoubleTag(), x.v);
}
template<typename A, typename B>
HWY_INLINE void promote(const Pair<A>& x, Pair<B>& out)
{
    promote(x.lo, out.lo);
    promote(x.hi, out.hi);
}
template<typename V, typename T>
HWY_INLINE void fill(Leaf<V>& x, T value)
{
    x.v = hn::Set(hn::DFromV<V>(), value);
}
template<typename H, typename T>
HWY_INLINE void fill(Pair<H>& x, T value)
{
    fill(x.lo, value);
    fill(x.hi, value);
}
template<typename V, typename T>
HWY_INLINE void store(const Leaf<V>& x, T* to)
{
    hn::StoreU(x.v, hn::DFromV<V>(), to);
}
template<typename H, typename T>
HWY_INLINE void store(const Pair<H>& x, T* to)
{
    store(x.lo, to);
    store(x.hi, to + H::kCount);
}

template<typename T>
HWY_INLINE T loadScalar(const std::byte* from)
{
    T value;
    std::memcpy(&value, from, sizeof(T));
    return value;
}

// How each stored type is read: units of kUnit elements that make kWides times eight lanes.
/// Types whose elements make one lane each: Type::leaf reads as many as a vector of Wide holds.
template<typename Type, typename Lanes, std::int64_t kSize>
struct OnePerLane {
    using Wide = Lanes;
    static constexpr std::int64_t kUnit = 8, kBytes = kSize, kPerLane = 1;
    template<typename V>
    static HWY_INLINE void load(const std::byte* from, Leaf<V>& out)
    {
        out.v = Type::leaf(from);
    }
    template<typename H>
    static HWY_INLINE void load(const std::byte* from, Pair<H>& out)
    {
        load(from, out.lo);
        load(from + H::kCount * kBytes, out.hi);
    }
    template<typename Visit>
    static HWY_INLINE void unit(const std::byte* from, Visit& visit)
    {
        Wide x;
        load(from, x);
        visit.wide(x);
    }
};
struct F64 : OnePerLane<F64, Doubles, 8> {
    static HWY_INLINE auto leaf(const std::byte* from) { return loadBytes(DoubleTag(), from); }
    static HWY_INLINE double scalar(const std::byte* from) { return loadScalar<double>(from); }
};
struct F32 : OnePerLane<F32, Floats, 4> {
    static HWY_INLINE auto leaf(const std::byte* from) { return loadBytes(FloatTag(), from); }
    static HWY_INLINE double scalar(const std::byte* from) { return static_cast<double>(loadScalar<float>(from)); }
};
struct F16 : OnePerLane<F16, Floats, 2> {
    static HWY_INLINE auto leaf(const std::byte* from)
    {
        return floatFromF16Codes(FloatTag(), loadBytes(HalfTag(), from));
    }
    static HWY_INLINE double scalar(const std::byte* from)
    {
        return static_cast<double>(floatFromF16(loadScalar<std::uint16_t>(from)));
    }
};
/// Two elements per 32-bit word: a shift or a mask makes each a float, without moving anything across lanes.
struct Bf16 {
    using Wide = Floats;
    static constexpr std::int64_t kUnit = 16, kBytes = 2, kPerLane = 2;
    template<typename V>
    static HWY_INLINE void load(const std::byte* from, Leaf<V>& first, Leaf<V>& second)
    {
        const auto words = loadBytes(WordTag(), from);
        const auto high = hn::And(words, hn::Set(WordTag(), 0xffff0000U));
        const auto low = hn::ShiftLeft<16>(words);
        first.v = hn::BitCast(FloatTag(), low);
        second.v = hn::BitCast(FloatTag(), high);
    }
    template<typename H>
    static HWY_INLINE void load(const std::byte* from, Pair<H>& first, Pair<H>& second)
    {
        load(from, first.lo, second.lo);
        load(from + H::kCount * 2 * kBytes, first.hi, second.hi);
    }
    template<typename Visit>
    static HWY_INLINE void unit(const std::byte* from, Visit& visit)
    {
        Wide first, second;
        load(from, first, second);
        visit.wide(first);
        visit.wide(second);
    }
    static HWY_INLINE double scalar(const std::byte* from)
    {
        return static_cast<double>(floatFromBf16(loadScalar<std::uint16_t>(from)));
    }
};

template<typename Wide>
struct Sums {
    Doubles s1, s2, s3, s4;
    Wide lo, hi;
    std::size_t zeros = 0;

    HWY_INLINE void clear()
    {
        fill(s1, 0.0);
        fill(s2, 0.0);
        fill(s3, 0.0);
        fill(s4, 0.0);
        zeros = 0;
    }
};
template<typename Wide, bool kShifted>
struct Visitor {
    Sums<Wide>& sums;
    const Doubles& shift;

    HWY_INLINE void wide(const Wide& x)
    {
        observe(sums.lo, sums.hi, sums.zeros, x);
        Doubles d;
        promote(x, d);
        if constexpr (kShifted)
            d = sub(d, shift);
        const Doubles d2 = mul(d, d);
        addTo(sums.s1, d);
        addTo(sums.s2, d2);
        addTo(sums.s3, mul(d2, d));
        addTo(sums.s4, mul(d2, d2));
    }
};

template<typename Source, bool kShifted>
HWY_INLINE void sumUnits(const std::byte* data, std::int64_t from, std::int64_t to, const Doubles& shift,
                         Sums<typename Source::Wide>& into)
{
    Sums<typename Source::Wide> sums = into;
    Visitor<typename Source::Wide, kShifted> visitor{sums, shift};
    const std::byte* const end = data + to * Source::kUnit * Source::kBytes;
    for (const std::byte* at = data + from * Source::kUnit * Source::kBytes; at != end;
         at += Source::kUnit * Source::kBytes)
        Source::unit(at, visitor);
    into = sums;
}

using Lanes = std::array<double, kWidth>;

double sumLanes(const Lanes& x)
{
    return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
}

template<typename Source>
PowerSums powerSums(const std::byte* data, std::int64_t n)
{
    const std::int64_t units = n / Source::kUnit;
    const std::int64_t sampleUnits = std::min(units, kSample / Source::kUnit);
    Sums<typename Source::Wide> sums;
    sums.clear();
    const double first = Source::scalar(data);
    using Element = std::conditional_t<std::is_same_v<typename Source::Wide, Doubles>, double, float>;
    fill(sums.lo, static_cast<Element>(first));
    fill(sums.hi, static_cast<Element>(first));
    Doubles shift;
    fill(shift, 0.0);
    sumUnits<Source, false>(data, 0, sampleUnits, shift, sums);

    // Without a shift where the sample's mean is within twice its standard deviation: then sums lose at most five
    // digits of sixteen; and never more, because the sample is part of the chunk.
    PowerSums result;
    Lanes s1, s2, s3, s4;
    store(sums.s1, s1.data());
    store(sums.s2, s2.data());
    double sampleSum = sumLanes(s1);
    double sampleSquares = sumLanes(s2);
    const std::int64_t sampled = sampleUnits > 0 ? sampleUnits * Source::kUnit : n;
    if (sampleUnits == 0) {
        for (std::int64_t i = 0; i < n; ++i) {
            const double x = Source::scalar(data + i * Source::kBytes);
            sampleSum += x;
            sampleSquares += x * x;
        }
    }
    const double mean = sampleSum / static_cast<double>(sampled);
    const double variance = sampleSquares / static_cast<double>(sampled) - mean * mean;
    if (mean * mean > 4 * variance)
        result.shift = mean;
    if (result.shift == 0) {
        sumUnits<Source, false>(data, sampleUnits, units, shift, sums);
    } else {
        sums.clear();
        fill(shift, result.shift);
        sumUnits<Source, true>(data, 0, units, shift, sums);
    }
    store(sums.s1, s1.data());
    store(sums.s2, s2.data());
    store(sums.s3, s3.data());
    store(sums.s4, s4.data());
    std::array<Element, kWidth> lo, hi;
    store(sums.lo, lo.data());
    store(sums.hi, hi.data());
    result.min = static_cast<double>(*std::min_element(lo.begin(), lo.end()));
    result.max = static_cast<double>(*std::max_element(hi.begin(), hi.end()));
    result.zeros = static_cast<std::int64_t>(sums.zeros);
    for (std::int64_t i = units * Source::kUnit; i < n; ++i) {
        const auto lane = static_cast<std::size_t>(i % Source::kUnit / Source::kPerLane);
        const double x = Source::scalar(data + i * Source::kBytes);
        result.min = std::min(result.min, x);
        result.max = std::max(result.max, x);
        result.zeros += x == 0 ? 1 : 0;
        const double d = x - result.shift;
        const double d2 = d * d;
        s1[lane] += d;
        s2[lane] += d2;
        s3[lane] += d2 * d;
        s4[lane] += d2 * d2;
    }
    result.min += 0.0;
    result.max += 0.0;
    result.sum1 = sumLanes(s1);
    result.sum2 = sumLanes(s2);
    result.sum3 = sumLanes(s3);
    result.sum4 = sumLanes(s4);
    return result;
}

PowerSums sumsF64(const std::byte* data, std::int64_t n)
{
    return powerSums<F64>(data, n);
}
PowerSums sumsF32(const std::byte* data, std::int64_t n)
{
    return powerSums<F32>(data, n);
}
PowerSums sumsF16(const std::byte* data, std::int64_t n)
{
    return powerSums<F16>(data, n);
}
PowerSums sumsBf16(const std::byte* data, std::int64_t n)
{
    return powerSums<Bf16>(data, n);
}

} // namespace HWY_NAMESPACE
} // namespace ql
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ql {

HWY_EXPORT(sumsF64);
HWY_EXPORT(sumsF32);
HWY_EXPORT(sumsF16);
HWY_EXPORT(sumsBf16);

PowerSums powerSumsF64(const std::byte* data, std::int64_t n)
{
    return HWY_DYNAMIC_DISPATCH(sumsF64)(data, n);
}
PowerSums powerSumsF32(const std::byte* data, std::int64_t n)
{
    return HWY_DYNAMIC_DISPATCH(sumsF32)(data, n);
}
PowerSums powerSumsF16(const std::byte* data, std::int64_t n)
{
    return HWY_DYNAMIC_DISPATCH(sumsF16)(data, n);
}
PowerSums powerSumsBf16(const std::byte* data, std::int64_t n)
{
    return HWY_DYNAMIC_DISPATCH(sumsBf16)(data, n);
}

} // namespace ql
#endif
