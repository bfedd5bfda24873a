// SPDX-License-Identifier: GPL-3.0-or-later
// Clip search: among scales near rtn's, the one with the least squared error of its run. The candidates are rtn's scale
// times 1 − 0.8·i/steps, i = 0…steps−1, rounded to the coding (power-of-two scales: the exponents −1, 0, +1 around
// rtn's; ue4m3: rtn's code −8…+2; gguf:q4_0, q5_0: both signs, from max|w|/2^(b−1)). rtn's own scale is the first, so
// the result is never worse.
#include "core/base/text.h"
#include "core/formats/scale_coding.h"
#include "core/quantizers/ggml_rule.h"
#include "core/quantizers/unit_quantizer.h"

#include <cmath>

namespace ql {

namespace {

constexpr std::int64_t kDefaultSteps = 80;
constexpr std::int64_t kMostSteps = 1000;

std::vector<std::string> mseOptions()
{
    return {""};
}

Result<std::int64_t> stepsOf(const QuantizerSpec& spec)
{
    std::int64_t steps = kDefaultSteps;
    for (const auto& [key, value] : spec.values) {
        if (key != "steps")
            return usageError("mse has no option \"" + printable(key) + "=\"; there is steps=1…1000");
        const auto number = parseInt(value);
        if (!number || *number < 1 || *number > kMostSteps)
            return usageError("mse:steps=" + printable(value) + " is not a whole number from 1 to 1000");
        steps = *number;
    }
    return steps;
}

Result<void> mseAccepts(const Scheme&, const QuantizerSpec& spec)
{
    if (!spec.option.empty())
        return usageError("mse has no option \"" + printable(spec.option) + "\"; there is steps=1…1000");
    QL_CHECK(stepsOf(spec));
    return {};
}

void appendNew(std::vector<RunParameters>& out, const RunParameters& parameters)
{
    if (!(out.back() == parameters))
        out.push_back(parameters);
}

Result<QuantizedTensor> quantizeMse(const QuantizeTask& task, const JobContext& context)
{
    QL_TRY(steps, stepsOf(task.spec));
    const bool bothSigns =
        isGgufScheme(task.scheme) && task.scheme.zeroPoint == ZeroPoint::none && task.scheme.element->bits < 8;
    const auto factor = [steps = steps](std::int64_t i) {
        return static_cast<float>(1 - 0.8 * static_cast<double>(i) / static_cast<double>(steps));
    };
    const auto candidates = [=, steps = steps](const RunRange& range, const ScaleRule& rule,
                                               std::vector<RunParameters>& out) {
        const RunParameters plain = out.front();
        if (range.absMax == 0)
            return;
        const ScaleCoding coding = rule.scheme().scale;
        if (coding == ScaleCoding::e8m0 || coding == ScaleCoding::ue4m3) {
            const int below = coding == ScaleCoding::e8m0 ? -1 : -8;
            const int above = coding == ScaleCoding::e8m0 ? 1 : 2;
            for (int step = above; step >= below; --step)
                if (step != 0)
                    appendNew(out, rule.withScale(range, neighbourScale(coding, plain.scale, step)));
            return;
        }
        if (bothSigns) {
            // The code −2^(b−1) has no twin: a scale of either sign gives it to the side that needs it.
            const int half = 1 << (rule.scheme().element->bits - 1);
            for (std::int64_t i = 0; i < steps; ++i) {
                const float scale = storableScale(coding, range.absMax * factor(i) / static_cast<float>(half));
                appendNew(out, rule.withScale(range, scale));
                appendNew(out, rule.withScale(range, -scale));
            }
            return;
        }
        for (std::int64_t i = 1; i < steps; ++i)
            appendNew(out, rule.chooseShrunk(range, factor(i)));
    };
    return quantizeUnits(task, RangeRule::standard, candidates, context);
}

} // namespace

namespace quantizers {
extern const Quantizer mse;
const Quantizer mse{.id = "mse",
                    .title = "Least squared error",
                    .formula = "scale = argmin Σ(w − ŵ)² over shrunk ranges",
                    .source = "Banner et al. 2019, section 3; grid of 1 % steps as in QuEST 2024",
                    .options = mseOptions,
                    .needsHessian = false,
                    .accepts = mseAccepts,
                    .quantize = quantizeMse};
} // namespace quantizers

} // namespace ql
