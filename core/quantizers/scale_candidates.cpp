// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/scale_candidates.h"

#include "core/formats/scale_coding.h"
#include "core/quantizers/ggml_rule.h"

#include <cmath>

namespace ql {

Candidates scaleCandidates(const Scheme& scheme, std::int64_t steps)
{
    const NumberFormat& format = *scheme.element;
    const bool isWide = format.kind == FormatKind::codebook && (format.bits <= 2 || !format.hasZero());
    const auto factor = [=](std::int64_t i) {
        const double part = static_cast<double>(i) / static_cast<double>(steps);
        return static_cast<float>(isWide ? std::pow(0.01, part) : 1 - 0.8 * part);
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

Candidates clipCandidates(const Scheme& scheme)
{
    constexpr std::int64_t kClips = 111;
    const auto fill = [](const RunRange& range, const ScaleRule& rule, const RunParameters&, std::int64_t first,
                         std::span<RunParameters> out) {
        for (RunParameters& parameters : out)
            parameters = rule.chooseShrunk(range, static_cast<float>(120 - first++) / 100);
    };
    return {.count = kClips, .fill = fill, .shrinking = scheme.zeroPoint == ZeroPoint::none ? 1 : 0};
}

} // namespace ql
