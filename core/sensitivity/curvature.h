// SPDX-License-Identifier: GPL-3.0-or-later
// What can be learnt of a large symmetric matrix H that is known only by its products H·v: of a Hessian
// (core/model/evaluation/hessian.h), say, whose trace and largest eigenvalue tell how sensitive weights are.
// Deterministic: probes are counter-based random numbers.
#pragma once

#include "core/jobs/job_context.h"

#include <functional>
#include <span>
#include <vector>

namespace ql {

using ProductWith = std::function<Result<std::vector<double>>(std::span<const double> v)>;

struct TraceEstimate {
    double trace = 0;
    double standardError = 0; // of the mean over the probes; 0 for one
    std::int64_t probes = 0;
};

/// Mean of what probes say of a trace, and how sure it is.
class TraceSamples {
public:
    void add(double sample);
    /// Whether the last sample changed the mean by less than `tolerance` of it.
    bool areSettled(double tolerance) const;
    TraceEstimate estimate() const;

private:
    std::int64_t m_count = 0;
    double m_mean = 0, m_change = 0; // of the mean by the last sample
    double m_squares = 0;            // Σ (sample − mean)², Welford
};

/// Hutchinson's estimate tr H ≈ mean of vᵀ·H·v over probes v of ±1; exact by one probe where H is diagonal. Stops early
/// when a probe changes the mean by less than `tolerance` of it.
/// Source: Hutchinson, A stochastic estimator of the trace, 1990; stopping rule: Dong et al., HAWQ-V2, NeurIPS 2020.
Result<TraceEstimate> hutchinsonTrace(const ProductWith& product, std::int64_t size, std::int64_t maxProbes,
                                      double tolerance, std::uint64_t seed, const JobContext& context);

struct TopEigenvalue {
    double value = 0;
    double residual = 0; // ‖H·v − λ·v‖ for the unit vector v: an eigenvalue is at most that far away
    std::int64_t iterations = 0;
    std::vector<double> vector; // v
};

/// The eigenvalue of largest magnitude by power iteration from a random vector, until the residual is below
/// tolerance·|λ| or after maxIterations.
Result<TopEigenvalue> topEigenvalue(const ProductWith& product, std::int64_t size, std::int64_t maxIterations,
                                    double tolerance, std::uint64_t seed, const JobContext& context);

/// The `count` ≤ size eigenvalues of largest magnitude, one after the other: each that of P·H·P, P = I − Σ v·vᵀ over
/// the vectors before it, whose residuals its own does not count. Vectors are orthonormal.
Result<std::vector<TopEigenvalue>> topEigenvalues(const ProductWith& product, std::int64_t size, std::int64_t count,
                                                  std::int64_t maxIterations, double tolerance, std::uint64_t seed,
                                                  const JobContext& context);

} // namespace ql
