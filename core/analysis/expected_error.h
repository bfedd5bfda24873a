// SPDX-License-Identifier: GPL-3.0-or-later
// The squared error that a symmetric grid is expected to make on weights of a law, in closed form: over each cell
// ∫(x − g)²·p(x) dx = M₂ − 2g·M₁ + g²·M₀ with the partial moments M of the density p.
//   uniform on [−1, 1]       M₀ = (b − a)/2 …
//   standard normal          M₁ = φ(a) − φ(b), M₂ = aφ(a) − bφ(b) + M₀
//   Student t, ν > 2 whole   M₁ = [−ν/(ν − 1)·(1 + x²/ν)·p(x)], M₂ = ν·[(ν − 1)/(ν − 2)·F_{ν−2}(x·√(1 − 2/ν)) − F_ν(x)]
// Source: van Baalen et al., FP8 versus INT8, 2023, section 4 and appendix (expected error of a quantization grid).
#pragma once

#include "core/analysis/grid_cells.h"

namespace ql {

/// A density that is symmetric about 0.
class WeightLaw {
public:
    static WeightLaw uniform() { return WeightLaw(Kind::uniform, 0); }
    static WeightLaw normal() { return WeightLaw(Kind::normal, 0); }
    /// degrees ≥ 3.
    static WeightLaw student(int degrees) { return WeightLaw(Kind::student, degrees); }

    double variance() const;
    /// ∫xⁿ·p(x) dx from a to b, 0 ≤ a ≤ b ≤ ∞, n = 0, 1, 2.
    double partialMoment(int n, double a, double b) const;

private:
    enum class Kind { uniform, normal, student };
    WeightLaw(Kind kind, int degrees) : m_kind(kind), m_degrees(degrees) {}
    double primitive(int n, double x) const;
    Kind m_kind;
    int m_degrees;
};

/// E[(x − x̂)²] with the largest level at `clip`.
double expectedSquaredError(const WeightLaw& law, const GridCells& cells, double clip);
/// 10·log10(variance ÷ that), dB.
double expectedSqnrDb(const WeightLaw& law, const GridCells& cells, double clip);

/// The clip of the least expected error among 1000 from 0.001 to 1 times `most`, then by golden section around it.
double bestClip(const WeightLaw& law, const GridCells& cells, double most);

} // namespace ql
