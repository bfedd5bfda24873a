// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/graph/vector_math.h"

#include "core/model/graph/row_kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "core/model/graph/vector_math.cpp"
// Each header needs the one before it.
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include <hwy/contrib/math/math-inl.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace ql::graph {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

using F = hn::ScalableTag<float>;
using VF = hn::Vec<F>;

/// Calls map(vector) for all of x; the last, incomplete vector is padded with zeros.
template<class Map>
HWY_INLINE void transform(const float* x, std::int64_t n, float* out, const Map& map)
{
    const F d;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes)
        hn::StoreU(map(hn::LoadU(d, x + i)), d, out + i);
    if (i < n) {
        HWY_ALIGN float rest[hn::MaxLanes(d)] = {};
        std::copy(x + i, x + n, rest);
        hn::Store(map(hn::Load(d, rest)), d, rest);
        std::copy(rest, rest + (n - i), out + i);
    }
}

/// hn::Exp is wild above its range (exp(1000) < 0) and 0 for NaN.
HWY_INLINE VF exponential(F d, VF x)
{
    return hn::IfThenElse(hn::IsNaN(x), x, hn::Exp(d, hn::Min(x, hn::Set(d, 100.0F))));
}

/// exp(a − b), exact to the difference: what it rounds away is a factor.
HWY_INLINE VF exponentialOfDifference(F d, VF a, VF b)
{
    const VF difference = hn::Sub(a, b);
    const VF back = hn::Sub(difference, a);
    const VF lost = hn::Sub(hn::Sub(a, hn::Sub(difference, back)), hn::Add(b, back));
    const VF power = exponential(d, difference);
    return hn::IfThenElse(hn::Gt(difference, hn::Set(d, -104.0F)), hn::MulAdd(power, lost, power), power);
}

HWY_INLINE VF logistic(F d, VF x)
{
    return hn::Div(hn::Set(d, 1.0F), hn::Add(hn::Set(d, 1.0F), exponential(d, hn::Neg(x))));
}

/// 2·√(2/π)·(x + 0.044715·x³), of which ½·(1 + tanh(½·…)) is the logistic function.
HWY_INLINE VF geluInner(F d, VF x)
{
    const VF cubic = hn::Mul(hn::Mul(hn::Mul(x, x), x), hn::Set(d, 0.044715F));
    return hn::Mul(hn::Set(d, 1.5957691216057308F), hn::Add(x, cubic));
}

using D = hn::ScalableTag<double>;
using VD = hn::Vec<D>;

/// Φ(−t) = exp(−t²/2)·P(s)/(1 + t) for t ≥ 0 with s = (t − 4)/(t + 4): the factor beside the exponential is smooth. P
/// is a Chebyshev fit on 0 ≤ t ≤ 14.6 (beyond, x·Φ(x) is no float), relative error 7e-10.
HWY_INLINE VD tailOfNormal(D d, VD t, VD gaussian)
{
    static constexpr double kFit[] = {-1.1373995009351565e-05, -9.943576427730823e-05,  -7.23261337301702e-05,
                                      0.0007106883991941078,   -0.00029036722275624453, -0.005007768102015202,
                                      0.017936346324994353,    -0.03219711106074208,    0.028600379583362482,
                                      0.013999599997830278,    -0.0967034781044812,     0.472053206781993};
    const VD four = hn::Set(d, 4.0);
    const VD above = hn::Add(t, four);
    const VD beside = hn::Add(t, hn::Set(d, 1.0));
    const VD inverse = hn::Div(hn::Set(d, 1.0), hn::Mul(above, beside)); // one division for both
    const VD s = hn::Mul(hn::Sub(t, four), hn::Mul(beside, inverse));
    VD fit = hn::Zero(d);
    for (const double coefficient : kFit)
        fit = hn::MulAdd(fit, s, hn::Set(d, coefficient));
    return hn::Mul(hn::Mul(gaussian, fit), hn::Mul(above, inverse));
}

/// x·Φ(x), or its derivative Φ(x) + x·φ(x), in double.
template<bool kDerivative>
HWY_INLINE VD gelu(D d, VD x)
{
    const VD t = hn::Min(hn::Set(d, 40.0), hn::Abs(x)); // NaN stays
    const VD gaussian = hn::Exp(d, hn::Mul(hn::Set(d, -0.5), hn::Mul(t, t)));
    const VD tail = tailOfNormal(d, t, gaussian);
    const VD phi = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), tail, hn::Sub(hn::Set(d, 1.0), tail));
    if constexpr (kDerivative)
        return hn::MulAdd(hn::Mul(x, hn::Set(d, 0.3989422804014327)), gaussian, phi);
    return hn::Mul(x, phi);
}

template<bool kDerivative>
HWY_INLINE void geluInDouble(const float* x, std::int64_t n, float* out)
{
    const D d;
    const hn::Rebind<float, D> df;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    std::int64_t i = 0;
    for (; i + 2 * lanes <= n; i += 2 * lanes) { // two long chains side by side
        const VD first = gelu<kDerivative>(d, hn::PromoteTo(d, hn::LoadU(df, x + i)));
        const VD second = gelu<kDerivative>(d, hn::PromoteTo(d, hn::LoadU(df, x + i + lanes)));
        hn::StoreU(hn::DemoteTo(df, first), df, out + i);
        hn::StoreU(hn::DemoteTo(df, second), df, out + i + lanes);
    }
    for (; i < n; ++i)
        out[i] = static_cast<float>(hn::GetLane(gelu<kDerivative>(d, hn::Set(d, static_cast<double>(x[i])))));
}

void geluFloats(const float* x, std::int64_t n, float* out)
{
    geluInDouble<false>(x, n, out);
}
void geluDerivativeFloats(const float* x, std::int64_t n, float* out)
{
    geluInDouble<true>(x, n, out);
}

void siluFloats(const float* x, std::int64_t n, float* out)
{
    const F d;
    transform(x, n, out, [d](VF v) HWY_ATTR { return hn::Mul(v, logistic(d, v)); });
}
/// (x·σ(u))' = σ(u)·(1 + x·σ(−u)·u').
HWY_INLINE VF gatedSlope(F d, VF x, VF u, VF slope)
{
    const VF tail = hn::Mul(logistic(d, hn::Neg(u)), slope);
    return hn::Mul(logistic(d, u), hn::MulAdd(x, tail, hn::Set(d, 1.0F)));
}
void siluDerivativeFloats(const float* x, std::int64_t n, float* out)
{
    const F d;
    transform(x, n, out, [d](VF v) HWY_ATTR { return gatedSlope(d, v, v, hn::Set(d, 1.0F)); });
}
void geluTanhDerivativeFloats(const float* x, std::int64_t n, float* out)
{
    const F d;
    transform(x, n, out, [d](VF v) HWY_ATTR {
        // 2·√(2/π)·(1 + 3·0.044715·x²); where σ(−u) has vanished x² must not overflow.
        const VF near = hn::Min(hn::Abs(v), hn::Set(d, 100.0F));
        const VF slope = hn::MulAdd(hn::Mul(near, near), hn::Set(d, 0.21406859F), hn::Set(d, 1.5957691216057308F));
        return gatedSlope(d, v, geluInner(d, v), slope);
    });
}
void sigmoidFloats(const float* x, std::int64_t n, float* out)
{
    const F d;
    transform(x, n, out, [d](VF v) HWY_ATTR { return logistic(d, v); });
}
void quickGeluFloats(const float* x, std::int64_t n, float* out)
{
    const F d;
    transform(x, n, out, [d](VF v) HWY_ATTR { return hn::Mul(v, logistic(d, hn::Mul(v, hn::Set(d, 1.702F)))); });
}
void geluTanhFloats(const float* x, std::int64_t n, float* out)
{
    const F d;
    transform(x, n, out, [d](VF v) HWY_ATTR { return hn::Mul(v, logistic(d, geluInner(d, v))); });
}
void tanhFloats(const float* x, std::int64_t n, float* out)
{
    const F d;
    transform(x, n, out, [d](VF v) HWY_ATTR { return hn::Tanh(d, v); });
}
void expFloats(const float* x, std::int64_t n, float* out)
{
    const F d;
    transform(x, n, out, [d](VF v) HWY_ATTR { return exponential(d, v); });
}

float maximumOf(const float* x, std::int64_t n)
{
    const F d;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    VF best = hn::Set(d, -std::numeric_limits<float>::infinity());
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes)
        best = hn::Max(best, hn::LoadU(d, x + i));
    float max = hn::GetLane(hn::MaxOfLanes(d, best));
    for (; i < n; ++i)
        max = std::max(max, x[i]);
    return max;
}

/// out[i] = exp(x[i] − max), if out is given; returns the sum, in double over 16 fixed lanes.
double sumExp(const float* x, std::int64_t n, float max, float* out)
{
    constexpr std::int64_t kBlock = 1024;
    const F d;
    const VF shift = hn::Set(d, max);
    double total = 0;
    HWY_ALIGN float block[kBlock];
    for (std::int64_t begin = 0; begin < n; begin += kBlock) {
        const std::int64_t size = std::min(kBlock, n - begin);
        float* to = out ? out + begin : block;
        transform(x + begin, size, to, [d, shift](VF v) HWY_ATTR { return exponentialOfDifference(d, v, shift); });
        double lanes[16] = {};
        std::int64_t i = 0;
        for (; i + 16 <= size; i += 16)
            for (int lane = 0; lane < 16; ++lane)
                lanes[lane] += static_cast<double>(to[i + lane]);
        for (; i < size; ++i)
            lanes[i % 16] += static_cast<double>(to[i]);
        for (const double lane : lanes)
            total += lane;
    }
    return total;
}

/// Σ exp(x − xLog)·((x − xLog) − (y − yLog)): exponentials in float, the rest in double.
double divergenceOf(const float* x, double xLog, const float* y, double yLog, std::int64_t n)
{
    const hn::ScalableTag<double> d;
    const hn::Rebind<float, decltype(d)> df;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    const auto xShift = hn::Set(d, xLog);
    const auto yShift = hn::Set(d, yLog);
    auto sum = hn::Zero(d);
    std::int64_t i = 0;
    for (; i + lanes <= n; i += lanes) {
        const auto lnP = hn::Sub(hn::PromoteTo(d, hn::LoadU(df, x + i)), xShift);
        const auto lnQ = hn::Sub(hn::PromoteTo(d, hn::LoadU(df, y + i)), yShift);
        const auto p = hn::PromoteTo(d, hn::Exp(df, hn::DemoteTo(df, lnP)));
        sum = hn::MulAdd(p, hn::Sub(lnP, lnQ), sum);
    }
    double total = hn::GetLane(hn::SumOfLanes(d, sum));
    for (; i < n; ++i) {
        const double lnP = static_cast<double>(x[i]) - xLog;
        total += std::exp(lnP) * (lnP - (static_cast<double>(y[i]) - yLog));
    }
    return total;
}

double dotFloats(const float* x, const float* y, std::int64_t n)
{
    const hn::ScalableTag<double> d;
    const hn::Rebind<float, decltype(d)> df;
    const auto lanes = static_cast<std::int64_t>(hn::Lanes(d));
    auto sum0 = hn::Zero(d);
    auto sum1 = hn::Zero(d);
    std::int64_t i = 0;
    for (; i + 2 * lanes <= n; i += 2 * lanes) {
        const auto x0 = hn::PromoteTo(d, hn::LoadU(df, x + i));
        const auto x1 = hn::PromoteTo(d, hn::LoadU(df, x + i + lanes));
        const auto y0 = hn::PromoteTo(d, hn::LoadU(df, y + i));
        const auto y1 = hn::PromoteTo(d, hn::LoadU(df, y + i + lanes));
        sum0 = hn::MulAdd(x0, y0, sum0);
        sum1 = hn::MulAdd(x1, y1, sum1);
    }
    double sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(sum0, sum1)));
    for (; i < n; ++i)
        sum += static_cast<double>(x[i]) * static_cast<double>(y[i]);
    return sum;
}

} // namespace HWY_NAMESPACE
} // namespace ql::graph
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace ql::graph {

HWY_EXPORT(siluFloats);
HWY_EXPORT(siluDerivativeFloats);
HWY_EXPORT(geluTanhDerivativeFloats);
HWY_EXPORT(sigmoidFloats);
HWY_EXPORT(quickGeluFloats);
HWY_EXPORT(geluTanhFloats);
HWY_EXPORT(geluFloats);
HWY_EXPORT(geluDerivativeFloats);
HWY_EXPORT(tanhFloats);
HWY_EXPORT(expFloats);
HWY_EXPORT(maximumOf);
HWY_EXPORT(sumExp);
HWY_EXPORT(dotFloats);
HWY_EXPORT(divergenceOf);

namespace {

double logistic(double x)
{
    return 1 / (1 + std::exp(-x));
}
double normalCdf(double x)
{
    return 0.5 * std::erfc(-x / std::numbers::sqrt2);
}
constexpr double kGeluScale = 0.7978845608028654; // √(2/π)
constexpr double kGeluCubic = 0.044715;

double valueAt(Activation f, double x)
{
    switch (f) {
    case Activation::relu:
        return std::max(x, 0.0);
    case Activation::silu:
        return x * logistic(x);
    case Activation::gelu:
        return x * normalCdf(x);
    case Activation::geluTanh:
        return 0.5 * x * (1 + std::tanh(kGeluScale * (x + kGeluCubic * x * x * x)));
    case Activation::sigmoid:
        return logistic(x);
    case Activation::tanh:
        return std::tanh(x);
    case Activation::quickGelu:
        return x * logistic(1.702 * x);
    case Activation::relu2:
        return x > 0 ? x * x : 0;
    case Activation::softplus:
        return x > 20 ? x : std::log1p(std::exp(x));
    case Activation::exp:
        return std::exp(x);
    }
    return 0;
}

double derivativeAt(Activation f, double x)
{
    switch (f) {
    case Activation::relu:
        return x > 0 ? 1 : 0;
    case Activation::silu: {
        const double s = logistic(x);
        return s * (1 + x * (1 - s));
    }
    case Activation::gelu:
        return normalCdf(x) + x * std::exp(-0.5 * x * x) * 0.5 * std::numbers::inv_sqrtpi * std::numbers::sqrt2;
    case Activation::geluTanh: {
        const double t = std::tanh(kGeluScale * (x + kGeluCubic * x * x * x));
        return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * kGeluScale * (1 + 3 * kGeluCubic * x * x);
    }
    case Activation::sigmoid: {
        const double s = logistic(x);
        return s * (1 - s);
    }
    case Activation::tanh: {
        const double t = std::tanh(x);
        return 1 - t * t;
    }
    case Activation::quickGelu: {
        const double s = logistic(1.702 * x);
        return s * (1 + 1.702 * x * (1 - s));
    }
    case Activation::relu2:
        return x > 0 ? 2 * x : 0;
    case Activation::softplus:
        return logistic(x);
    case Activation::exp:
        return std::exp(x);
    }
    return 0;
}

} // namespace

void activate(Activation f, const float* x, std::int64_t n, float* out)
{
    switch (f) {
    case Activation::silu:
        return HWY_DYNAMIC_DISPATCH(siluFloats)(x, n, out);
    case Activation::sigmoid:
        return HWY_DYNAMIC_DISPATCH(sigmoidFloats)(x, n, out);
    case Activation::quickGelu:
        return HWY_DYNAMIC_DISPATCH(quickGeluFloats)(x, n, out);
    case Activation::geluTanh:
        return HWY_DYNAMIC_DISPATCH(geluTanhFloats)(x, n, out);
    case Activation::gelu:
        return HWY_DYNAMIC_DISPATCH(geluFloats)(x, n, out);
    case Activation::tanh:
        return HWY_DYNAMIC_DISPATCH(tanhFloats)(x, n, out);
    case Activation::exp:
        return HWY_DYNAMIC_DISPATCH(expFloats)(x, n, out);
    case Activation::relu:
    case Activation::relu2:
    case Activation::softplus:
        for (std::int64_t i = 0; i < n; ++i)
            out[i] = static_cast<float>(valueAt(f, static_cast<double>(x[i])));
    }
}

void activate(Activation f, const double* x, std::int64_t n, double* out)
{
    for (std::int64_t i = 0; i < n; ++i)
        out[i] = valueAt(f, x[i]);
}

void activateDerivative(Activation f, const float* x, std::int64_t n, float* out)
{
    if (f == Activation::gelu)
        return HWY_DYNAMIC_DISPATCH(geluDerivativeFloats)(x, n, out);
    if (f == Activation::silu)
        return HWY_DYNAMIC_DISPATCH(siluDerivativeFloats)(x, n, out);
    if (f == Activation::geluTanh)
        return HWY_DYNAMIC_DISPATCH(geluTanhDerivativeFloats)(x, n, out);
    for (std::int64_t i = 0; i < n; ++i)
        out[i] = static_cast<float>(derivativeAt(f, static_cast<double>(x[i])));
}

void activateDerivative(Activation f, const double* x, std::int64_t n, double* out)
{
    for (std::int64_t i = 0; i < n; ++i)
        out[i] = derivativeAt(f, x[i]);
}

void softmax(float* x, std::int64_t n)
{
    const float max = HWY_DYNAMIC_DISPATCH(maximumOf)(x, n);
    if (max == -std::numeric_limits<float>::infinity()) {
        std::fill_n(x, n, 0.0F);
        return;
    }
    scaleRow(x, n, static_cast<float>(1 / HWY_DYNAMIC_DISPATCH(sumExp)(x, n, max, x)), 0, x);
}

void softmax(double* x, std::int64_t n)
{
    const double max = n > 0 ? *std::max_element(x, x + n) : 0;
    if (max == -std::numeric_limits<double>::infinity()) {
        std::fill_n(x, n, 0.0);
        return;
    }
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i)
        sum += x[i] = std::exp(x[i] - max);
    for (std::int64_t i = 0; i < n; ++i)
        x[i] /= sum;
}

double dot(const float* x, const float* y, std::int64_t n)
{
    return HWY_DYNAMIC_DISPATCH(dotFloats)(x, y, n);
}

double dot(const double* x, const double* y, std::int64_t n)
{
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i)
        sum += x[i] * y[i];
    return sum;
}

double logSumExp(const float* x, std::int64_t n)
{
    const float max = HWY_DYNAMIC_DISPATCH(maximumOf)(x, n);
    return static_cast<double>(max) + std::log(HWY_DYNAMIC_DISPATCH(sumExp)(x, n, max, nullptr));
}

double logSumExp(const double* x, std::int64_t n)
{
    const double max = *std::max_element(x, x + n);
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i)
        sum += std::exp(x[i] - max);
    return max + std::log(sum);
}

double divergence(const float* x, double xLog, const float* y, double yLog, std::int64_t n)
{
    return std::max(0.0, HWY_DYNAMIC_DISPATCH(divergenceOf)(x, xLog, y, yLog, n));
}

std::int64_t largest(const float* x, std::int64_t n)
{
    return std::find(x, x + n, HWY_DYNAMIC_DISPATCH(maximumOf)(x, n)) - x;
}

} // namespace ql::graph
#endif
