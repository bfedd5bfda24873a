// SPDX-License-Identifier: GPL-3.0-or-later
// Loading from any address, and from small floats to float32, in vectors; included once per vector target, between
// HWY_BEFORE_NAMESPACE and HWY_AFTER_NAMESPACE of a kernel. No include guard: each target compiles its own.
#if defined(QL_CORE_TENSOR_MINIFLOAT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef QL_CORE_TENSOR_MINIFLOAT_INL_H_
#undef QL_CORE_TENSOR_MINIFLOAT_INL_H_
#else
#define QL_CORE_TENSOR_MINIFLOAT_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace ql {
namespace HWY_NAMESPACE {

/// A vector from a possibly unaligned address.
template<class D>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> loadBytes(D d, const std::byte* from)
{
    namespace hn = hwy::HWY_NAMESPACE;
#if HWY_TARGET == HWY_SCALAR // which reads through the pointer
    hn::TFromD<D> value;
    std::memcpy(&value, from, sizeof value);
    return hn::Set(d, value);
#else
    return hn::LoadU(d, reinterpret_cast<const hn::TFromD<D>*>(from));
#endif
}

/// Finite values of codes with sign, `exponentBits` exponent (bias 2^(e−1)−1) and `mantissaBits` mantissa bits, exact;
/// all exponents taken as finite.
template<int exponentBits, int mantissaBits, class DF,
         class VU = hwy::HWY_NAMESPACE::Vec<hwy::HWY_NAMESPACE::RebindToUnsigned<DF>>>
HWY_INLINE VU finiteBits(DF df, VU codes)
{
    namespace hn = hwy::HWY_NAMESPACE;
    const hn::RebindToUnsigned<DF> du;
    const hn::RebindToSigned<DF> di;
    constexpr int kBias = (1 << (exponentBits - 1)) - 1;
    constexpr int kMagnitudeBits = exponentBits + mantissaBits;
    const auto magnitude = hn::And(codes, hn::Set(du, (1U << kMagnitudeBits) - 1U));
    const auto sign = hn::ShiftLeft<31 - kMagnitudeBits>(hn::AndNot(magnitude, codes));
    const auto normal = hn::Add(hn::ShiftLeft<23 - mantissaBits>(magnitude),
                                hn::Set(du, static_cast<std::uint32_t>(127 - kBias) << 23U));
    constexpr float kStep = 1.0F / static_cast<float>(1U << static_cast<unsigned>(kBias + mantissaBits - 1));
    const auto subnormal = hn::BitCast(du, hn::Mul(hn::ConvertTo(df, hn::BitCast(di, magnitude)), hn::Set(df, kStep)));
    return hn::Or(sign, hn::IfThenElse(hn::Lt(magnitude, hn::Set(du, 1U << mantissaBits)), subnormal, normal));
}

/// From f16. NaN keep sign and payload and become quiet, as in the processor's own conversion.
template<class DF>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<DF>
floatFromF16Codes(DF df, hwy::HWY_NAMESPACE::Vec<hwy::HWY_NAMESPACE::Rebind<std::uint16_t, DF>> codes)
{
    namespace hn = hwy::HWY_NAMESPACE;
#if HWY_ARCH_X86 && HWY_TARGET <= HWY_AVX2 && !defined(HWY_DISABLE_F16C)
    return hn::PromoteTo(df, hn::BitCast(hn::Rebind<hwy::float16_t, DF>(), codes));
#else // the library's own emulation takes infinities for numbers
    const hn::RebindToUnsigned<DF> du;
    const auto wide = hn::PromoteTo(du, codes);
    const auto mantissa = hn::And(wide, hn::Set(du, 0x3ffU));
    const auto exponent = hn::And(wide, hn::Set(du, 0x7c00U));
    const auto sign = hn::ShiftLeft<16>(hn::And(wide, hn::Set(du, 0x8000U)));
    const auto quiet = hn::IfThenZeroElse(hn::Eq(mantissa, hn::Zero(du)), hn::Set(du, 0x400000U));
    const auto special = hn::Or(hn::Or(sign, hn::Set(du, 0x7f800000U)), hn::Or(quiet, hn::ShiftLeft<13>(mantissa)));
    return hn::BitCast(df,
                       hn::IfThenElse(hn::Eq(exponent, hn::Set(du, 0x7c00U)), special, finiteBits<5, 10>(df, wide)));
#endif
}

} // namespace HWY_NAMESPACE
} // namespace ql
HWY_AFTER_NAMESPACE();

#endif
