// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/tensor/decode_kernels.h"

#include "core/tensor/half.h"

#include <array>
#include <cassert>
#include <cstring>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/tensor/decode_kernels.cpp"
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

template<typename T>
HWY_INLINE T loadScalar(const std::byte* from)
{
    T value;
    std::memcpy(&value, from, sizeof(T));
    return value;
}

// How each stored type becomes a vector of floats, and a scalar for the ends.
struct Bf16 {
    using Stored = std::uint16_t;
    template<class DF>
    static HWY_INLINE hn::Vec<DF> load(DF df, const std::byte* from)
    {
        const hn::RebindToUnsigned<DF> du;
        const auto codes = loadBytes(hn::Rebind<Stored, DF>(), from);
        return hn::BitCast(df, hn::ShiftLeft<16>(hn::PromoteTo(du, codes)));
    }
    static float scalar(Stored code) { return floatFromBf16(code); }
};
struct F16 {
    using Stored = std::uint16_t;
    template<class DF>
    static HWY_INLINE hn::Vec<DF> load(DF df, const std::byte* from)
    {
        return floatFromF16Codes(df, loadBytes(hn::Rebind<Stored, DF>(), from));
    }
    static float scalar(Stored code) { return floatFromF16(code); }
};
struct E4m3 {
    using Stored = std::uint8_t;
    template<class DF>
    static HWY_INLINE hn::Vec<DF> load(DF df, const std::byte* from)
    {
        const hn::RebindToUnsigned<DF> du;
        const auto codes = hn::PromoteTo(du, loadBytes(hn::Rebind<Stored, DF>(), from));
        const auto bits = finiteBits<4, 3>(df, codes);
        const auto isNan = hn::Eq(hn::And(codes, hn::Set(du, 0x7fU)), hn::Set(du, 0x7fU));
        const auto nan = hn::Or(hn::And(bits, hn::Set(du, 0x80000000U)), hn::Set(du, 0x7fc00000U));
        return hn::BitCast(df, hn::IfThenElse(isNan, nan, bits));
    }
    static float scalar(Stored code) { return floatFromE4m3(code); }
};
struct E5m2 {
    using Stored = std::uint8_t;
    template<class DF>
    static HWY_INLINE hn::Vec<DF> load(DF df, const std::byte* from)
    {
        const hn::RebindToUnsigned<DF> du;
        const auto codes = hn::PromoteTo(du, loadBytes(hn::Rebind<Stored, DF>(), from));
        const auto bits = finiteBits<5, 2>(df, codes);
        const auto sign = hn::And(bits, hn::Set(du, 0x80000000U));
        const auto magnitude = hn::And(codes, hn::Set(du, 0x7fU));
        const auto infinity = hn::Set(du, 0x7cU);
        const auto special = hn::Or(
            sign, hn::IfThenElse(hn::Gt(magnitude, infinity), hn::Set(du, 0x7fc00000U), hn::Set(du, 0x7f800000U)));
        return hn::BitCast(df, hn::IfThenElse(hn::Lt(magnitude, infinity), bits, special));
    }
    static float scalar(Stored code) { return floatFromE5m2(code); }
};
template<typename T>
struct Small {
    using Stored = T;
    template<class DF>
    static HWY_INLINE hn::Vec<DF> load(DF df, const std::byte* from)
    {
        const hn::RebindToSigned<DF> di;
        return hn::ConvertTo(df, hn::PromoteTo(di, loadBytes(hn::Rebind<Stored, DF>(), from)));
    }
    static float scalar(Stored code) { return static_cast<float>(code); }
};
struct F32 {
    using Stored = float;
    template<class DF>
    static HWY_INLINE hn::Vec<DF> load(DF df, const std::byte* from)
    {
        return loadBytes(df, from);
    }
    static float scalar(Stored value) { return value; }
};

template<class Source>
void decodeToFloats(const std::byte* data, std::int64_t n, float* out)
{
    using Stored = typename Source::Stored;
    const hn::ScalableTag<float> df;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(df));
    constexpr auto kSize = static_cast<std::int64_t>(sizeof(Stored));
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes)
        hn::StoreU(Source::load(df, data + i * kSize), df, out + i);
    for (; i < n; ++i)
        out[i] = Source::scalar(loadScalar<Stored>(data + i * kSize));
}

template<class Source>
void decodeToDoubles(const std::byte* data, std::int64_t n, double* out)
{
    using Stored = typename Source::Stored;
    const hn::ScalableTag<double> dd;
    const hn::Rebind<float, decltype(dd)> df;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(dd));
    constexpr auto kSize = static_cast<std::int64_t>(sizeof(Stored));
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes)
        hn::StoreU(hn::PromoteTo(dd, Source::load(df, data + i * kSize)), dd, out + i);
    for (; i < n; ++i)
        out[i] = static_cast<double>(Source::scalar(loadScalar<Stored>(data + i * kSize)));
}

void decodeFloats(Dtype dtype, const std::byte* data, std::int64_t n, float* out)
{
    switch (dtype) {
    case Dtype::f16:
        return decodeToFloats<F16>(data, n, out);
    case Dtype::bf16:
        return decodeToFloats<Bf16>(data, n, out);
    case Dtype::f8_e4m3:
        return decodeToFloats<E4m3>(data, n, out);
    case Dtype::f8_e5m2:
        return decodeToFloats<E5m2>(data, n, out);
    case Dtype::i8:
        return decodeToFloats<Small<std::int8_t>>(data, n, out);
    case Dtype::u8:
        return decodeToFloats<Small<std::uint8_t>>(data, n, out);
    case Dtype::i16:
        return decodeToFloats<Small<std::int16_t>>(data, n, out);
    case Dtype::u16:
        return decodeToFloats<Small<std::uint16_t>>(data, n, out);
    default:
        assert(false);
    }
}

void decodeDoubles(Dtype dtype, const std::byte* data, std::int64_t n, double* out)
{
    switch (dtype) {
    case Dtype::f32:
        return decodeToDoubles<F32>(data, n, out);
    case Dtype::f16:
        return decodeToDoubles<F16>(data, n, out);
    case Dtype::bf16:
        return decodeToDoubles<Bf16>(data, n, out);
    case Dtype::f8_e4m3:
        return decodeToDoubles<E4m3>(data, n, out);
    case Dtype::f8_e5m2:
        return decodeToDoubles<E5m2>(data, n, out);
    case Dtype::i8:
        return decodeToDoubles<Small<std::int8_t>>(data, n, out);
    case Dtype::u8:
        return decodeToDoubles<Small<std::uint8_t>>(data, n, out);
    case Dtype::i16:
        return decodeToDoubles<Small<std::int16_t>>(data, n, out);
    case Dtype::u16:
        return decodeToDoubles<Small<std::uint16_t>>(data, n, out);
    default:
        assert(false);
    }
}

} // namespace HWY_NAMESPACE
} // namespace ql
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ql {

HWY_EXPORT(decodeFloats);
HWY_EXPORT(decodeDoubles);

bool hasVectorDecode(Dtype dtype)
{
    switch (dtype) {
    case Dtype::f32:
    case Dtype::f16:
    case Dtype::bf16:
    case Dtype::f8_e4m3:
    case Dtype::f8_e5m2:
    case Dtype::i8:
    case Dtype::u8:
    case Dtype::i16:
    case Dtype::u16:
        return true;
    default:
        return false;
    }
}

void decodeVector(Dtype dtype, const std::byte* data, std::int64_t n, float* out)
{
    if (dtype == Dtype::f32 && n > 0)
        std::memcpy(out, data, static_cast<std::size_t>(n) * sizeof(float));
    else if (n > 0)
        HWY_DYNAMIC_DISPATCH(decodeFloats)(dtype, data, n, out);
}

void decodeVector(Dtype dtype, const std::byte* data, std::int64_t n, double* out)
{
    if (n > 0)
        HWY_DYNAMIC_DISPATCH(decodeDoubles)(dtype, data, n, out);
}

} // namespace ql
#endif
