// SPDX-License-Identifier: GPL-3.0-or-later
// Hadamard matrices: entries ±1, H·Hᵀ = n·I, of the orders 2^k · 12^a · 20^b · 28^c, as Kronecker products of Paley's
// matrices of order 12 and 20 (of the first kind, over the integers modulo 11 and 19) and 28 (of the second kind,
// modulo 13) and Sylvester's of order 2^k. Products take O(n · Σ of the factors' orders) additions and n numbers of
// scratch space. Source: Paley 1933; the orders that rotations of language models need: Ashkboos et al. 2024 (QuaRot).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace ql {

class HadamardMatrix {
public:
    /// Of an order for which has() is true.
    explicit HadamardMatrix(std::int64_t order);
    static bool has(std::int64_t order);

    std::int64_t order() const { return m_order; }
    /// x ← x·H, a row of `order` numbers.
    void multiply(double* x, double* scratch) const;
    /// Paley's matrix of order 12, 20 or 28, row-major, +1 and −1.
    static const std::vector<double>& paley(std::int64_t order);

private:
    std::int64_t m_order;
    std::vector<std::int64_t> m_factors; // 12s, 20s and 28s; what is left is a power of two
};

} // namespace ql
