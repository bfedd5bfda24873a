// SPDX-License-Identifier: GPL-3.0-or-later
// Clip search under a norm other than the second.
#include "core/quantizers/options.h"
#include "core/quantizers/run_quantizer.h"
#include "core/quantizers/scale_candidates.h"

#include <algorithm>

namespace ql::quantizers {

extern const Quantizer lp;

namespace {

constexpr std::int64_t kBetweenTests = std::int64_t{1} << 22; // weights between two stop tests

/// Of rtn's scale and the candidates near it the first with the least sum.
class LpChooser final : public RunChooser {
public:
    LpChooser(const ElementCoder& coder, const ScaleRule& rule, double power, std::int64_t steps)
        : m_rule(rule), m_candidates(scaleCandidates(rule.scheme(), steps)), m_errors(coder, power)
    {}

    Result<ChosenRun> choose(const WeightRun& run, const JobContext& context) override
    {
        const RunParameters own = m_rule.choose(run.range);
        ChosenRun chosen{own, m_errors.of(run, m_rule.affine(own)), 0};
        chosen.reached = chosen.rtn;
        const std::int64_t between = std::max<std::int64_t>(1, kBetweenTests / run.count);
        for (std::int64_t i = 0; i < m_candidates.count; ++i) {
            if (i % between == 0)
                QL_CHECK(context.checkStop());
            RunParameters tried;
            m_candidates.fill(run.range, m_rule, own, i, std::span(&tried, 1));
            const double lost = m_errors.of(run, m_rule.affine(tried));
            if (lost < chosen.reached) {
                chosen.reached = lost;
                chosen.parameters = tried;
            }
        }
        return chosen;
    }

private:
    const ScaleRule& m_rule;
    const Candidates m_candidates;
    PowerOfErrors m_errors;
};

Result<void> lpAccepts(const Scheme& scheme, const QuantizerSpec& spec)
{
    if (scheme.isPacked())
        return usageError("lp chooses one scale for a run, but " + printScheme(scheme) + " has blocks; use mse");
    return checkOptions(lp, spec);
}

Result<QuantizedTensor> quantizeLp(const QuantizeTask& task, const JobContext& context)
{
    const double power = optionNumber(lp, task.spec, "p");
    const std::int64_t steps = optionWhole(lp, task.spec, "steps");
    return quantizeRuns(
        task, false, "Σ|w − ŵ|^p",
        [=](const ElementCoder& coder, const ScaleRule& rule) {
            return std::make_unique<LpChooser>(coder, rule, power, steps);
        },
        context);
}

} // namespace

const Quantizer lp{
    .id = "lp",
    .title = "Least error to the power p",
    .formula = "scale = argmin Σ|w − ŵ|^p over shrunk ranges",
    .source = "QuEST 2024; SliM-LLM 2024 (p = 2.4)",
    .options = noWords,
    .values = {{.key = "p", .meaning = "the power", .fallback = "2.4", .least = 0.1, .most = 16},
               {.key = "steps", .meaning = "scales tried", .fallback = "80", .least = 1, .most = 1000, .whole = true}},
    .accepts = lpAccepts,
    .quantize = quantizeLp};

} // namespace ql::quantizers
