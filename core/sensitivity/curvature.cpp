// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/curvature.h"

#include "core/base/rng.h"
#include "core/base/sum.h"

#include <cmath>

namespace ql {

namespace {

double dot(std::span<const double> a, std::span<const double> b)
{
    CompensatedSum sum;
    for (std::size_t i = 0; i < a.size(); ++i)
        sum.add(a[i] * b[i]);
    return sum.value();
}

void normalize(std::vector<double>& v)
{
    const double norm = std::sqrt(dot(v, v));
    for (double& x : v)
        x /= norm;
}

} // namespace

Result<TraceEstimate> hutchinsonTrace(const ProductWith& product, std::int64_t size, std::int64_t maxProbes,
                                      double tolerance, std::uint64_t seed, const JobContext& context)
{
    std::vector<double> v(static_cast<std::size_t>(size));
    TraceEstimate estimate;
    double squares = 0; // Σ (sample − mean)², Welford
    while (estimate.probes < maxProbes) {
        QL_CHECK(context.checkStop());
        const CounterRng random(seed, static_cast<std::uint64_t>(estimate.probes));
        for (std::size_t i = 0; i < v.size(); ++i)
            v[i] = random.bits(i) >> 63U ? 1.0 : -1.0;
        QL_TRY(made, product(v));
        const double difference = dot(v, made) - estimate.trace;
        ++estimate.probes;
        const double change = difference / static_cast<double>(estimate.probes);
        estimate.trace += change;
        squares += difference * (difference - change);
        if (estimate.probes > 1 && std::fabs(change) < tolerance * std::fabs(estimate.trace))
            break;
    }
    const auto n = static_cast<double>(estimate.probes);
    estimate.standardError = estimate.probes > 1 ? std::sqrt(squares / n / (n - 1)) : 0;
    return estimate;
}

Result<TopEigenvalue> topEigenvalue(const ProductWith& product, std::int64_t size, std::int64_t maxIterations,
                                    double tolerance, std::uint64_t seed, const JobContext& context)
{
    TopEigenvalue top;
    const CounterRng random(seed);
    for (std::int64_t i = 0; i < size; ++i)
        top.vector.push_back(random.normal(static_cast<std::uint64_t>(i)));
    normalize(top.vector);
    while (top.iterations < maxIterations) {
        QL_CHECK(context.checkStop());
        QL_TRY(made, product(top.vector));
        ++top.iterations;
        top.value = dot(top.vector, made);
        CompensatedSum squares;
        for (std::size_t i = 0; i < made.size(); ++i) {
            const double rest = made[i] - top.value * top.vector[i];
            squares.add(rest * rest);
        }
        top.residual = std::sqrt(squares.value());
        if (top.residual <= tolerance * std::fabs(top.value) || top.iterations == maxIterations)
            break; // the vector is the one the residual belongs to
        top.vector = std::move(made);
        normalize(top.vector);
    }
    return top;
}

} // namespace ql
