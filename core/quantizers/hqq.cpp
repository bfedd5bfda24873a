// SPDX-License-Identifier: GPL-3.0-or-later
// Half-quadratic quantization: with the scale of the range, the zero point (or minimum) that makes Σ|w − ŵ|^p small for
// p < 1, so that few large errors count little. Alternates E = shrink(W − Ŵ, β) and zero = mean(q − (w − e)/s) while
// the objective falls, β growing; zero is rounded at the end where it is stored as an integer.
#include "core/quantizers/options.h"
#include "core/quantizers/run_quantizer.h"

#include <algorithm>
#include <cmath>

namespace ql::quantizers {

extern const Quantizer hqq;

namespace {

struct HqqSettings {
    double p;
    double beta;
    double growth;
    std::int64_t iterations;
};

class HqqChooser final : public RunChooser {
public:
    HqqChooser(const ElementCoder& coder, const ScaleRule& rule, const HqqSettings& settings)
        : m_coder(coder), m_rule(rule), m_settings(settings), m_errors(coder, settings.p)
    {}

    Result<ChosenRun> choose(const WeightRun& run, const JobContext& context) override
    {
        const RunParameters own = m_rule.choose(run.range);
        ChosenRun chosen{own, loss(run, own), 0};
        chosen.reached = chosen.rtn;
        const bool isInteger = m_rule.scheme().zeroPoint == ZeroPoint::integer;
        const auto scale = static_cast<double>(m_rule.affine(own).scale);
        // w ≈ (q − zero)·scale with codes from low to high.
        double zero = isInteger ? own.zero : -static_cast<double>(own.minimum) / scale;
        double best = std::numeric_limits<double>::infinity();
        double beta = m_settings.beta;
        for (std::int64_t iteration = 0; iteration < m_settings.iterations; ++iteration) {
            QL_CHECK(context.checkStop());
            double sum = 0;
            double error = 0;
            for (std::int64_t i = 0; i < run.count; ++i) {
                const auto w = static_cast<double>(run.weights[i]);
                const double q = std::clamp(std::nearbyint(w / scale + zero), static_cast<double>(m_coder.low),
                                            static_cast<double>(m_coder.high));
                const double residual = w - (q - zero) * scale;
                error += std::fabs(residual);
                sum += q - (w - shrink(residual, beta)) / scale;
            }
            if (error >= best)
                break;
            best = error;
            zero = sum / static_cast<double>(run.count);
            beta *= m_settings.growth;
            RunParameters tried = own;
            if (isInteger)
                tried.zero = static_cast<int>(std::clamp(std::nearbyint(zero), static_cast<double>(m_coder.low),
                                                         static_cast<double>(m_coder.high)));
            else
                tried.minimum = storedMinimum(-zero * scale);
            const double lost = loss(run, tried);
            if (lost < chosen.reached) {
                chosen.reached = lost;
                chosen.parameters = tried;
            }
        }
        return chosen;
    }

private:
    /// The e that makes |e|^p + β/2·(x − e)² small, as the paper approximates it.
    double shrink(double x, double beta) const
    {
        const double magnitude = std::fabs(x);
        return magnitude == 0
                   ? 0
                   : std::copysign(std::max(0.0, magnitude - std::pow(magnitude, m_settings.p - 1) / beta), x);
    }

    float storedMinimum(double minimum) const
    {
        const float magnitude = roundScale(m_rule.scheme().scale, static_cast<float>(std::fabs(minimum)));
        return minimum < 0 ? -magnitude : magnitude;
    }

    double loss(const WeightRun& run, const RunParameters& parameters)
    {
        return m_errors.of(run, m_rule.affine(parameters));
    }

    const ElementCoder& m_coder;
    const ScaleRule& m_rule;
    const HqqSettings m_settings;
    PowerOfErrors m_errors;
};

Result<void> hqqAccepts(const Scheme& scheme, const QuantizerSpec& spec)
{
    if (scheme.isPacked() || scheme.zeroPoint == ZeroPoint::none)
        return usageError("hqq chooses zero points, and " + printScheme(scheme) +
                          " has none of its own; use int4:g64:asym or int4:g64:min, or @mse");
    return checkOptions(hqq, spec);
}

Result<QuantizedTensor> quantizeHqq(const QuantizeTask& task, const JobContext& context)
{
    const HqqSettings settings{.p = optionNumber(hqq, task.spec, "p"),
                               .beta = optionNumber(hqq, task.spec, "beta"),
                               .growth = optionNumber(hqq, task.spec, "growth"),
                               .iterations = optionWhole(hqq, task.spec, "iterations")};
    return quantizeRuns(
        task, false, "Σ|w − ŵ|^p",
        [=](const ElementCoder& coder, const ScaleRule& rule) {
            return std::make_unique<HqqChooser>(coder, rule, settings);
        },
        context);
}

} // namespace

const Quantizer hqq{
    .id = "hqq",
    .title = "HQQ: half-quadratic zero points",
    .formula = "zero = argmin Σ|w − ŵ|^p by shrinkage and means in turn",
    .source = "Badri and Shaji, Half-Quadratic Quantization, 2023",
    .options = noWords,
    .values = {{.key = "p", .meaning = "the power", .fallback = "0.7", .least = 0.1, .most = 1},
               {.key = "beta", .meaning = "the first β", .fallback = "10", .least = 0.001, .most = 1e6},
               {.key = "growth",
                .meaning = "of β from one iteration to the next",
                .fallback = "1.01",
                .least = 1,
                .most = 10},
               {.key = "iterations", .meaning = "at most", .fallback = "20", .least = 1, .most = 1000, .whole = true}},
    .accepts = hqqAccepts,
    .quantize = quantizeHqq};

} // namespace ql::quantizers
