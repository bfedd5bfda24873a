// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/graph/stored_weights.h"

#include "core/jobs/parallel.h"
#include "core/tensor/half.h"

#include <algorithm>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/model/graph/stored_weights.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ql::graph {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using F = hn::ScalableTag<float>;

struct Bf16 {
    static HWY_INLINE hn::Vec<F> load(const std::uint16_t* from)
    {
        const F d;
        const hn::RebindToUnsigned<F> du;
        return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du, hn::LoadU(hn::Rebind<std::uint16_t, F>(), from))));
    }
    static float one(std::uint16_t bits) { return floatFromBf16(bits); }
};

struct F16 {
    static HWY_INLINE hn::Vec<F> load(const std::uint16_t* from)
    {
        return hn::PromoteTo(F(),
                             hn::LoadU(hn::Rebind<hwy::float16_t, F>(), reinterpret_cast<const hwy::float16_t*>(from)));
    }
    static float one(std::uint16_t bits) { return floatFromF16(bits); }
};

template<class Stored>
HWY_INLINE float dotOf(const std::uint16_t* w, const float* x, std::int64_t n)
{
    const F d;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    auto a = hn::Zero(d);
    auto b = hn::Zero(d);
    auto c = hn::Zero(d);
    auto e = hn::Zero(d);
    std::int64_t i = 0;
    for (; i + 4 * lanes <= n; i += 4 * lanes) {
        a = hn::MulAdd(Stored::load(w + i), hn::LoadU(d, x + i), a);
        b = hn::MulAdd(Stored::load(w + i + lanes), hn::LoadU(d, x + i + lanes), b);
        c = hn::MulAdd(Stored::load(w + i + 2 * lanes), hn::LoadU(d, x + i + 2 * lanes), c);
        e = hn::MulAdd(Stored::load(w + i + 3 * lanes), hn::LoadU(d, x + i + 3 * lanes), e);
    }
    float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(a, b), hn::Add(c, e))));
    for (; i < n; ++i)
        sum += Stored::one(w[i]) * x[i];
    return sum;
}

/// Rows of n weights that follow each other.
void addBf16Rows(const std::uint16_t* w, std::int64_t rows, const float* x, std::int64_t n, float* y)
{
    for (std::int64_t r = 0; r < rows; ++r)
        y[r] += dotOf<Bf16>(w + r * n, x, n);
}
void addF16Rows(const std::uint16_t* w, std::int64_t rows, const float* x, std::int64_t n, float* y)
{
    for (std::int64_t r = 0; r < rows; ++r)
        y[r] += dotOf<F16>(w + r * n, x, n);
}

double bf16Product(const std::uint16_t* w, const float* x, std::int64_t n)
{
    constexpr std::int64_t kRun = 512;
    double sum = 0;
    for (std::int64_t i = 0; i < n; i += kRun)
        sum += static_cast<double>(dotOf<Bf16>(w + i, x + i, std::min(kRun, n - i)));
    return sum;
}

} // namespace HWY_NAMESPACE
} // namespace ql::graph
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ql::graph {

HWY_EXPORT(addBf16Rows);
HWY_EXPORT(addF16Rows);
HWY_EXPORT(bf16Product);

namespace {
constexpr std::int64_t kDecodedAtOnce = 1 << 18; // a multiple of every block
constexpr std::int64_t kMultipliedAtOnce = 1 << 17;
} // namespace

template<typename T>
Result<Array<T>> decoded(const TensorData& data, const JobContext& context)
{
    const TensorView& view = data.view;
    if constexpr (std::is_same_v<T, float>)
        if (view.dtype == Dtype::f32 && reinterpret_cast<std::uintptr_t>(view.data) % alignof(float) == 0)
            return Array<T>(view.shape,
                            std::shared_ptr<const float>(data.owner, reinterpret_cast<const float*>(view.data)));
    Array<T> array(view.shape);
    T* out = array.write();
    QL_CHECK(parallelFor(context, array.numel(), kDecodedAtOnce, [&](std::int64_t begin, std::int64_t end) {
        decode(view.dtype, view.data, begin, end - begin, out + begin);
    }));
    return array;
}
template Result<Array<float>> decoded(const TensorData&, const JobContext&);
template Result<Array<double>> decoded(const TensorData&, const JobContext&);

bool canMultiplyStored(const TensorView& weights)
{
    return (weights.dtype == Dtype::bf16 || weights.dtype == Dtype::f16) &&
           reinterpret_cast<std::uintptr_t>(weights.data) % alignof(std::uint16_t) == 0;
}

Result<void> addProduct(const TensorView& weights, const float* x, float* y, const JobContext& context)
{
    const auto* w = reinterpret_cast<const std::uint16_t*>(weights.data);
    const std::int64_t in = weights.shape[1];
    const std::int64_t rowsAtOnce = std::max<std::int64_t>(1, kMultipliedAtOnce / std::max<std::int64_t>(1, in));
    return parallelFor(context, weights.shape[0], rowsAtOnce, [&](std::int64_t begin, std::int64_t end) {
        const auto addRows =
            weights.dtype == Dtype::bf16 ? HWY_DYNAMIC_DISPATCH(addBf16Rows) : HWY_DYNAMIC_DISPATCH(addF16Rows);
        addRows(w + begin * in, end - begin, x, in, y + begin);
    });
}

double productWithBf16(const std::uint16_t* w, const float* x, std::int64_t n)
{
    return HWY_DYNAMIC_DISPATCH(bf16Product)(w, x, n);
}

} // namespace ql::graph
#endif
