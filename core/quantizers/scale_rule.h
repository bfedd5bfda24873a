// SPDX-License-Identifier: GPL-3.0-or-later
// Scales from ranges. For a run of weights with largest magnitude a, minimum and maximum over its finite values, and an
// element with largest level Q (restricted or not, 2^(b−1)−1 for integers):
//   default  symmetric a/Q; asymmetric (max(max,0) − min(min,0))/(2^b−1), zero = clamp(rint(−2^(b−1) − min/scale));
//            minimum (max − min)/(2^b−1); e8m0 2^⌈log2(a/Q)⌉, nothing saturates
//   ct       as compressed-tensors: a·2/(2^b−1), all steps rounded to the weights' type where the scale has that type
//   ocp      e8m0: 2^(⌊log2 a⌋ − ⌊log2 Q⌋) (OCP MX v1.0 section 6.3)
//   round    e8m0: the power of two nearest to a/Q in ratio
// then rounded to the coding. A scale that would round to 0 is stored as the smallest positive value, one that would
// overflow as the largest; scales never make a restored value infinite. A run without a non-zero finite weight gets
// scale 1 (ct: the coding's epsilon, as that library does; elements without a level 0: scale 0, or the least of e8m0)
// and codes that restore to exactly 0. ue4m3: one float factor
// for the tensor, t = a_tensor/(448·Q), the run's scale is a/Q/t. Some programs store t, others G = 1/t and divide by
// it, so t is rounded up to the next float with s·t = s/fl(1/t) for every ue4m3 scale s: 6 steps on average, at most
// 3328 (0.04 % of t), by trying all.
#pragma once

#include "core/formats/element_coder.h"
#include "core/formats/quantized_tensor.h"

#include <limits>

namespace ql {

enum class RangeRule { standard, ct, ocp, round };

/// What is stored for one run.
struct RunParameters {
    float scale = 1;
    int zero = 0;
    float minimum = 0;
    friend bool operator==(const RunParameters&, const RunParameters&) = default;
};

class ScaleRule {
public:
    /// weights: their dtype, which ct computes in. tensorScale: of ue4m3, else 1.
    ScaleRule(const Scheme& scheme, RangeRule rule, Dtype weights, float tensorScale);

    RunParameters choose(const RunRange& range) const
    {
        if (m_isPlain) { // most schemes, most runs: what chooseShrunk(range, 1) does, without its cases
            const float scale = range.absMax / m_scheme.element->maxLevel / m_tensorScale;
            if (scale >= std::numeric_limits<float>::min() && scale < m_largestScale / 2)
                return {.scale = scale, .zero = 0, .minimum = 0};
        }
        return chooseShrunk(range, 1);
    }
    /// The same for a range times a factor in (0, 1.2]: about 0, or for minima about its middle.
    RunParameters chooseShrunk(const RunRange& range, float factor) const;
    /// The parameters with another stored scale; the zero point follows.
    RunParameters withScale(const RunRange& range, float scale) const;

    Affine affine(const RunParameters& parameters) const
    {
        return {parameters.scale * m_tensorScale, parameters.zero, parameters.minimum};
    }
    QuotientType quotient() const { return m_quotient; }
    RangeRule rule() const { return m_rule; }
    const Scheme& scheme() const { return m_scheme; }

private:
    int zeroFor(float low, float scale) const;
    float symmetricScale(float absMax) const;
    float storable(float scale) const;

    Scheme m_scheme;
    RangeRule m_rule;
    QuotientType m_quotient = QuotientType::f32;
    float m_tensorScale;
    float m_largestFactor; // of a scale in a restored value
    float m_largestScale;  // that keeps restored values finite
    bool m_isPlain;        // symmetric, scales in float, by range over largest level
};

/// The factor of a tensor with that largest magnitude; 1 unless scales are ue4m3.
float tensorScaleFor(const Scheme& scheme, float absMax);

} // namespace ql
