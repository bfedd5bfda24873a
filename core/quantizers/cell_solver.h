// SPDX-License-Identifier: GPL-3.0-or-later
// The quadratic form of a cell of columns that are coded together: S, their square of H.
#pragma once

#include "core/quantizers/tile_grid.h"

#include <cmath>

namespace ql {

class CellSolver {
public:
    /// S[n, n], rows `stride` floats apart.
    CellSolver(const float* s, std::int64_t stride, std::int64_t n) : m_n(static_cast<std::size_t>(n))
    {
        m_s.resize(m_n * m_n);
        std::vector<double> diagonal(m_n);
        for (std::size_t i = 0; i < m_n; ++i) {
            for (std::size_t k = 0; k < m_n; ++k)
                m_s[i * m_n + k] =
                    static_cast<double>(s[static_cast<std::int64_t>(i) * stride + static_cast<std::int64_t>(k)]);
            diagonal[i] = m_s[i * m_n + i];
        }
        m_importance = cellWeights(diagonal);
        factor();
    }

    /// Of the elements (BlockFormat::codeCell): the diagonal of S.
    const std::vector<float>& importance() const { return m_importance; }

    /// S⁻¹·p; zeros where S is not positive definite. The result lives until the next call.
    const std::vector<double>& solve(const std::vector<double>& p)
    {
        m_solution.assign(m_n, 0.0);
        if (!m_isDefinite)
            return m_solution;
        for (std::size_t i = 0; i < m_n; ++i) {
            double sum = p[i];
            for (std::size_t k = 0; k < i; ++k)
                sum -= m_l[i * m_n + k] * m_solution[k];
            m_solution[i] = sum / m_l[i * m_n + i];
        }
        for (std::size_t i = m_n; i-- > 0;) {
            for (std::size_t k = i + 1; k < m_n; ++k)
                m_solution[i] -= m_l[k * m_n + i] * m_solution[k];
            m_solution[i] /= m_l[i * m_n + i];
        }
        return m_solution;
    }

    /// By how much tr(Δ·H·Δᵀ) falls when `move` is added to Δ where Δ·H is p: −(2·p·move + move·S·move).
    double fallOf(const std::vector<double>& move, const std::vector<double>& p) const
    {
        double fall = 0;
        for (std::size_t i = 0; i < m_n; ++i) {
            double curved = 2 * p[i];
            for (std::size_t k = 0; k < m_n; ++k)
                curved += m_s[i * m_n + k] * move[k];
            fall -= move[i] * curved;
        }
        return fall;
    }

private:
    void factor()
    {
        m_l = m_s;
        for (std::size_t i = 0; i < m_n && m_isDefinite; ++i)
            for (std::size_t k = 0; k <= i; ++k) {
                double sum = m_s[i * m_n + k];
                for (std::size_t j = 0; j < k; ++j)
                    sum -= m_l[i * m_n + j] * m_l[k * m_n + j];
                if (i == k)
                    m_isDefinite = m_isDefinite && sum > 0;
                m_l[i * m_n + k] = i == k ? std::sqrt(std::max(sum, 0.0)) : sum / m_l[k * m_n + k];
            }
    }

    std::size_t m_n;
    std::vector<double> m_s, m_l; // S = L·Lᵀ
    std::vector<float> m_importance;
    std::vector<double> m_solution;
    bool m_isDefinite = true;
};

} // namespace ql
