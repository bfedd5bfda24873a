// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/curvature.h"

#include "core/base/rng.h"
#include "core/jobs/parallel_sum.h"

#include <cmath>

namespace ql {

namespace {

Result<double> dot(std::span<const double> a, std::span<const double> b, const JobContext& context)
{
    return parallelSum(context, std::ssize(a), [&](std::size_t i) { return a[i] * b[i]; });
}

Result<void> normalize(std::vector<double>& v, const JobContext& context)
{
    QL_TRY(square, dot(v, v, context));
    const double norm = std::sqrt(square);
    return parallelFill(context, v, [&](std::size_t i) { return v[i] / norm; });
}

/// v without what it has of unit vectors that are orthogonal to each other.
Result<void> project(std::vector<double>& v, const std::vector<TopEigenvalue>& away, const JobContext& context)
{
    for (const TopEigenvalue& its : away) {
        QL_TRY(share, dot(v, its.vector, context));
        QL_CHECK(parallelFill(context, v, [&](std::size_t i) { return v[i] - share * its.vector[i]; }));
    }
    return {};
}

} // namespace

void TraceSamples::add(double sample)
{
    ++m_count;
    const double difference = sample - m_mean;
    m_change = difference / static_cast<double>(m_count);
    m_mean += m_change;
    m_squares += difference * (difference - m_change);
}

bool TraceSamples::areSettled(double tolerance) const
{
    return m_count > 1 && std::fabs(m_change) < tolerance * std::fabs(m_mean);
}

TraceEstimate TraceSamples::estimate() const
{
    const auto n = static_cast<double>(m_count);
    return {.trace = m_mean, .standardError = m_count > 1 ? std::sqrt(m_squares / n / (n - 1)) : 0, .probes = m_count};
}

Result<TraceEstimate> hutchinsonTrace(const ProductWith& product, std::int64_t size, std::int64_t maxProbes,
                                      double tolerance, std::uint64_t seed, const JobContext& context)
{
    std::vector<double> v(static_cast<std::size_t>(size));
    TraceSamples samples;
    for (std::int64_t probe = 0; probe < maxProbes && !samples.areSettled(tolerance); ++probe) {
        const CounterRng random(seed, static_cast<std::uint64_t>(probe));
        QL_CHECK(parallelFill(context, v, [&](std::size_t i) { return random.bits(i) >> 63U ? 1.0 : -1.0; }));
        QL_TRY(made, product(v));
        QL_TRY(sample, dot(v, made, context));
        samples.add(sample);
    }
    return samples.estimate();
}

Result<TopEigenvalue> topEigenvalue(const ProductWith& product, std::int64_t size, std::int64_t maxIterations,
                                    double tolerance, std::uint64_t seed, const JobContext& context)
{
    TopEigenvalue top;
    const CounterRng random(seed);
    top.vector.resize(static_cast<std::size_t>(size));
    QL_CHECK(parallelFill(context, top.vector, [&](std::size_t i) { return random.normal(i); }));
    QL_CHECK(normalize(top.vector, context));
    while (top.iterations < maxIterations) {
        QL_TRY(made, product(top.vector));
        ++top.iterations;
        QL_TRY(value, dot(top.vector, made, context));
        top.value = value;
        QL_TRY(squares, parallelSum(context, size, [&](std::size_t i) {
                   const double rest = made[i] - value * top.vector[i];
                   return rest * rest;
               }));
        top.residual = std::sqrt(squares);
        if (top.residual <= tolerance * std::fabs(top.value) || top.iterations == maxIterations)
            break; // the vector is the one the residual belongs to
        top.vector = std::move(made);
        QL_CHECK(normalize(top.vector, context));
    }
    return top;
}

Result<std::vector<TopEigenvalue>> topEigenvalues(const ProductWith& product, std::int64_t size, std::int64_t count,
                                                  std::int64_t maxIterations, double tolerance, std::uint64_t seed,
                                                  const JobContext& context)
{
    std::vector<TopEigenvalue> found;
    const auto beside = [&](std::span<const double> v) -> Result<std::vector<double>> {
        if (found.empty())
            return product(v);
        std::vector<double> rest(v.begin(), v.end());
        QL_CHECK(project(rest, found, context));
        QL_TRY(made, product(rest));
        QL_CHECK(project(made, found, context));
        return made;
    };
    while (std::ssize(found) < count) {
        const std::uint64_t its = seed + found.size();
        QL_TRY(top, topEigenvalue(beside, size, maxIterations, tolerance, its, context));
        QL_CHECK(project(top.vector, found, context)); // what the first, random, vector had of them
        QL_CHECK(normalize(top.vector, context));
        found.push_back(std::move(top));
    }
    return found;
}

} // namespace ql
