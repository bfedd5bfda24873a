// SPDX-License-Identifier: GPL-3.0-or-later
// Entropy calibration: the clip whose distribution of levels diverges least from the weights' own. Of a histogram of
// |w| in 2,048 bins, P is what lies in the first i bins with the rest added to the last of them, Q the same merged into
// as many intervals as the format has positive levels and spread evenly over those bins of each that are not empty; the
// least KL(P‖Q) over every 16th i from the number of levels on.
#include "core/quantizers/options.h"
#include "core/quantizers/run_quantizer.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace ql::quantizers {

extern const Quantizer entropy;

namespace {

constexpr std::size_t kBins = 2048;
constexpr std::size_t kStep = 16;

class EntropyChooser final : public RunChooser {
public:
    EntropyChooser(const ElementCoder& coder, const ScaleRule& rule)
        : m_rule(rule), m_levels(std::clamp<std::size_t>(std::size_t{1} << (coder.bits - 1), 2, 128))
    {}

    Result<ChosenRun> choose(const WeightRun& run, const JobContext& context) override
    {
        m_counts.fill(0);
        for (std::int64_t i = 0; i < run.count; ++i) {
            const auto bin = static_cast<std::size_t>(static_cast<double>(std::fabs(run.weights[i])) /
                                                      static_cast<double>(run.range.absMax) * kBins);
            m_counts[std::min(bin, kBins - 1)] += 1;
        }
        QL_CHECK(context.checkStop());
        ChosenRun chosen{m_rule.choose(run.range), divergence(kBins), 0};
        chosen.reached = chosen.rtn;
        std::size_t best = kBins;
        for (std::size_t bins = m_levels; bins < kBins; bins += kStep) {
            const double lost = divergence(bins);
            if (lost < chosen.reached) {
                chosen.reached = lost;
                best = bins;
            }
        }
        RunRange range = run.range;
        range.absMax *= static_cast<float>(best) / static_cast<float>(kBins);
        chosen.parameters = m_rule.choose(range);
        return chosen;
    }

private:
    /// KL(P‖Q) with the clip behind that many bins, in nats.
    double divergence(std::size_t bins) const
    {
        double beyond = 0;
        double all = 0;
        for (std::size_t i = 0; i < kBins; ++i) {
            all += m_counts[i];
            beyond += i >= bins ? m_counts[i] : 0;
        }
        double sum = 0;
        for (std::size_t level = 0; level < m_levels; ++level) {
            const std::size_t begin = level * bins / m_levels;
            const std::size_t end = (level + 1) * bins / m_levels;
            double inside = 0;
            std::size_t filled = 0;
            for (std::size_t i = begin; i < end; ++i) {
                inside += m_counts[i];
                filled += m_counts[i] > 0 ? 1U : 0U;
            }
            for (std::size_t i = begin; i < end; ++i) {
                const double p = m_counts[i] + (i + 1 == bins ? beyond : 0);
                if (p == 0)
                    continue;
                if (m_counts[i] == 0)
                    return std::numeric_limits<double>::infinity(); // what was clipped has no level
                const double q = inside / static_cast<double>(filled) / (all - beyond);
                sum += p / all * std::log(p / all / q);
            }
        }
        return std::max(0.0, sum);
    }

    const ScaleRule& m_rule;
    const std::size_t m_levels;
    std::array<double, kBins> m_counts{};
};

Result<void> entropyAccepts(const Scheme& scheme, const QuantizerSpec& spec)
{
    if (scheme.isPacked() || scheme.zeroPoint != ZeroPoint::none)
        return usageError("entropy clips magnitudes at one end, so it is for symmetric schemes with scales; for " +
                          printScheme(scheme) + " use mse");
    return checkOptions(entropy, spec);
}

Result<QuantizedTensor> quantizeEntropy(const QuantizeTask& task, const JobContext& context)
{
    return quantizeRuns(
        task, false, "KL(P‖Q)",
        [](const ElementCoder& coder, const ScaleRule& rule) { return std::make_unique<EntropyChooser>(coder, rule); },
        context);
}

} // namespace

const Quantizer entropy{.id = "entropy",
                        .title = "Entropy calibration",
                        .formula = "clip = argmin KL(P‖Q) of histograms with 2,048 bins",
                        .source = "Migacz, NVIDIA GTC 2017 (TensorRT); Gholami et al. 2021, section III.C",
                        .options = noWords,
                        .accepts = entropyAccepts,
                        .quantize = quantizeEntropy};

} // namespace ql::quantizers
