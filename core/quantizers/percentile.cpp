// SPDX-License-Identifier: GPL-3.0-or-later
// Clipping at a percentile of the magnitudes of a run (asymmetric schemes: at the percentiles of both ends). It has no
// objective.
#include "core/quantizers/options.h"
#include "core/quantizers/run_quantizer.h"

#include <algorithm>
#include <cmath>

namespace ql::quantizers {

extern const Quantizer percentile;

namespace {

class PercentileChooser final : public RunChooser {
public:
    PercentileChooser(const ScaleRule& rule, double percent) : m_rule(rule), m_percent(percent) {}

    Result<ChosenRun> choose(const WeightRun& run, const JobContext&) override
    {
        RunRange range = run.range;
        if (m_rule.scheme().zeroPoint == ZeroPoint::none) {
            m_sorted.resize(static_cast<std::size_t>(run.count));
            std::transform(run.weights, run.weights + run.count, m_sorted.begin(),
                           [](float w) { return std::fabs(w); });
            range.absMax = std::max(atRank(m_percent), std::numeric_limits<float>::min());
        } else {
            m_sorted.assign(run.weights, run.weights + run.count);
            range.max = atRank(m_percent);
            range.min = atRank(100 - m_percent);
        }
        return ChosenRun{.parameters = m_rule.choose(range)};
    }

private:
    /// The value with that percentage of the others at or below it.
    float atRank(double percent)
    {
        const auto last = static_cast<double>(m_sorted.size() - 1);
        const auto rank = m_sorted.begin() + static_cast<std::ptrdiff_t>(std::nearbyint(last * percent / 100));
        std::nth_element(m_sorted.begin(), rank, m_sorted.end());
        return *rank;
    }

    const ScaleRule& m_rule;
    const double m_percent;
    std::vector<float> m_sorted;
};

Result<void> percentileAccepts(const Scheme& scheme, const QuantizerSpec& spec)
{
    if (scheme.isPacked())
        return usageError("percentile chooses one scale for a run, but " + printScheme(scheme) +
                          " has blocks; use mse");
    return checkOptions(percentile, spec);
}

Result<QuantizedTensor> quantizePercentile(const QuantizeTask& task, const JobContext& context)
{
    const double percent = optionNumber(percentile, task.spec, "p");
    return quantizeRuns(
        task, false, "",
        [=](const ElementCoder&, const ScaleRule& rule) { return std::make_unique<PercentileChooser>(rule, percent); },
        context);
}

} // namespace

const Quantizer percentile{
    .id = "percentile",
    .title = "Clip at a percentile",
    .formula = "range = the p-th percentile of |w|",
    .source = "Gholami et al. 2021, section III.C; Wu et al. 2020 (NVIDIA), section 5.2",
    .options = noWords,
    .values = {{.key = "p", .meaning = "percent of the weights inside", .fallback = "99.9", .least = 50, .most = 100}},
    .accepts = percentileAccepts,
    .quantize = quantizePercentile};

} // namespace ql::quantizers
