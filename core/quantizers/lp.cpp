// SPDX-License-Identifier: GPL-3.0-or-later
// Clip search under a norm other than the second.
#include "core/quantizers/options.h"
#include "core/quantizers/run_quantizer.h"

#include <cmath>

namespace ql::quantizers {

extern const Quantizer lp;

namespace {

class LpChooser final : public CandidateChooser {
public:
    LpChooser(const ElementCoder& coder, const ScaleRule& rule, double power, std::int64_t steps)
        : CandidateChooser(coder, rule, steps), m_power(power)
    {}

private:
    double loss(const WeightRun& run, const Affine& affine) override
    {
        const auto n = static_cast<std::size_t>(run.count);
        m_codes.resize(n);
        m_restored.resize(n);
        encodeRun(coder(), affine, run.weights, run.count, m_codes.data());
        decodeRun(coder(), affine, m_codes.data(), run.count, m_restored.data());
        double sum = 0;
        for (std::size_t i = 0; i < n; ++i)
            sum +=
                std::pow(std::fabs(static_cast<double>(run.weights[i]) - static_cast<double>(m_restored[i])), m_power);
        return sum;
    }

    const double m_power;
    std::vector<std::uint8_t> m_codes;
    std::vector<float> m_restored;
};

std::vector<std::string> lpOptions()
{
    return {""};
}

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
    .options = lpOptions,
    .values = {{.key = "p", .meaning = "the power", .fallback = "2.4", .least = 0.1, .most = 16},
               {.key = "steps", .meaning = "scales tried", .fallback = "80", .least = 1, .most = 1000, .whole = true}},
    .accepts = lpAccepts,
    .quantize = quantizeLp};

} // namespace ql::quantizers
