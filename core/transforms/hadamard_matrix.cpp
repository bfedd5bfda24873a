// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/transforms/hadamard_matrix.h"

#include <algorithm>
#include <cassert>

namespace ql {

namespace {

/// The factors of 12, 20 and 28, or nothing if the order is not of the form.
std::optional<std::vector<std::int64_t>> factorsOf(std::int64_t order)
{
    if (order < 1)
        return std::nullopt;
    std::vector<std::int64_t> factors;
    std::int64_t rest = order;
    for (const std::int64_t odd : {3, 5, 7})
        for (; rest % odd == 0; rest /= odd)
            factors.push_back(4 * odd);
    if ((rest & (rest - 1)) != 0)
        return std::nullopt;
    for (std::size_t i = 0; i < factors.size(); ++i, rest /= 4)
        if (rest < 4)
            return std::nullopt;
    return factors;
}

/// Legendre's symbol: 0, 1 for squares modulo the prime, −1 for others.
int character(std::int64_t a, std::int64_t prime)
{
    a = (a % prime + prime) % prime;
    for (std::int64_t x = 1; x < prime; ++x)
        if (x * x % prime == a)
            return 1;
    return a == 0 ? 0 : -1;
}

/// S[prime + 1]: a border of ones about the matrix of character(i − j), which is skew for primes of the form 4m + 3 and
/// symmetric for 4m + 1. S·Sᵀ = prime · I.
std::vector<double> conferenceMatrix(std::int64_t prime)
{
    const std::int64_t n = prime + 1;
    const double border = prime % 4 == 3 ? -1 : 1;
    std::vector<double> s(static_cast<std::size_t>(n * n), 0);
    for (std::int64_t i = 0; i < n; ++i)
        for (std::int64_t j = 0; j < n; ++j)
            if (i != j)
                s[static_cast<std::size_t>(i * n + j)] = i == 0 ? 1 : j == 0 ? border : character(i - j, prime);
    return s;
}

/// I + S for a skew S.
std::vector<double> paleyFirst(std::int64_t prime)
{
    const std::int64_t n = prime + 1;
    std::vector<double> h = conferenceMatrix(prime);
    for (std::int64_t i = 0; i < n; ++i)
        h[static_cast<std::size_t>(i * n + i)] += 1;
    return h;
}

/// S ⊗ [1 1; 1 −1] + I ⊗ [1 −1; −1 −1] for a symmetric S.
std::vector<double> paleySecond(std::int64_t prime)
{
    const std::int64_t half = prime + 1;
    const std::vector<double> s = conferenceMatrix(prime);
    std::vector<double> h(static_cast<std::size_t>(4 * half * half));
    for (std::int64_t i = 0; i < 2 * half; ++i)
        for (std::int64_t j = 0; j < 2 * half; ++j) {
            const bool isLow = i % 2 == 1 && j % 2 == 1;
            const bool isMixed = i % 2 != j % 2;
            const double product = isLow ? -1 : 1;
            const double onDiagonal = isLow || isMixed ? -1 : 1;
            h[static_cast<std::size_t>(i * 2 * half + j)] =
                s[static_cast<std::size_t>(i / 2 * half + j / 2)] * product + (i / 2 == j / 2 ? onDiagonal : 0);
        }
    return h;
}

/// Butterflies over the last dimension of x[rows, n], n a power of two.
void sylvester(double* x, std::int64_t rows, std::int64_t n)
{
    for (std::int64_t r = 0; r < rows; ++r, x += n)
        for (std::int64_t step = 1; step < n; step *= 2)
            for (std::int64_t i = 0; i < n; i += 2 * step)
                for (std::int64_t j = i; j < i + step; ++j) {
                    const double a = x[j];
                    const double b = x[j + step];
                    x[j] = a + b;
                    x[j + step] = a - b;
                }
}

} // namespace

bool HadamardMatrix::has(std::int64_t order)
{
    return factorsOf(order).has_value();
}

HadamardMatrix::HadamardMatrix(std::int64_t order) : m_order(order), m_factors(factorsOf(order).value()) {}

const std::vector<double>& HadamardMatrix::paley(std::int64_t order)
{
    static const std::vector<double> k12 = paleyFirst(11);
    static const std::vector<double> k20 = paleyFirst(19);
    static const std::vector<double> k28 = paleySecond(13);
    assert(order == 12 || order == 20 || order == 28);
    return order == 12 ? k12 : order == 20 ? k20 : k28;
}

void HadamardMatrix::multiply(double* x, double* scratch) const
{
    // x seen as [done, factor, rest]: each factor mixes its own dimension.
    std::int64_t rest = m_order;
    std::int64_t done = 1;
    for (const std::int64_t factor : m_factors) {
        rest /= factor;
        const std::vector<double>& h = paley(factor);
        std::copy_n(x, m_order, scratch);
        std::fill_n(x, m_order, 0.0);
        for (std::int64_t a = 0; a < done; ++a)
            for (std::int64_t i = 0; i < factor; ++i) {
                const double* from = scratch + (a * factor + i) * rest;
                for (std::int64_t j = 0; j < factor; ++j) {
                    double* to = x + (a * factor + j) * rest;
                    const double sign = h[static_cast<std::size_t>(i * factor + j)];
                    for (std::int64_t c = 0; c < rest; ++c)
                        to[c] += sign * from[c];
                }
            }
        done *= factor;
    }
    sylvester(x, done, rest);
}

} // namespace ql
