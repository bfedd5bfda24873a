// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/weighted_scales.h"

#include "core/formats/scale_coding.h"

#include <cmath>

namespace ql {

namespace {
constexpr int kRefits = 3;
}

RunParameters WeightedScales::refit(const RunRange& range, const RunParameters& from, const float* weights,
                                    const float* importance, std::int64_t n)
{
    const Affine affine = m_rule.affine(from);
    encodeRun(m_coder, affine, weights, n, m_codes.data());
    decodeRun(m_coder, affine, m_codes.data(), n, m_restored.data());
    double product = 0;
    double squares = 0;
    for (std::int64_t i = 0; i < n; ++i) {
        const auto at = static_cast<std::size_t>(i);
        const double level = static_cast<double>(m_restored[at]) - static_cast<double>(affine.minimum);
        const double weight = static_cast<double>(weights[i]) - static_cast<double>(affine.minimum);
        product += static_cast<double>(importance[i]) * weight * level;
        squares += static_cast<double>(importance[i]) * level * level;
    }
    if (!(squares > 0) || !(product > 0))
        return from;
    const double scale = static_cast<double>(from.scale) * product / squares;
    const ScaleCoding coding = m_rule.scheme().scale;
    const float stored = storableScale(coding, std::min(static_cast<float>(std::fabs(scale)), largestScale(coding)));
    RunParameters fitted = m_rule.withScale(range, from.scale < 0 ? -stored : stored);
    fitted.zero = from.zero;
    fitted.minimum = from.minimum;
    return fitted;
}

RunParameters WeightedScales::best(const float* weights, const float* importance, std::int64_t n)
{
    const RunRange range = rangeOfRun(weights, n);
    RunParameters best = m_rule.choose(range);
    if (range.absMax == 0)
        return best;
    const auto error = [&](const RunParameters& parameters) {
        return weightedErrorOfRun(m_coder, m_rule.affine(parameters), weights, importance, n);
    };
    double least = error(best);
    const auto offer = [&](const RunParameters& parameters) {
        const double tried = error(parameters);
        const bool better = tried < least;
        if (better) {
            least = tried;
            best = parameters;
        }
        return better;
    };
    m_tried.resize(static_cast<std::size_t>(m_candidates.count));
    m_codes.resize(static_cast<std::size_t>(n));
    m_restored.resize(static_cast<std::size_t>(n));
    if (m_candidates.count > 0)
        m_candidates.fill(range, m_rule, best, 0, m_tried);
    for (const RunParameters& parameters : m_tried)
        offer(parameters);
    const ScaleCoding coding = m_rule.scheme().scale;
    if (coding == ScaleCoding::f32 || coding == ScaleCoding::f16 || coding == ScaleCoding::bf16)
        for (int i = 0; i < kRefits && offer(refit(range, best, weights, importance, n)); ++i) {
        }
    return best;
}

} // namespace ql
