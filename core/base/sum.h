// SPDX-License-Identifier: GPL-3.0-or-later
// Neumaier's compensated sum: the error of n terms is about one rounding of the result, not n.
#pragma once

#include <cmath>

namespace ql {

class CompensatedSum {
public:
    void add(double x)
    {
        const double sum = m_sum + x;
        if (std::isfinite(sum))
            m_lost += std::fabs(m_sum) >= std::fabs(x) ? (m_sum - sum) + x : (x - sum) + m_sum;
        m_sum = sum;
    }
    void merge(const CompensatedSum& other)
    {
        add(other.m_sum);
        m_lost += other.m_lost;
    }
    double value() const { return m_sum + m_lost; }

private:
    double m_sum = 0;
    double m_lost = 0;
};

} // namespace ql
