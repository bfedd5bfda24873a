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

Candidates candidatesFor(const Scheme& scheme, std::int64_t steps)
{
    const auto factor = [steps](std::int64_t i) {
        return static_cast<float>(1 - 0.8 * static_cast<double>(i) / static_cast<double>(steps));
    };
    // One candidate from its number.
    const auto each = [](const auto& candidate) {
        return [candidate](const RunRange& range, const ScaleRule& rule, const RunParameters& own, std::int64_t first,
                           std::span<RunParameters> out) {
            for (RunParameters& parameters : out)
                parameters = candidate(range, rule, own, first++);
        };
    };
    if (scheme.scale == ScaleCoding::e8m0 || scheme.scale == ScaleCoding::ue4m3) {
        const int below = scheme.scale == ScaleCoding::e8m0 ? -1 : -8;
        const int above = scheme.scale == ScaleCoding::e8m0 ? 1 : 2;
        const auto neighbour = [=, coding = scheme.scale](const RunRange& range, const ScaleRule& rule,
                                                          const RunParameters& own, std::int64_t i) {
            const int step = above - static_cast<int>(i);
            return rule.withScale(range, neighbourScale(coding, own.scale, step > 0 ? step : step - 1));
        };
        return {.count = above - below, .fill = each(neighbour)};
    }
    if (isGgufScheme(scheme) && scheme.zeroPoint == ZeroPoint::none && scheme.element->bits < 8) {
        // The code −2^(b−1) has no twin: a scale of either sign gives it to the side that needs it.
        const auto half = static_cast<float>(1 << (scheme.element->bits - 1));
        const auto signedScale = [=, coding = scheme.scale](const RunRange& range, const ScaleRule& rule,
                                                            const RunParameters&, std::int64_t i) {
            const float scale = storableScale(coding, range.absMax * factor(i / 2) / half);
            return rule.withScale(range, i % 2 == 0 ? scale : -scale);
        };
        return {.count = 2 * steps, .fill = each(signedScale), .shrinking = 2};
    }
    const auto shrunk = [=](const RunRange& range, const ScaleRule& rule, const RunParameters&, std::int64_t i) {
        return rule.chooseShrunk(range, factor(i + 1));
    };
    return {.count = steps - 1, .fill = each(shrunk), .shrinking = scheme.zeroPoint == ZeroPoint::none ? 1 : 0};
}

Result<QuantizedTensor> quantizeMse(const QuantizeTask& task, const JobContext& context)
{
    QL_TRY(steps, stepsOf(task.spec));
    return quantizeUnits(task, RangeRule::standard, candidatesFor(task.scheme, steps), context);
}

} // namespace

namespace quantizers {
extern const Quantizer mse;
const Quantizer mse{.id = "mse",
                    .title = "Least squared error",
                    .formula = "scale = argmin Σ(w − ŵ)² over shrunk ranges",
                    .source = "Banner et al. 2019, section 3; grid of 1 % steps as in QuEST 2024",
                    .options = mseOptions,
                    .accepts = mseAccepts,
                    .quantize = quantizeMse};
} // namespace quantizers

} // namespace ql
