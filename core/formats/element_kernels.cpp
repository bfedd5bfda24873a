// SPDX-License-Identifier: GPL-3.0-or-later
// The loops of element_coder.h for every vector target. Blocks of 16 elements whatever the vector's width, so that
// partial sums are the same 16 everywhere; tails are padded with zeros.
#include "core/formats/element_coder.h"
#include "core/tensor/half.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

// Arrays of vectors need vectors of known size.
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/formats/element_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ql {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

constexpr std::int64_t kBlock = 16;
using F = hn::CappedTag<float, 16>;
using I = hn::RebindToSigned<F>;
using U = hn::RebindToUnsigned<F>;
using S8 = hn::Rebind<std::int8_t, F>;
using U8 = hn::Rebind<std::uint8_t, F>;
using U16 = hn::Rebind<std::uint16_t, F>;
#if HWY_TARGET == HWY_SCALAR
using D = hn::Rebind<double, F>;
#else
using D = hn::RepartitionToWide<F>;
#endif
using VF = hn::Vec<F>;
using VI = hn::Vec<I>;
using VU = hn::Vec<U>;
using VD = hn::Vec<D>;
constexpr std::int64_t kLanes = static_cast<std::int64_t>(hn::MaxLanes(F()));
constexpr std::int64_t kDoubles = static_cast<std::int64_t>(hn::MaxLanes(D())); // in a vector

/// Calls body(0, …) and body(1, …) with the lower and upper halves of both vectors as double.
template<typename Body>
HWY_INLINE void forHalves(VF a, VF b, const Body& body)
{
#if HWY_TARGET == HWY_SCALAR
    body(0, hn::PromoteTo(D(), a), hn::PromoteTo(D(), b));
#else
    constexpr hn::Half<F> half;
    body(0, hn::PromoteTo(D(), hn::LowerHalf(half, a)), hn::PromoteTo(D(), hn::LowerHalf(half, b)));
    body(1, hn::PromoteTo(D(), hn::UpperHalf(half, a)), hn::PromoteTo(D(), hn::UpperHalf(half, b)));
#endif
}

/// What the elements of a vector have: all the same, or each its own.
struct Lanes {
    Lanes(const Affine& affine) // NOLINT: an Affine is one
        : scale(hn::Set(F(), affine.scale)),
          zero(hn::Set(I(), affine.zero)),
          minimum(hn::Set(F(), affine.minimum)),
          hasMinimum(affine.minimum != 0)
    {}
    Lanes(VF scales, VI zeros, VF minima) : scale(scales), zero(zeros), minimum(minima), hasMinimum(true) {}
    VF scale;
    VI zero;
    VF minimum;
    bool hasMinimum;
};

/// w without NaN, less the minimum, over the scale.
class Quotient {
public:
    explicit Quotient(const Lanes& lanes)
        : m_scale(lanes.scale), m_minimum(lanes.minimum), m_hasMinimum(lanes.hasMinimum)
    {}
    HWY_INLINE VF of(VF w) const
    {
        const VF known = hn::IfThenZeroElse(hn::IsNaN(w), w);
        return hn::Div(m_hasMinimum ? hn::Sub(known, m_minimum) : known, m_scale);
    }

private:
    VF m_scale, m_minimum;
    bool m_hasMinimum;
};

// A rule gives the code of a quotient, the value restored from a quotient, and the value restored from a code.

class IntegerRule {
public:
    IntegerRule(const ElementCoder& coder, const Lanes& lanes)
        : m_low(hn::ConvertTo(F(), hn::Sub(hn::Set(I(), coder.low), lanes.zero))),
          m_high(hn::ConvertTo(F(), hn::Sub(hn::Set(I(), coder.high), lanes.zero))),
          m_magic(hn::Set(F(), 0x1.8p23F)),
          m_zero(lanes.zero),
          m_magicLessZero(hn::Sub(hn::Set(I(), 0x4b400000), lanes.zero)),
          m_scale(lanes.scale),
          m_minimum(lanes.minimum),
          m_hasMinimum(coder.unsignedCodes)
    {}
    HWY_INLINE VI code(VF y) const { return hn::Sub(hn::BitCast(I(), onMagic(y)), m_magicLessZero); }
    HWY_INLINE VF value(VF y) const { return scaled(hn::Sub(onMagic(y), m_magic)); }
    HWY_INLINE VF decode(VI code) const { return scaled(hn::ConvertTo(F(), hn::Sub(code, m_zero))); }
    HWY_INLINE void store(VI code, std::uint8_t* to) const
    {
        hn::StoreU(hn::DemoteTo(S8(), code), S8(), reinterpret_cast<std::int8_t*>(to));
    }
    HWY_INLINE VI load(const std::uint8_t* from) const
    {
        return hn::PromoteTo(I(), hn::LoadU(S8(), reinterpret_cast<const std::int8_t*>(from)));
    }

private:
    /// Adding 1.5·2²³ rounds to a whole number, ties to even, and leaves it in the low bits.
    HWY_INLINE VF onMagic(VF y) const { return hn::Add(hn::Min(hn::Max(y, m_low), m_high), m_magic); }
    HWY_INLINE VF scaled(VF steps) const
    {
        const VF product = hn::Mul(steps, m_scale);
        return m_hasMinimum ? hn::Add(product, m_minimum) : product;
    }
    VF m_low, m_high, m_magic;
    VI m_zero, m_magicLessZero;
    VF m_scale, m_minimum;
    bool m_hasMinimum;
};

class UnsignedCodes {
public:
    HWY_INLINE void store(VI code, std::uint8_t* to) const { hn::StoreU(hn::DemoteTo(U8(), code), U8(), to); }
    HWY_INLINE VI load(const std::uint8_t* from) const { return hn::PromoteTo(I(), hn::LoadU(U8(), from)); }
};

/// Normal magnitudes are rounded as integers: the mantissa's last kept bit decides ties, carries run into the exponent.
/// Subnormal ones by adding the power of two whose last place is the format's smallest step.
class MinifloatRule : public UnsignedCodes {
public:
    MinifloatRule(const ElementCoder& coder, const Lanes& lanes)
        : m_scale(lanes.scale),
          m_maxLevel(hn::Set(F(), coder.maxLevel)),
          m_smallestNormal(hn::Set(F(), coder.smallestNormal)),
          m_magic(hn::Set(F(), coder.magic)),
          m_half(hn::Set(U(), (1U << (22 - coder.mantissaBits)) - 1U)),
          m_rebias(hn::Set(U(), static_cast<std::uint32_t>(127 - coder.bias) << coder.mantissaBits)),
          m_magnitude(hn::Set(U(), (1U << (coder.bits - 1)) - 1U)),
          m_firstNormal(hn::Set(I(), 1 << coder.mantissaBits)),
          m_lastFinite(hn::Set(I(), coder.lastFinite)),
          m_infinite(hn::Set(I(), coder.infinite)),
          m_hasSpecials(coder.lastFinite + 1 < 1 << (coder.bits - 1)),
          m_shift(23 - coder.mantissaBits),
          m_signShift(coder.bits - 1)
    {}
    HWY_INLINE VI code(VF y) const
    {
        const VF magnitude = hn::Min(hn::Abs(y), m_maxLevel);
        const VU normal = hn::Sub(roundedNormal(magnitude), m_rebias);
        const VU subnormal = hn::Sub(hn::BitCast(U(), hn::Add(magnitude, m_magic)), hn::BitCast(U(), m_magic));
        const VU code = hn::IfThenElse(hn::RebindMask(U(), hn::Lt(magnitude, m_smallestNormal)), subnormal, normal);
        const VU sign = hn::ShiftLeftSame(hn::ShiftRight<31>(hn::BitCast(U(), y)), m_signShift);
        const VU signedCode = hn::Or(code, sign);
        return hn::BitCast(I(), hn::IfThenZeroElse(hn::Eq(code, hn::Zero(U())), signedCode));
    }
    HWY_INLINE VF value(VF y) const
    {
        const VF magnitude = hn::Min(hn::Abs(y), m_maxLevel);
        const VF normal = hn::BitCast(F(), hn::ShiftLeftSame(roundedNormal(magnitude), m_shift));
        const VF subnormal = hn::Sub(hn::Add(magnitude, m_magic), m_magic);
        const VF level = hn::IfThenElse(hn::Lt(magnitude, m_smallestNormal), subnormal, normal);
        return hn::Mul(hn::CopySignToAbs(level, y), m_scale);
    }
    HWY_INLINE VF decode(VI code) const
    {
        const VU bits = hn::BitCast(U(), code);
        const VI magnitude = hn::BitCast(I(), hn::And(bits, m_magnitude));
        const auto isSubnormal = hn::Lt(magnitude, m_firstNormal);
        // A subnormal code is read as if its exponent were 1; what that adds is taken off again.
        const VU rebias = hn::IfThenElse(hn::RebindMask(U(), isSubnormal),
                                         hn::Add(m_rebias, hn::BitCast(U(), m_firstNormal)), m_rebias);
        const VF raw = hn::BitCast(F(), hn::ShiftLeftSame(hn::Add(hn::BitCast(U(), magnitude), rebias), m_shift));
        VF level = hn::Sub(raw, hn::IfThenElseZero(hn::RebindMask(F(), isSubnormal), m_smallestNormal));
        if (m_hasSpecials) {
            const VF odd = hn::IfThenElse(hn::RebindMask(F(), hn::Eq(magnitude, m_infinite)),
                                          hn::Set(F(), std::numeric_limits<float>::infinity()), hn::NaN(F()));
            level = hn::IfThenElse(hn::RebindMask(F(), hn::Gt(magnitude, m_lastFinite)), odd, level);
        }
        const VU sign = hn::ShiftLeft<31>(hn::ShiftRightSame(bits, m_signShift));
        return hn::Mul(hn::Or(level, hn::BitCast(F(), sign)), m_scale);
    }

private:
    HWY_INLINE VU roundedNormal(VF magnitude) const
    {
        const VU m = hn::BitCast(U(), magnitude);
        const VU odd = hn::And(hn::ShiftRightSame(m, m_shift), hn::Set(U(), 1U));
        return hn::ShiftRightSame(hn::Add(hn::Add(m, m_half), odd), m_shift);
    }
    VF m_scale, m_maxLevel, m_smallestNormal, m_magic;
    VU m_half, m_rebias, m_magnitude;
    VI m_firstNormal, m_lastFinite, m_infinite;
    bool m_hasSpecials;
    int m_shift, m_signShift;
};

/// Few levels are counted one by one, which needs no table; many are halved into.
class CodebookRule : public UnsignedCodes {
public:
    CodebookRule(const ElementCoder& coder, const Lanes& lanes) : m_coder(coder), m_scale(lanes.scale) {}
    HWY_INLINE VI code(VF y) const
    {
        const VI at = m_coder.levelCount <= 16 ? counted(y) : halved(y);
        return m_coder.inOrder ? at : hn::GatherIndex(I(), m_coder.codes.data(), at);
    }
    HWY_INLINE VF value(VF y) const { return decode(code(y)); }
    HWY_INLINE VF decode(VI code) const { return hn::Mul(hn::GatherIndex(F(), m_coder.levels.data(), code), m_scale); }

private:
    HWY_INLINE VI counted(VF y) const
    {
        VI code = hn::Zero(I());
        for (int i = 0; i + 1 < m_coder.levelCount; ++i) {
            const VF threshold = hn::Set(F(), m_coder.thresholds[static_cast<std::size_t>(i)]);
            code = hn::Sub(code, hn::VecFromMask(I(), hn::RebindMask(I(), hn::Ge(y, threshold))));
        }
        return code;
    }
    HWY_INLINE VI halved(VF y) const
    {
        VI at = hn::Zero(I());
        for (int step = 128; step > 0; step /= 2) {
            const VF threshold = hn::GatherIndex(F(), m_coder.thresholds.data(), hn::Add(at, hn::Set(I(), step - 1)));
            at = hn::Add(at, hn::IfThenElseZero(hn::RebindMask(I(), hn::Ge(y, threshold)), hn::Set(I(), step)));
        }
        return at;
    }
    const ElementCoder& m_coder;
    VF m_scale;
};

/// Calls body(rule) with the rule of the coder's kind.
template<typename Body>
HWY_INLINE void withRule(const ElementCoder& coder, const Affine& affine, const Body& body)
{
    if (coder.kind == FormatKind::integer)
        body(IntegerRule(coder, affine));
    else if (coder.kind == FormatKind::minifloat)
        body(MinifloatRule(coder, affine));
    else
        body(CodebookRule(coder, affine));
}

template<typename Rule, typename AnyQuotient>
HWY_INLINE void encodeAll(const Rule& rule, const AnyQuotient& quotient, const float* weights, std::int64_t n,
                          std::uint8_t* codes)
{
    std::int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes)
        rule.store(rule.code(quotient.of(hn::LoadU(F(), weights + i))), codes + i);
    if (kLanes == 1 || i >= n)
        return;
    float tail[kBlock] = {};
    std::uint8_t tailCodes[kBlock];
    std::memcpy(tail, weights + i, static_cast<std::size_t>(n - i) * sizeof(float));
    rule.store(rule.code(quotient.of(hn::LoadU(F(), tail))), tailCodes);
    std::memcpy(codes + i, tailCodes, static_cast<std::size_t>(n - i));
}

void encode(const ElementCoder& coder, const Affine& affine, const float* weights, std::int64_t n, std::uint8_t* codes)
{
    withRule(coder, affine, [&](const auto& rule) { encodeAll(rule, Quotient(affine), weights, n, codes); });
}

/// Rounds to a mantissa of 23 − shift bits, ties to even.
HWY_INLINE VF shortened(VF y, int shift)
{
    const VU bits = hn::BitCast(U(), y);
    const VU odd = hn::And(hn::ShiftRightSame(bits, shift), hn::Set(U(), 1U));
    const VU sum = hn::Add(hn::Add(bits, hn::Set(U(), (1U << (shift - 1)) - 1U)), odd);
    return hn::BitCast(F(), hn::ShiftLeftSame(hn::ShiftRightSame(sum, shift), shift));
}

/// A quotient as a library gives it that works in bf16 or f16, before it is rounded to a code. Subnormal f16 are not
/// told apart: they round to the same codes.
class ShortQuotient {
public:
    ShortQuotient(const Affine& affine, int shift)
        : m_quotient(affine), m_zero(hn::Set(F(), static_cast<float>(affine.zero))), m_shift(shift)
    {}
    HWY_INLINE VF of(VF w) const
    {
        const VF y = m_quotient.of(w);
        return m_shift == 0 ? hn::Add(y, m_zero) : shortened(hn::Add(shortened(y, m_shift), m_zero), m_shift);
    }

private:
    Quotient m_quotient;
    VF m_zero;
    int m_shift;
};

void encodeShort(const ElementCoder& coder, const Affine& affine, int shift, const float* weights, std::int64_t n,
                 std::uint8_t* codes)
{
    Affine noZero = affine; // it is in the quotient
    noZero.zero = 0;
    encodeAll(IntegerRule(coder, noZero), ShortQuotient(affine, shift), weights, n, codes);
}

template<typename Rule>
HWY_INLINE void encodeColumnBy(const ElementCoder& coder, const AffineColumn& column, const float* weights,
                               std::int64_t n, std::uint8_t* codes, float* restored)
{
    for (std::int64_t i = 0; i < n; i += kLanes) {
        const VF raw = hn::Mul(hn::LoadU(F(), column.scale + i), hn::Set(F(), coder.step));
        // Where a scale underflowed everything is zero.
        const auto vanished = hn::Eq(raw, hn::Zero(F()));
        const Lanes lanes(hn::IfThenElse(vanished, hn::Set(F(), 1), raw),
                          column.zero ? hn::LoadU(I(), column.zero + i) : hn::Zero(I()),
                          column.minimum ? hn::LoadU(F(), column.minimum + i) : hn::Zero(F()));
        const Rule rule(coder, lanes);
        const VF w = hn::LoadU(F(), weights + i);
        const VI code = rule.code(hn::IfThenZeroElse(vanished, Quotient(lanes).of(w)));
        rule.store(code, codes + i);
        hn::StoreU(hn::IfThenElse(vanished, lanes.minimum, rule.decode(code)), F(), restored + i);
    }
}

void encodeColumn(const ElementCoder& coder, const AffineColumn& column, const float* weights, std::int64_t n,
                  std::uint8_t* codes, float* restored)
{
    if (coder.kind == FormatKind::integer)
        encodeColumnBy<IntegerRule>(coder, column, weights, n, codes, restored);
    else if (coder.kind == FormatKind::minifloat)
        encodeColumnBy<MinifloatRule>(coder, column, weights, n, codes, restored);
    else
        encodeColumnBy<CodebookRule>(coder, column, weights, n, codes, restored);
}

void decode(const ElementCoder& coder, const Affine& affine, const std::uint8_t* codes, std::int64_t n, float* out)
{
    withRule(coder, affine, [&](const auto& rule) {
        std::int64_t i = 0;
        for (; i + kLanes <= n; i += kLanes)
            hn::StoreU(rule.decode(rule.load(codes + i)), F(), out + i);
        if (kLanes == 1 || i >= n)
            return;
        float tail[kBlock];
        std::uint8_t tailCodes[kBlock] = {};
        std::memcpy(tailCodes, codes + i, static_cast<std::size_t>(n - i));
        hn::StoreU(rule.decode(rule.load(tailCodes)), F(), tail);
        std::memcpy(out + i, tail, static_cast<std::size_t>(n - i) * sizeof(float));
    });
}

/// Sixteen partial sums in double, element i in sum i mod 16.
class Sums {
public:
    /// Adds the squares of the differences of both vectors, the lanes starting at element `first` of a block.
    HWY_INLINE void addSquares(std::int64_t first, VF a, VF b)
    {
        forHalves(a, b, [&](std::int64_t half, VD x, VD y) {
            const VD difference = hn::Sub(x, y);
            VD& sum = m_sums[first / kDoubles + half];
            sum = hn::Add(sum, hn::Mul(difference, difference));
        });
    }
    /// The same, each square times its importance.
    HWY_INLINE void addWeighted(std::int64_t first, VF importance, VF a, VF b)
    {
        VD weights[2] = {hn::Zero(D()), hn::Zero(D())};
        forHalves(importance, importance, [&](std::int64_t half, VD weight, VD) { weights[half] = weight; });
        forHalves(a, b, [&](std::int64_t half, VD x, VD y) {
            const VD difference = hn::Sub(x, y);
            VD& sum = m_sums[first / kDoubles + half];
            sum = hn::Add(sum, hn::Mul(weights[half], hn::Mul(difference, difference)));
        });
    }
    double total() const
    {
        double sums[kBlock];
        for (std::int64_t i = 0; i < kVectors; ++i)
            hn::StoreU(m_sums[i], D(), sums + i * kDoubles);
        for (std::int64_t width = kBlock / 2; width > 0; width /= 2)
            for (std::int64_t i = 0; i < width; ++i)
                sums[i] += sums[i + width];
        return sums[0];
    }

private:
    static constexpr std::int64_t kVectors = kBlock / kDoubles;
    VD m_sums[kVectors];

public:
    Sums()
    {
        for (VD& sum : m_sums)
            sum = hn::Zero(D());
    }
};

void narrowToBf16(const float* from, std::int64_t n, std::uint16_t* to)
{
    const auto take = [](const float* x, std::uint16_t* out) {
        const VU bits = hn::BitCast(U(), hn::LoadU(F(), x));
        const VU odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(U(), 1U));
        const VU rounded = hn::ShiftRight<16>(hn::Add(hn::Add(bits, hn::Set(U(), 0x7fffU)), odd));
        const VU quiet = hn::Or(hn::ShiftRight<16>(bits), hn::Set(U(), 0x40U));
        const auto isNan = hn::RebindMask(U(), hn::IsNaN(hn::LoadU(F(), x)));
        const VI code = hn::BitCast(I(), hn::IfThenElse(isNan, quiet, rounded));
        hn::StoreU(hn::DemoteTo(U16(), code), U16(), out);
    };
    std::int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes)
        take(from + i, to + i);
    for (; i < n; ++i)
        to[i] = bf16FromFloat(from[i]);
}

void narrowToF16(const float* from, std::int64_t n, std::uint16_t* to)
{
    const auto take = [](const float* x, std::uint16_t* out) {
        const VU bits = hn::BitCast(U(), hn::LoadU(F(), x));
        const VU magnitude = hn::And(bits, hn::Set(U(), 0x7fffffffU));
        const VI ordered = hn::BitCast(I(), magnitude);
        const VU odd = hn::And(hn::ShiftRight<13>(magnitude), hn::Set(U(), 1U));
        const VU rounded = hn::Sub(hn::ShiftRight<13>(hn::Add(hn::Add(magnitude, hn::Set(U(), 0xfffU)), odd)),
                                   hn::Set(U(), 112U << 10U));
        const VU normal = hn::BitCast(U(), hn::Min(hn::BitCast(I(), rounded), hn::Set(I(), 0x7c00)));
        const VF half = hn::Set(F(), 0.5F); // its last place is the smallest step of f16
        const VU subnormal =
            hn::Sub(hn::BitCast(U(), hn::Add(hn::BitCast(F(), magnitude), half)), hn::BitCast(U(), half));
        const VU nan = hn::Or(hn::And(hn::ShiftRight<13>(magnitude), hn::Set(U(), 0x3ffU)), hn::Set(U(), 0x7e00U));
        VU code = hn::IfThenElse(hn::RebindMask(U(), hn::Lt(ordered, hn::Set(I(), 0x38800000))), subnormal, normal);
        code = hn::IfThenElse(hn::RebindMask(U(), hn::Gt(ordered, hn::Set(I(), 0x7f800000))), nan, code);
        const VU sign = hn::And(hn::ShiftRight<16>(bits), hn::Set(U(), 0x8000U));
        hn::StoreU(hn::DemoteTo(U16(), hn::BitCast(I(), hn::Or(code, sign))), U16(), out);
    };
    std::int64_t i = 0;
    for (; i + kLanes <= n; i += kLanes)
        take(from + i, to + i);
    for (; i < n; ++i)
        to[i] = f16FromFloat(from[i]);
}

double squaredError(const ElementCoder& coder, const Affine& affine, const float* weights, std::int64_t n)
{
    double total = 0;
    withRule(coder, affine, [&](const auto& rule) {
        const Quotient quotient(affine);
        Sums sums;
        std::int64_t i = 0;
        for (; i + kBlock <= n; i += kBlock)
            for (std::int64_t lane = 0; lane < kBlock; lane += kLanes) {
                const VF w = hn::LoadU(F(), weights + i + lane);
                sums.addSquares(lane, w, rule.value(quotient.of(w)));
            }
        if (i < n) {
            float tail[kBlock] = {};
            std::memcpy(tail, weights + i, static_cast<std::size_t>(n - i) * sizeof(float));
            for (std::int64_t lane = 0; lane < kBlock; lane += kLanes) {
                const VF w = hn::LoadU(F(), tail + lane);
                const auto inside = hn::FirstN(F(), static_cast<std::size_t>(std::max<std::int64_t>(0, n - i - lane)));
                sums.addSquares(lane, w, hn::IfThenElse(inside, rule.value(quotient.of(w)), w));
            }
        }
        total = sums.total();
    });
    return total;
}

double weightedError(const ElementCoder& coder, const Affine& affine, const float* weights, const float* importance,
                     std::int64_t n)
{
    double total = 0;
    withRule(coder, affine, [&](const auto& rule) {
        const Quotient quotient(affine);
        Sums sums;
        const auto take = [&](const float* from, const float* weight) {
            for (std::int64_t lane = 0; lane < kBlock; lane += kLanes) {
                const VF w = hn::LoadU(F(), from + lane);
                sums.addWeighted(lane, hn::LoadU(F(), weight + lane), w, rule.value(quotient.of(w)));
            }
        };
        std::int64_t i = 0;
        for (; i + kBlock <= n; i += kBlock)
            take(weights + i, importance + i);
        if (i < n) {
            float tail[kBlock] = {};
            float tailImportance[kBlock] = {};
            std::memcpy(tail, weights + i, static_cast<std::size_t>(n - i) * sizeof(float));
            std::memcpy(tailImportance, importance + i, static_cast<std::size_t>(n - i) * sizeof(float));
            take(tail, tailImportance);
        }
        total = sums.total();
    });
    return total;
}

/// Candidates side by side: the chains of one hide the latency of the others.
constexpr std::size_t kTogether = 4;

template<typename Rule>
HWY_INLINE void roughErrorsOf(const Rule (&rules)[kTogether], const Affine (&affines)[kTogether], const float* weights,
                              std::int64_t n, float* errors)
{
    constexpr std::int64_t kVectors = kBlock / kLanes;
    VF inverse[kTogether], minimum[kTogether], sums[kTogether][kVectors];
    for (std::size_t c = 0; c < kTogether; ++c) {
        inverse[c] = hn::Set(F(), 1.0F / affines[c].scale);
        minimum[c] = hn::Set(F(), affines[c].minimum);
        for (VF& sum : sums[c])
            sum = hn::Zero(F());
    }
    const auto error = [&](std::size_t c, VF w) {
        return hn::Sub(w, rules[c].value(hn::Mul(hn::Sub(w, minimum[c]), inverse[c])));
    };
    std::int64_t i = 0;
    for (; i + kBlock <= n; i += kBlock)
        for (std::int64_t v = 0; v < kVectors; ++v) {
            const VF w = hn::LoadU(F(), weights + i + v * kLanes);
            for (std::size_t c = 0; c < kTogether; ++c) {
                const VF e = error(c, w);
                sums[c][v] = hn::MulAdd(e, e, sums[c][v]);
            }
        }
    if (i < n) {
        float tail[kBlock] = {};
        std::memcpy(tail, weights + i, static_cast<std::size_t>(n - i) * sizeof(float));
        for (std::int64_t v = 0; v < kVectors; ++v) {
            const VF w = hn::LoadU(F(), tail + v * kLanes);
            const auto inside =
                hn::FirstN(F(), static_cast<std::size_t>(std::max<std::int64_t>(0, n - i - v * kLanes)));
            for (std::size_t c = 0; c < kTogether; ++c) {
                const VF e = hn::IfThenElseZero(inside, error(c, w));
                sums[c][v] = hn::MulAdd(e, e, sums[c][v]);
            }
        }
    }
    for (std::size_t c = 0; c < kTogether; ++c) {
        VF sum = sums[c][0];
        for (std::int64_t v = 1; v < kVectors; ++v)
            sum = hn::Add(sum, sums[c][v]);
        errors[c] = hn::GetLane(hn::SumOfLanes(F(), sum));
    }
}

void roughErrors(const ElementCoder& coder, const Affine* candidates, std::size_t count, const float* weights,
                 std::int64_t n, float* errors)
{
    withRule(coder, candidates[0], [&](const auto& first) {
        using Rule = std::decay_t<decltype(first)>;
        for (std::size_t begin = 0; begin < count; begin += kTogether) {
            Affine affines[kTogether];
            for (std::size_t c = 0; c < kTogether; ++c) {
                affines[c] = candidates[std::min(begin + c, count - 1)];
                affines[c].scale *= coder.step;
            }
            const Rule rules[kTogether] = {Rule(coder, affines[0]), Rule(coder, affines[1]), Rule(coder, affines[2]),
                                           Rule(coder, affines[3])};
            float sums[kTogether];
            roughErrorsOf(rules, affines, weights, n, sums);
            std::copy_n(sums, std::min(kTogether, count - begin), errors + begin);
        }
    });
}

RunRange range(const float* weights, std::int64_t n)
{
    constexpr float kInf = std::numeric_limits<float>::infinity();
    const VF largest = hn::Set(F(), std::numeric_limits<float>::max());
    const VF inf = hn::Set(F(), kInf);
    const VF minusInf = hn::Set(F(), -kInf);
    struct Part {
        VF low, high;
        hn::Mask<F> odd;
    };
    Part part0{inf, minusInf, hn::Lt(inf, minusInf)};
    Part part1 = part0;
    const auto take = [&](const float* from, Part& part) {
        const VF x = hn::LoadU(F(), from);
        const auto finite = hn::Le(hn::Abs(x), largest);
        part.low = hn::Min(part.low, hn::IfThenElse(finite, x, inf));
        part.high = hn::Max(part.high, hn::IfThenElse(finite, x, minusInf));
        part.odd = hn::Or(part.odd, hn::Not(finite));
    };
    std::int64_t i = 0;
    for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
        take(weights + i, part0);
        take(weights + i + kLanes, part1);
    }
    for (; i + kLanes <= n; i += kLanes)
        take(weights + i, part0);
    RunRange range;
    range.allFinite = hn::AllFalse(F(), hn::Or(part0.odd, part1.odd));
    float low = hn::GetLane(hn::MinOfLanes(F(), hn::Min(part0.low, part1.low)));
    float high = hn::GetLane(hn::MaxOfLanes(F(), hn::Max(part0.high, part1.high)));
    for (; i < n; ++i) {
        const bool finite = std::isfinite(weights[i]);
        low = finite ? std::min(low, weights[i]) : low;
        high = finite ? std::max(high, weights[i]) : high;
        range.allFinite = range.allFinite && finite;
    }
    if (low > high)
        return range;
    range.absMax = std::max(std::fabs(low), std::fabs(high));
    range.min = low;
    range.max = high;
    range.any = true;
    return range;
}

RunError error(const float* weights, const float* restored, std::int64_t n)
{
    const VF largest = hn::Set(F(), std::numeric_limits<float>::max());
    Sums differences;
    Sums squares;
    VD farthest = hn::Zero(D());
    RunError result;
    const auto take = [&](std::int64_t lane, VF rawWeights, VF rawRestored) {
        const auto finite = hn::Le(hn::Abs(rawWeights), largest);
        const VF w = hn::IfThenElseZero(finite, rawWeights);
        const VF r = hn::IfThenElseZero(finite, rawRestored);
        differences.addSquares(lane, w, r);
        squares.addSquares(lane, w, hn::Zero(F()));
        forHalves(w, r, [&](std::int64_t, VD x, VD y) { farthest = hn::Max(farthest, hn::Abs(hn::Sub(x, y))); });
        return static_cast<std::int64_t>(hn::CountTrue(F(), finite));
    };
    std::int64_t i = 0;
    for (; i + kBlock <= n; i += kBlock)
        for (std::int64_t lane = 0; lane < kBlock; lane += kLanes)
            result.count += take(lane, hn::LoadU(F(), weights + i + lane), hn::LoadU(F(), restored + i + lane));
    if (i < n) {
        float tailWeights[kBlock] = {};
        float tailRestored[kBlock] = {};
        std::memcpy(tailWeights, weights + i, static_cast<std::size_t>(n - i) * sizeof(float));
        std::memcpy(tailRestored, restored + i, static_cast<std::size_t>(n - i) * sizeof(float));
        for (std::int64_t lane = 0; lane < kBlock; lane += kLanes)
            result.count += take(lane, hn::LoadU(F(), tailWeights + lane), hn::LoadU(F(), tailRestored + lane));
        result.count -= kBlock - (n - i);
    }
    double lanes[kBlock];
    hn::StoreU(farthest, D(), lanes);
    for (std::int64_t lane = 0; lane < kDoubles; ++lane)
        result.maxAbsError = std::max(result.maxAbsError, lanes[lane]);
    result.squaredError = differences.total();
    result.squares = squares.total();
    return result;
}

} // namespace HWY_NAMESPACE
} // namespace ql
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ql {

HWY_EXPORT(encode);
HWY_EXPORT(encodeColumn);
HWY_EXPORT(encodeShort);
HWY_EXPORT(decode);
HWY_EXPORT(narrowToBf16);
HWY_EXPORT(narrowToF16);
HWY_EXPORT(squaredError);
HWY_EXPORT(weightedError);
HWY_EXPORT(roughErrors);
HWY_EXPORT(range);
HWY_EXPORT(error);

namespace {

/// The scale of integer codes: mxint8's levels are codes times 2⁻⁶, and that factor is exact in the scale.
Affine withStep(const ElementCoder& coder, Affine affine)
{
    affine.scale *= coder.step;
    return affine;
}

} // namespace

void encodeRun(const ElementCoder& coder, const Affine& affine, const float* weights, std::int64_t n,
               std::uint8_t* codes)
{
    const Affine stepped = withStep(coder, affine);
    if (stepped.scale == 0) { // a scale that underflowed: everything is zero
        std::uint8_t zero = 0;
        const float nothing = std::numeric_limits<float>::min(); // restores to +0 where there is no level 0, too
        HWY_DYNAMIC_DISPATCH(encode)(coder, {1, affine.zero, 0}, &nothing, 1, &zero);
        std::fill_n(codes, n, zero);
        return;
    }
    HWY_DYNAMIC_DISPATCH(encode)(coder, stepped, weights, n, codes);
}

void encodeColumn(const ElementCoder& coder, const AffineColumn& column, const float* weights, std::int64_t n,
                  std::uint8_t* codes, float* restored)
{
    HWY_DYNAMIC_DISPATCH(encodeColumn)(coder, column, weights, n, codes, restored);
}

void encodeRunRounded(const ElementCoder& coder, const Affine& affine, QuotientType type, const float* weights,
                      std::int64_t n, std::uint8_t* codes)
{
    const int shift = type == QuotientType::bf16 ? 16 : type == QuotientType::f16 ? 13 : 0;
    HWY_DYNAMIC_DISPATCH(encodeShort)(coder, affine, shift, weights, n, codes);
}

void decodeRun(const ElementCoder& coder, const Affine& affine, const std::uint8_t* codes, std::int64_t n, float* out)
{
    HWY_DYNAMIC_DISPATCH(decode)(coder, withStep(coder, affine), codes, n, out);
}

void narrowRun(Dtype dtype, const float* values, std::int64_t n, std::uint16_t* bits)
{
    if (dtype == Dtype::f16)
        HWY_DYNAMIC_DISPATCH(narrowToF16)(values, n, bits);
    else
        HWY_DYNAMIC_DISPATCH(narrowToBf16)(values, n, bits);
}

double squaredErrorOfRun(const ElementCoder& coder, const Affine& affine, const float* weights, std::int64_t n)
{
    const Affine stepped = withStep(coder, affine);
    if (stepped.scale == 0)
        return std::numeric_limits<double>::infinity(); // no candidate
    return HWY_DYNAMIC_DISPATCH(squaredError)(coder, stepped, weights, n);
}

double weightedErrorOfRun(const ElementCoder& coder, const Affine& affine, const float* weights,
                          const float* importance, std::int64_t n)
{
    const Affine stepped = withStep(coder, affine);
    if (stepped.scale == 0)
        return std::numeric_limits<double>::infinity();
    return HWY_DYNAMIC_DISPATCH(weightedError)(coder, stepped, weights, importance, n);
}

void roughErrorsOfRun(const ElementCoder& coder, std::span<const Affine> candidates, const float* weights,
                      std::int64_t n, float* errors)
{
    if (!candidates.empty())
        HWY_DYNAMIC_DISPATCH(roughErrors)(coder, candidates.data(), candidates.size(), weights, n, errors);
}

RunRange rangeOfRun(const float* weights, std::int64_t n)
{
    return HWY_DYNAMIC_DISPATCH(range)(weights, n);
}

RunError errorOfRun(const float* weights, const float* restored, std::int64_t n)
{
    return HWY_DYNAMIC_DISPATCH(error)(weights, restored, n);
}

} // namespace ql
#endif
