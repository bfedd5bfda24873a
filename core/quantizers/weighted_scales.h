// SPDX-License-Identifier: GPL-3.0-or-later
// The scale of a run for weighted errors: of rtn's and the candidates near it (scale_candidates.h) the one with the
// least Σ importance·(w − ŵ)², then, for scales in floating point, least squares scales for the codes it gives, while
// the error falls. Never worse than rtn's under the same importances. Equal bits for any thread count and CPU.
#pragma once

#include "core/quantizers/scale_search.h"

namespace ql {

/// Keeps scratch memory: one per task.
class WeightedScales {
public:
    /// Refers to all it is given.
    WeightedScales(const ElementCoder& coder, const ScaleRule& rule, const Candidates& candidates)
        : m_coder(coder), m_rule(rule), m_candidates(candidates)
    {}
    /// Of n finite weights; importances are finite and not negative.
    RunParameters best(const float* weights, const float* importance, std::int64_t n);

private:
    RunParameters refit(const RunRange& range, const RunParameters& from, const float* weights, const float* importance,
                        std::int64_t n);

    const ElementCoder& m_coder;
    const ScaleRule& m_rule;
    const Candidates& m_candidates;
    std::vector<RunParameters> m_tried;
    std::vector<std::uint8_t> m_codes;
    std::vector<float> m_restored;
};

} // namespace ql
