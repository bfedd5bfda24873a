// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/expected_error.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

namespace ql {

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

double normalDensity(double x)
{
    return std::exp(-x * x / 2) / std::sqrt(2 * std::numbers::pi);
}

double studentDensity(int degrees, double x)
{
    const double n = degrees;
    return std::exp(std::lgamma((n + 1) / 2) - std::lgamma(n / 2)) / std::sqrt(n * std::numbers::pi) *
           std::pow(1 + x * x / n, -(n + 1) / 2);
}

/// P(0 < X < x) of Student's t: the finite series in θ = atan(x/√ν) (Abramowitz and Stegun 26.7.3 and 26.7.4, halved).
double studentHalf(int degrees, double x)
{
    const double theta = std::isinf(x) ? std::numbers::pi / 2 : std::atan(x / std::sqrt(static_cast<double>(degrees)));
    const double cosine = std::cos(theta);
    const double sine = std::sin(theta);
    if (degrees % 2 == 0) {
        double term = 1;
        double sum = 1;
        for (int k = 2; k <= degrees - 2; k += 2) {
            term *= cosine * cosine * (k - 1) / k;
            sum += term;
        }
        return sine * sum / 2;
    }
    double term = cosine;
    double sum = degrees > 1 ? cosine : 0;
    for (int k = 3; k <= degrees - 2; k += 2) {
        term *= cosine * cosine * (k - 1) / k;
        sum += term;
    }
    return (theta + sine * sum) / std::numbers::pi;
}

} // namespace

double WeightLaw::variance() const
{
    return m_kind == Kind::uniform  ? 1.0 / 3
           : m_kind == Kind::normal ? 1
                                    : static_cast<double>(m_degrees) / (m_degrees - 2);
}

/// ∫xⁿ·p(x) dx from 0 to x, up to a constant.
double WeightLaw::primitive(int n, double x) const
{
    switch (m_kind) {
    case Kind::uniform:
        return std::pow(std::min(x, 1.0), n + 1) / (2 * (n + 1));
    case Kind::normal: {
        const double within = std::erf(x / std::numbers::sqrt2) / 2;
        if (n == 0)
            return within;
        if (std::isinf(x))
            return n == 1 ? 0 : within;
        return n == 1 ? -normalDensity(x) : within - x * normalDensity(x);
    }
    case Kind::student:
        break;
    }
    const double degrees = m_degrees;
    if (n == 0)
        return studentHalf(m_degrees, x);
    if (n == 1)
        return std::isinf(x) ? 0 : -degrees / (degrees - 1) * (1 + x * x / degrees) * studentDensity(m_degrees, x);
    return degrees * ((degrees - 1) / (degrees - 2) * studentHalf(m_degrees - 2, x * std::sqrt(1 - 2 / degrees)) -
                      studentHalf(m_degrees, x));
}

double WeightLaw::partialMoment(int n, double a, double b) const
{
    return primitive(n, b) - primitive(n, a);
}

double expectedSquaredError(const WeightLaw& law, const GridCells& cells, double clip)
{
    double error = 0;
    double begin = 0;
    for (std::size_t i = 0; i < cells.levels.size(); ++i) {
        const double end = i < cells.thresholds.size() ? clip * cells.thresholds[i] : kInfinity;
        const double level = clip * cells.levels[i];
        error += law.partialMoment(2, begin, end) - 2 * level * law.partialMoment(1, begin, end) +
                 level * level * law.partialMoment(0, begin, end);
        begin = end;
    }
    return 2 * error;
}

double expectedSqnrDb(const WeightLaw& law, const GridCells& cells, double clip)
{
    return 10 * std::log10(law.variance() / expectedSquaredError(law, cells, clip));
}

double bestClip(const WeightLaw& law, const GridCells& cells, double most)
{
    constexpr int kPoints = 1000;
    const auto error = [&](double clip) { return expectedSquaredError(law, cells, clip); };
    int best = 1;
    for (int i = 2; i <= kPoints; ++i)
        if (error(most * i / kPoints) < error(most * best / kPoints))
            best = i;
    double low = most * std::max(best - 1, 1) / kPoints;
    double high = most * std::min(best + 1, kPoints) / kPoints;
    constexpr double kGolden = 0.6180339887498949;
    for (int i = 0; i < 60; ++i) {
        const double left = high - kGolden * (high - low);
        const double right = low + kGolden * (high - low);
        if (error(left) < error(right))
            high = right;
        else
            low = left;
    }
    return (low + high) / 2;
}

} // namespace ql
