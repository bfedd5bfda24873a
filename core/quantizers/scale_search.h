// SPDX-License-Identifier: GPL-3.0-or-later
// Which of many scales gives a run the least squared error: the choice of trying all in double (the first of equals),
// bit for bit, with few tried. A candidate is left out where a lower bound of its error is above what another one is
// sure to reach: the squared distance of the extremes beyond the codes' ends, or the error in float less all that
// rounding can have added (roughErrorsOfRun, boundsOf). Equal bits for any thread count and CPU.
#pragma once

#include "core/jobs/job_context.h"
#include "core/quantizers/scale_rule.h"

#include <functional>

namespace ql {

/// What may replace the rule's own choice for a run with that range and a non-zero weight.
struct Candidates {
    std::int64_t count = 0;
    /// Fills `out` with the candidates from `first` on.
    std::function<void(const RunRange& range, const ScaleRule& rule, const RunParameters& own, std::int64_t first,
                       std::span<RunParameters> out)>
        fill;
    /// Where it is not 0, the codes' ends never move outwards from one candidate to that many later.
    std::int64_t shrinking = 0;
};

/// Keeps scratch memory: one per task.
class ScaleSearch {
public:
    ScaleSearch(const ElementCoder& coder, const ScaleRule& rule, const Candidates& candidates)
        : m_coder(coder), m_rule(rule), m_candidates(candidates)
    {}

    /// The best parameters of n ≤ kRunChunk weights with that range.
    RunParameters best(const RunRange& range, const float* weights, std::int64_t n);

    /// The same for a run of any length: elements [first, first + n) of a tensor, in parallel chunks of kRunChunk.
    Result<RunParameters> bestOfLong(const RunRange& range, const TensorView& tensor, std::int64_t first,
                                     std::int64_t n, const JobContext& context);

private:
    struct Entry {
        RunParameters parameters;
        double leastError = 0; // bound
    };
    /// Fills m_entries with the rule's own choice and those that the extremes do not rule out.
    void collect(const RunRange& range, const float* weights, std::int64_t n);

    const ElementCoder& m_coder;
    const ScaleRule& m_rule;
    const Candidates& m_candidates;
    std::vector<Entry> m_entries;
    std::vector<float> m_finite;
};

} // namespace ql
