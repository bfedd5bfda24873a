// SPDX-License-Identifier: GPL-3.0-or-later
// The scale of binary and ternary weights as their papers set it: the mean of |w| over the run, or with :median its
// median (BitNet b1.58 Reloaded). For ±1 the mean is the least squares scale. refit=yes replaces it by the least
// squares scale of the codes it gave. A rule without an objective.
#include "core/formats/scale_coding.h"
#include "core/quantizers/options.h"
#include "core/quantizers/run_quantizer.h"

#include <algorithm>
#include <cmath>

namespace ql::quantizers {

extern const Quantizer mean;

namespace {

class MeanChooser final : public RunChooser {
public:
    MeanChooser(const ElementCoder& coder, const ScaleRule& rule, bool median, bool refit)
        : m_coder(coder), m_rule(rule), m_median(median), m_refit(refit)
    {}

    Result<ChosenRun> choose(const WeightRun& run, const JobContext& context) override
    {
        QL_CHECK(context.checkStop());
        RunParameters chosen = withScale(run, m_median ? medianOf(run) : meanOf(run));
        if (m_refit)
            chosen = withScale(run, leastSquares(run, chosen));
        return ChosenRun{.parameters = chosen};
    }

private:
    RunParameters withScale(const WeightRun& run, double scale) const
    {
        const double tensorScale = static_cast<double>(m_rule.affine({}).scale);
        return m_rule.withScale(run.range,
                                storableScale(m_rule.scheme().scale, static_cast<float>(scale / tensorScale)));
    }
    static double meanOf(const WeightRun& run)
    {
        double sum = 0;
        for (std::int64_t i = 0; i < run.count; ++i)
            sum += std::fabs(static_cast<double>(run.weights[i]));
        return sum / static_cast<double>(run.count);
    }
    /// The lower one of two in the middle.
    double medianOf(const WeightRun& run)
    {
        m_values.resize(static_cast<std::size_t>(run.count));
        std::transform(run.weights, run.weights + run.count, m_values.begin(), [](float w) { return std::fabs(w); });
        const auto middle = m_values.begin() + static_cast<std::ptrdiff_t>((run.count - 1) / 2);
        std::nth_element(m_values.begin(), middle, m_values.end());
        return static_cast<double>(*middle);
    }
    double leastSquares(const WeightRun& run, const RunParameters& from)
    {
        const Affine affine = m_rule.affine(from);
        m_codes.resize(static_cast<std::size_t>(run.count));
        m_values.resize(static_cast<std::size_t>(run.count));
        encodeRun(m_coder, affine, run.weights, run.count, m_codes.data());
        decodeRun(m_coder, {}, m_codes.data(), run.count, m_values.data());
        double product = 0;
        double squares = 0;
        for (std::int64_t i = 0; i < run.count; ++i) {
            const auto level = static_cast<double>(m_values[static_cast<std::size_t>(i)]);
            product += level * static_cast<double>(run.weights[i]);
            squares += level * level;
        }
        return squares > 0 ? product / squares : static_cast<double>(affine.scale);
    }

    const ElementCoder& m_coder;
    const ScaleRule& m_rule;
    const bool m_median, m_refit;
    std::vector<std::uint8_t> m_codes;
    std::vector<float> m_values;
};

std::vector<std::string> meanOptions()
{
    return {"", "median"};
}

Result<void> meanAccepts(const Scheme& scheme, const QuantizerSpec& spec)
{
    const NumberFormat& format = *scheme.element;
    const std::size_t unused = scheme.restricted && format.hasNegativeExtreme ? 1 : 0;
    if (scheme.isPacked() || scheme.zeroPoint != ZeroPoint::none || format.maxLevel != 1 ||
        format.grid.levels.size() - unused > 3 || format.grid.levels[unused] != -1)
        return usageError("mean is the rule of binary and ternary weights (levels −1, 0, 1; int2:restricted); for " +
                          printScheme(scheme) + " use mse");
    return checkOptions(mean, spec);
}

Result<QuantizedTensor> quantizeMean(const QuantizeTask& task, const JobContext& context)
{
    const bool refit = optionWord(mean, task.spec, "refit") == "yes";
    return quantizeRuns(
        task, false, "",
        [&](const ElementCoder& coder, const ScaleRule& rule) {
            return std::make_unique<MeanChooser>(coder, rule, task.spec.option == "median", refit);
        },
        context);
}

} // namespace

const Quantizer mean{
    .id = "mean",
    .title = "Mean of magnitudes",
    .formula = "scale = mean|w|, or median|w|; refit: Σ w·t / Σ t² of its codes t",
    .source = "Ma et al., BitNet b1.58, 2024; BitNet b1.58 Reloaded, 2024; Rastegari et al., XNOR-Net, 2016",
    .options = meanOptions,
    .values = {{.key = "refit", .meaning = "least squares for the codes", .fallback = "no", .words = {"no", "yes"}}},
    .accepts = meanAccepts,
    .quantize = quantizeMean};

} // namespace ql::quantizers
