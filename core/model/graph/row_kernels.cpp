// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/graph/row_kernels.h"

#include "core/model/graph/vector_math.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/model/graph/row_kernels.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace ql::graph {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using F = hn::ScalableTag<float>;
using VF = hn::Vec<F>;

/// Calls vectors(i) for whole vectors of elements and single(i) for each of the rest.
template<class Vectors, class Single>
HWY_INLINE void forLanes(std::int64_t n, const Vectors& vectors, const Single& single)
{
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(F()));
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes)
        vectors(i);
    for (; i < n; ++i)
        single(i);
}

/// The rows step by 0 or 1.
template<class Function, class Vector>
HWY_INLINE void combine(const Function& function, const Vector& vector, const float* a, bool aRepeats, const float* b,
                        bool bRepeats, std::int64_t n, float* out)
{
    const F d;
    if (n == 0)
        return;
    const VF firstA = hn::Set(d, *a);
    const VF firstB = hn::Set(d, *b);
    forLanes(
        n,
        [&](std::int64_t i) HWY_ATTR {
            hn::StoreU(vector(aRepeats ? firstA : hn::LoadU(d, a + i), bRepeats ? firstB : hn::LoadU(d, b + i)), d,
                       out + i);
        },
        [&](std::int64_t i) { out[i] = function(aRepeats ? *a : a[i], bRepeats ? *b : b[i]); });
}

void addFloats(const float* a, bool aRepeats, const float* b, bool bRepeats, std::int64_t n, float* out)
{
    combine(
        Plus(), [](VF x, VF y) HWY_ATTR { return hn::Add(x, y); }, a, aRepeats, b, bRepeats, n, out);
}
void multiplyFloats(const float* a, bool aRepeats, const float* b, bool bRepeats, std::int64_t n, float* out)
{
    combine(
        Times(), [](VF x, VF y) HWY_ATTR { return hn::Mul(x, y); }, a, aRepeats, b, bRepeats, n, out);
}

void addSquares(float* to, const float* x, std::int64_t n)
{
    const F d;
    forLanes(
        n,
        [&](std::int64_t i) HWY_ATTR {
            const VF v = hn::LoadU(d, x + i);
            hn::StoreU(hn::Add(hn::LoadU(d, to + i), hn::Mul(v, v)), d, to + i);
        },
        [&](std::int64_t i) { to[i] += x[i] * x[i]; });
}
void addSquaresInDouble(double* to, const float* x, std::int64_t n)
{
    const hn::ScalableTag<double> d;
    const hn::Rebind<float, decltype(d)> df;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        const auto v = hn::PromoteTo(d, hn::LoadU(df, x + i));
        hn::StoreU(hn::Add(hn::LoadU(d, to + i), hn::Mul(v, v)), d, to + i);
    }
    for (; i < n; ++i)
        to[i] += static_cast<double>(x[i]) * static_cast<double>(x[i]);
}

void scaleFloats(const float* x, std::int64_t n, float factor, float offset, float* out)
{
    const F d;
    forLanes(
        n,
        [&](std::int64_t i) HWY_ATTR {
            hn::StoreU(hn::Add(hn::Mul(hn::Set(d, factor), hn::LoadU(d, x + i)), hn::Set(d, offset)), d, out + i);
        },
        [&](std::int64_t i) { out[i] = factor * x[i] + offset; });
}

void mixFloats(const float* x, float a, const float* y, float b, float c, std::int64_t n, float* out)
{
    const F d;
    forLanes(
        n,
        [&](std::int64_t i) HWY_ATTR {
            const VF sum =
                hn::Add(hn::Mul(hn::Set(d, a), hn::LoadU(d, x + i)), hn::Mul(hn::Set(d, b), hn::LoadU(d, y + i)));
            hn::StoreU(hn::Add(sum, hn::Set(d, c)), d, out + i);
        },
        [&](std::int64_t i) { out[i] = a * x[i] + b * y[i] + c; });
}

/// Σ (x − mean)^power for power 1 or 2.
template<int kPower>
HWY_INLINE double sumOfPowers(const float* x, std::int64_t n, double mean)
{
    const hn::ScalableTag<double> d;
    const hn::Rebind<float, decltype(d)> df;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    const auto shift = hn::Set(d, mean);
    auto sum = hn::Zero(d);
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        const auto deviation = hn::Sub(hn::PromoteTo(d, hn::LoadU(df, x + i)), shift);
        sum = hn::Add(sum, kPower == 2 ? hn::Mul(deviation, deviation) : deviation);
    }
    double total = hn::GetLane(hn::SumOfLanes(d, sum));
    for (; i < n; ++i) {
        const double deviation = static_cast<double>(x[i]) - mean;
        total += kPower == 2 ? deviation * deviation : deviation;
    }
    return total;
}

Moments momentsOfFloats(const float* x, std::int64_t n)
{
    const auto count = static_cast<double>(n);
    const double mean = sumOfPowers<1>(x, n, 0) / count;
    return {mean, sumOfPowers<2>(x, n, mean) / count};
}

void normalizeFloats(const float* x, std::int64_t n, const Normalization<float>& with, float* out)
{
    const F d;
    const VF mean = hn::Set(d, with.mean);
    const VF rest = hn::Set(d, with.meanRest);
    const VF factor = hn::Set(d, with.factor);
    const VF offset = hn::Set(d, with.offset);
    forLanes(
        n,
        [&](std::int64_t i) HWY_ATTR {
            VF y = hn::Mul(hn::Sub(hn::Sub(hn::LoadU(d, x + i), mean), rest), factor);
            if (with.weight)
                y = hn::Mul(y, hn::Add(offset, hn::LoadU(d, with.weight + i)));
            if (with.bias)
                y = hn::Add(y, hn::LoadU(d, with.bias + i));
            hn::StoreU(y, d, out + i);
        },
        [&](std::int64_t i) {
            float y = (x[i] - with.mean - with.meanRest) * with.factor;
            if (with.weight)
                y *= with.offset + with.weight[i];
            out[i] = with.bias ? y + with.bias[i] : y;
        });
}

void rotateFloats(const float* x, std::int64_t n, const Rotation<float>& by, float* out)
{
    const F d;
    const VF sign = hn::Set(d, by.sign);
    const std::int64_t step = by.partner == 0 ? 2 : 1;
    const std::int64_t partner = by.partner == 0 ? 1 : by.partner;
    forLanes(
        n,
        [&](std::int64_t i) HWY_ATTR {
            VF a;
            VF b;
            if (by.partner == 0) {
                hn::LoadInterleaved2(d, x + 2 * i, a, b);
            } else {
                a = hn::LoadU(d, x + i);
                b = hn::LoadU(d, x + i + by.partner);
            }
            const VF cos = hn::LoadU(d, by.cos + i);
            const VF sin = hn::Mul(sign, hn::LoadU(d, by.sin + i));
            const VF a2 = hn::Sub(hn::Mul(a, cos), hn::Mul(b, sin));
            const VF b2 = hn::Add(hn::Mul(b, cos), hn::Mul(a, sin));
            if (by.partner == 0) {
                hn::StoreInterleaved2(a2, b2, d, out + 2 * i);
            } else {
                hn::StoreU(a2, d, out + i);
                hn::StoreU(b2, d, out + i + by.partner);
            }
        },
        [&](std::int64_t i) {
            const float a = x[i * step];
            const float b = x[i * step + partner];
            out[i * step] = a * by.cos[i] - b * (by.sign * by.sin[i]);
            out[i * step + partner] = b * by.cos[i] + a * (by.sign * by.sin[i]);
        });
}

} // namespace HWY_NAMESPACE
} // namespace ql::graph
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ql::graph {

HWY_EXPORT(addFloats);
HWY_EXPORT(multiplyFloats);
HWY_EXPORT(addSquares);
HWY_EXPORT(addSquaresInDouble);
HWY_EXPORT(scaleFloats);
HWY_EXPORT(mixFloats);
HWY_EXPORT(momentsOfFloats);
HWY_EXPORT(normalizeFloats);
HWY_EXPORT(rotateFloats);

namespace {

bool areSimple(std::int64_t aStep, std::int64_t bStep)
{
    return aStep >= 0 && aStep <= 1 && bStep >= 0 && bStep <= 1;
}

template<typename F>
void applySlowly(const F& f, const float* a, std::int64_t aStep, const float* b, std::int64_t bStep, std::int64_t n,
                 float* out)
{
    for (std::int64_t i = 0; i < n; ++i)
        out[i] = f(a[i * aStep], b[i * bStep]);
}

template<typename T>
void softcapOf(const T* x, std::int64_t n, T cap, T* out)
{
    for (std::int64_t i = 0; i < n; ++i)
        out[i] = x[i] / cap;
    activate(Activation::tanh, out, n, out);
    scaleRow(out, n, cap, T{0}, out);
}

} // namespace

void applyRow(Plus plus, const float* a, std::int64_t aStep, const float* b, std::int64_t bStep, std::int64_t n,
              float* out)
{
    if (areSimple(aStep, bStep))
        HWY_DYNAMIC_DISPATCH(addFloats)(a, aStep == 0, b, bStep == 0, n, out);
    else
        applySlowly(plus, a, aStep, b, bStep, n, out);
}
void applyRow(Times times, const float* a, std::int64_t aStep, const float* b, std::int64_t bStep, std::int64_t n,
              float* out)
{
    if (areSimple(aStep, bStep))
        HWY_DYNAMIC_DISPATCH(multiplyFloats)(a, aStep == 0, b, bStep == 0, n, out);
    else
        applySlowly(times, a, aStep, b, bStep, n, out);
}

void addTo(float* to, const float* x, std::int64_t n)
{
    HWY_DYNAMIC_DISPATCH(addFloats)(to, false, x, false, n, to);
}
void addTo(double* to, const double* x, std::int64_t n)
{
    for (std::int64_t i = 0; i < n; ++i)
        to[i] += x[i];
}

void multiplyTo(float* to, const float* x, std::int64_t n)
{
    HWY_DYNAMIC_DISPATCH(multiplyFloats)(to, false, x, false, n, to);
}
void multiplyTo(double* to, const double* x, std::int64_t n)
{
    for (std::int64_t i = 0; i < n; ++i)
        to[i] *= x[i];
}

void addSquaresTo(float* to, const float* x, std::int64_t n)
{
    HWY_DYNAMIC_DISPATCH(addSquares)(to, x, n);
}
void addSquaresTo(double* to, const float* x, std::int64_t n)
{
    HWY_DYNAMIC_DISPATCH(addSquaresInDouble)(to, x, n);
}

void scaleRow(const float* x, std::int64_t n, float factor, float offset, float* out)
{
    HWY_DYNAMIC_DISPATCH(scaleFloats)(x, n, factor, offset, out);
}
void scaleRow(const double* x, std::int64_t n, double factor, double offset, double* out)
{
    for (std::int64_t i = 0; i < n; ++i)
        out[i] = factor * x[i] + offset;
}

void mixRows(const float* x, float a, const float* y, float b, float c, std::int64_t n, float* out)
{
    HWY_DYNAMIC_DISPATCH(mixFloats)(x, a, y, b, c, n, out);
}
void mixRows(const double* x, double a, const double* y, double b, double c, std::int64_t n, double* out)
{
    for (std::int64_t i = 0; i < n; ++i)
        out[i] = a * x[i] + b * y[i] + c;
}

void softcap(const float* x, std::int64_t n, float cap, float* out)
{
    softcapOf(x, n, cap, out);
}
void softcap(const double* x, std::int64_t n, double cap, double* out)
{
    softcapOf(x, n, cap, out);
}

Moments momentsOf(const float* x, std::int64_t n)
{
    return HWY_DYNAMIC_DISPATCH(momentsOfFloats)(x, n);
}
Moments momentsOf(const double* x, std::int64_t n)
{
    Moments moments;
    for (std::int64_t i = 0; i < n; ++i)
        moments.mean += x[i];
    moments.mean /= static_cast<double>(n);
    for (std::int64_t i = 0; i < n; ++i)
        moments.variance += (x[i] - moments.mean) * (x[i] - moments.mean);
    moments.variance /= static_cast<double>(n);
    return moments;
}

void normalizeRow(const float* x, std::int64_t n, const Normalization<float>& with, float* out)
{
    HWY_DYNAMIC_DISPATCH(normalizeFloats)(x, n, with, out);
}
void normalizeRow(const double* x, std::int64_t n, const Normalization<double>& with, double* out)
{
    for (std::int64_t i = 0; i < n; ++i)
        out[i] = (x[i] - with.mean - with.meanRest) * with.factor * (with.weight ? with.offset + with.weight[i] : 1) +
                 (with.bias ? with.bias[i] : 0);
}

void rotatePairs(const float* x, std::int64_t n, const Rotation<float>& by, float* out)
{
    HWY_DYNAMIC_DISPATCH(rotateFloats)(x, n, by, out);
}
void rotatePairs(const double* x, std::int64_t n, const Rotation<double>& by, double* out)
{
    const std::int64_t step = by.partner == 0 ? 2 : 1;
    const std::int64_t partner = by.partner == 0 ? 1 : by.partner;
    for (std::int64_t i = 0; i < n; ++i) {
        const double a = x[i * step];
        const double b = x[i * step + partner];
        out[i * step] = a * by.cos[i] - by.sign * b * by.sin[i];
        out[i * step + partner] = b * by.cos[i] + by.sign * a * by.sin[i];
    }
}

} // namespace ql::graph
#endif
