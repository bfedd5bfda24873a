// SPDX-License-Identifier: GPL-3.0-or-later
// Loops over rows that the operators share. Floats go through vector kernels chosen at run time for the CPU;
// elementwise results equal those of the plain loop bit for bit, whatever the CPU, sums run in double. Doubles are
// plain loops.
#pragma once

#include <cstdint>
#include <type_traits>

namespace ql::graph {

/// Integers wrap around, as in NumPy.
template<typename T>
using Wrapping = std::conditional_t<std::is_integral_v<T>, std::uint64_t, T>;

/// Functions of applyRow (broadcast.h); Plus and Times have kernels.
struct Plus {
    template<typename T>
    T operator()(T a, T b) const
    {
        return static_cast<T>(static_cast<Wrapping<T>>(a) + static_cast<Wrapping<T>>(b));
    }
};
struct Minus {
    template<typename T>
    T operator()(T a, T b) const
    {
        return static_cast<T>(static_cast<Wrapping<T>>(a) - static_cast<Wrapping<T>>(b));
    }
};
struct Times {
    template<typename T>
    T operator()(T a, T b) const
    {
        return static_cast<T>(static_cast<Wrapping<T>>(a) * static_cast<Wrapping<T>>(b));
    }
};
/// out[i] = a[i·aStep] ∘ b[i·bStep]; out may be a or b. Steps other than 0 and 1 are slow.
void applyRow(Plus plus, const float* a, std::int64_t aStep, const float* b, std::int64_t bStep, std::int64_t n,
              float* out);
void applyRow(Times times, const float* a, std::int64_t aStep, const float* b, std::int64_t bStep, std::int64_t n,
              float* out);

/// to[i] += x[i], and to[i] *= x[i].
void addTo(float* to, const float* x, std::int64_t n);
void addTo(double* to, const double* x, std::int64_t n);
void multiplyTo(float* to, const float* x, std::int64_t n);
void multiplyTo(double* to, const double* x, std::int64_t n);

/// to[i] += x[i]².
void addSquaresTo(float* to, const float* x, std::int64_t n);
void addSquaresTo(double* to, const float* x, std::int64_t n);

/// out[i] = factor·x[i] + offset.
void scaleRow(const float* x, std::int64_t n, float factor, float offset, float* out);
void scaleRow(const double* x, std::int64_t n, double factor, double offset, double* out);

/// out[i] = a·x[i] + b·y[i] + c; out may be x or y.
void mixRows(const float* x, float a, const float* y, float b, float c, std::int64_t n, float* out);
void mixRows(const double* x, double a, const double* y, double b, double c, std::int64_t n, double* out);

/// out[i] = cap·tanh(x[i]/cap); out may be x. Within 4 ulps for floats.
void softcap(const float* x, std::int64_t n, float cap, float* out);
void softcap(const double* x, std::int64_t n, double cap, double* out);

/// Mean of a row, and the mean of (x − mean)², in double.
struct Moments {
    double mean = 0, variance = 0;
};
Moments momentsOf(const float* x, std::int64_t n);
Moments momentsOf(const double* x, std::int64_t n);

/// out[i] = (x[i] − mean − meanRest)·factor·(offset + weight[i]) + bias[i]; weight (then offset counts for nothing) and
/// bias may be null. meanRest is what rounding took from the mean: it matters where the mean is large beside the
/// spread.
template<typename T>
struct Normalization {
    T mean = 0, meanRest = 0, factor = 1;
    const T* weight = nullptr;
    T offset = 0;
    const T* bias = nullptr;
};
void normalizeRow(const float* x, std::int64_t n, const Normalization<float>& with, float* out);
void normalizeRow(const double* x, std::int64_t n, const Normalization<double>& with, double* out);

/// Turns n pairs (a, b) by angles: a' = a·cos − sign·b·sin, b' = b·cos + sign·a·sin. Pair i is (x[i], x[i + partner]),
/// or (x[2i], x[2i + 1]) for partner = 0.
template<typename T>
struct Rotation {
    const T* cos = nullptr;
    const T* sin = nullptr;
    T sign = 1;
    std::int64_t partner = 0;
};
void rotatePairs(const float* x, std::int64_t n, const Rotation<float>& by, float* out);
void rotatePairs(const double* x, std::int64_t n, const Rotation<double>& by, double* out);

} // namespace ql::graph
