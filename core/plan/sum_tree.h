// SPDX-License-Identifier: GPL-3.0-or-later
// A sum whose terms change one at a time: a binary tree of partial sums over the terms padded with zeros to a power of
// two. Changing one of n terms costs log₂ n additions and leaves the same bits as building the tree anew, so a total
// watched through a thousand changes equals the total computed afresh. Error at most log₂ n roundings.
#pragma once

#include <bit>
#include <cstddef>
#include <span>
#include <vector>

namespace ql {

class SumTree {
public:
    SumTree() = default;
    explicit SumTree(std::span<const double> terms)
        : m_leaves(std::bit_ceil(terms.size() + 1)), m_nodes(2 * m_leaves, 0)
    {
        for (std::size_t i = 0; i < terms.size(); ++i)
            m_nodes[m_leaves + i] = terms[i];
        for (std::size_t i = m_leaves - 1; i > 0; --i)
            m_nodes[i] = m_nodes[2 * i] + m_nodes[2 * i + 1];
    }

    void set(std::size_t term, double value)
    {
        std::size_t node = m_leaves + term;
        m_nodes[node] = value;
        for (node /= 2; node > 0; node /= 2)
            m_nodes[node] = m_nodes[2 * node] + m_nodes[2 * node + 1];
    }
    double at(std::size_t term) const { return m_nodes[m_leaves + term]; }
    double total() const { return m_nodes.empty() ? 0 : m_nodes[1]; }

private:
    std::size_t m_leaves = 0;
    std::vector<double> m_nodes;
};

} // namespace ql
