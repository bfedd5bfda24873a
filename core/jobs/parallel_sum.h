// SPDX-License-Identifier: GPL-3.0-or-later
// Sums over long vectors, compensated, on the pool of a job: equal bits for any thread count.
#pragma once

#include "core/base/sum.h"
#include "core/jobs/parallel.h"

#include <span>

namespace ql {

/// Elements of long vectors that a task works on: 0.1 ms or more.
constexpr std::int64_t kVectorGrain = std::int64_t{1} << 16;

/// Σ f(i) for i in [0, n).
template<typename F>
Result<double> parallelSum(const JobContext& context, std::int64_t n, const F& f)
{
    QL_TRY(sum, deterministicReduce(
                    context, n, kVectorGrain, CompensatedSum(),
                    [&](std::int64_t begin, std::int64_t end) {
                        CompensatedSum part;
                        for (std::int64_t i = begin; i < end; ++i)
                            part.add(f(static_cast<std::size_t>(i)));
                        return part;
                    },
                    [](CompensatedSum& into, const CompensatedSum& next) { into.merge(next); }));
    return sum.value();
}

/// values[i] = f(i).
template<typename F>
Result<void> parallelFill(const JobContext& context, std::span<double> values, const F& f)
{
    return parallelFor(context, std::ssize(values), kVectorGrain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
            values[static_cast<std::size_t>(i)] = f(static_cast<std::size_t>(i));
    });
}

} // namespace ql
