// SPDX-License-Identifier: GPL-3.0-or-later
// Elementwise functions and row reductions the operators share. Floats go through vector kernels chosen at run time for
// the CPU; doubles are plain loops over the C library, the reference. Over all floats, in units of the last place of
// the result: exp 1, gelu and softplus 0.6, sigmoid, silu and tanh 3, softmax 2, and where results are above 0.1
// quickGelu 4 and geluTanh 6 (below, 5e-8). NaN stays NaN.
#pragma once

#include <cstdint>

namespace ql::graph {

enum class Activation { relu, silu, gelu, geluTanh, sigmoid, tanh, quickGelu, relu2, softplus, exp };

/// out[i] = f(x[i]); out may be x. gelu is x·Φ(x) by erf; geluTanh its tanh form; quickGelu x·σ(1.702·x); relu2
/// max(0,x)².
void activate(Activation f, const float* x, std::int64_t n, float* out);
void activate(Activation f, const double* x, std::int64_t n, double* out);
/// out[i] = f'(x[i]).
void activateDerivative(Activation f, const float* x, std::int64_t n, float* out);
void activateDerivative(Activation f, const double* x, std::int64_t n, double* out);

/// x[i] = exp(x[i] − max) / Σ; a row that is −inf throughout becomes zeros.
void softmax(float* x, std::int64_t n);
void softmax(double* x, std::int64_t n);

/// Σ x[i]·y[i], in double.
double dot(const float* x, const float* y, std::int64_t n);
double dot(const double* x, const double* y, std::int64_t n);
/// ln Σ exp(x[i]), in double.
double logSumExp(const float* x, std::int64_t n);
double logSumExp(const double* x, std::int64_t n);
/// Σ p·(ln p − ln q) with ln p = x[i] − xLog and ln q = y[i] − yLog, in double: the Kullback-Leibler divergence in
/// nats, where xLog and yLog are logSumExp of x and y. Not below 0.
double divergence(const float* x, double xLog, const float* y, double yLog, std::int64_t n);
/// Index of the largest element; the first of equals.
std::int64_t largest(const float* x, std::int64_t n);

} // namespace ql::graph
