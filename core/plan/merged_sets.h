// SPDX-License-Identifier: GPL-3.0-or-later
// Sets of indices that are merged, each named by its smallest.
#pragma once

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <vector>

namespace ql {

class MergedSets {
public:
    explicit MergedSets(std::size_t n) : m_parent(n) { std::iota(m_parent.begin(), m_parent.end(), std::size_t{0}); }
    std::size_t find(std::size_t i)
    {
        while (m_parent[i] != i)
            i = m_parent[i] = m_parent[m_parent[i]];
        return i;
    }
    void merge(std::size_t a, std::size_t b)
    {
        const auto [first, second] = std::minmax({find(a), find(b)});
        m_parent[second] = first;
    }

private:
    std::vector<std::size_t> m_parent;
};

} // namespace ql
