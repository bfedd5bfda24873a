// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/student_t.h"

#include <array>
#include <cmath>

namespace ql {

namespace {

/// std::lgamma writes a global sign; arguments here are positive.
double logGamma(double x)
{
    int sign = 0;
    return ::lgamma_r(x, &sign);
}

/// I_x(a, b) for x < (a + 1) ÷ (a + b + 2), where the fraction converges fast (Lentz's method).
double incompleteBeta(double x, double a, double b)
{
    if (x <= 0)
        return 0;
    constexpr double kTiny = 1e-300;
    constexpr int kMostTerms = 10'000;
    double c = 1;
    double d = 1 - (a + b) * x / (a + 1);
    d = 1 / (std::fabs(d) < kTiny ? kTiny : d);
    double fraction = d;
    for (int m = 1; m <= kMostTerms; ++m) {
        double step = 1;
        const std::array terms{m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
                               -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))};
        for (const double term : terms) {
            d = 1 + term * d;
            d = 1 / (std::fabs(d) < kTiny ? kTiny : d);
            c = 1 + term / c;
            c = std::fabs(c) < kTiny ? kTiny : c;
            step = c * d;
            fraction *= step;
        }
        if (std::fabs(step - 1) < 1e-16)
            break;
    }
    const double front = logGamma(a + b) - logGamma(a) - logGamma(b) + a * std::log(x) + b * std::log1p(-x);
    return std::exp(front) * fraction / a;
}

/// P(T > t) for t ≥ 0.
double upperTail(double t, double degrees)
{
    const double a = degrees / 2;
    const double x = degrees / (degrees + t * t);
    if (x < (a + 1) / (a + 2.5))
        return 0.5 * incompleteBeta(x, a, 0.5);
    return 0.5 * (1 - incompleteBeta(t * t / (degrees + t * t), 0.5, a));
}

} // namespace

double studentProbability(double t, double degrees)
{
    return t < 0 ? upperTail(-t, degrees) : 1 - upperTail(t, degrees);
}

double studentQuantile(double p, double degrees)
{
    if (p == 0.5)
        return 0;
    const double tail = p < 0.5 ? p : 1 - p;
    double high = 1;
    while (upperTail(high, degrees) > tail)
        high *= 2;
    double low = 0;
    for (double middle = 0.5 * high; low < middle && middle < high; middle = 0.5 * (low + high))
        (upperTail(middle, degrees) > tail ? low : high) = middle;
    return p < 0.5 ? -high : high;
}

} // namespace ql
