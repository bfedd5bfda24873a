// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/leading_factors.h"

#include "core/base/matrix_product.h"
#include "core/base/rng.h"
#include "core/jobs/tiles.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ql {

namespace {

constexpr std::int64_t kMore = 8;
constexpr int kMostRounds = 24;
constexpr double kLeastGain = 1e-5;

/// A small symmetric matrix by cyclic Jacobi rotations: eigenvalues and, in columns, eigenvectors.
void symmetricEigen(std::vector<double>& m, std::size_t n, std::vector<double>& vectors)
{
    vectors.assign(n * n, 0);
    for (std::size_t i = 0; i < n; ++i)
        vectors[i * n + i] = 1;
    for (int sweep = 0; sweep < 40; ++sweep) {
        double off = 0;
        double diagonal = 0;
        for (std::size_t i = 0; i < n; ++i)
            for (std::size_t j = 0; j <= i; ++j)
                (i == j ? diagonal : off) += m[i * n + j] * m[i * n + j];
        if (off <= 1e-30 * diagonal)
            return;
        for (std::size_t p = 0; p < n; ++p)
            for (std::size_t q = p + 1; q < n; ++q) {
                if (m[p * n + q] == 0)
                    continue;
                const double theta = (m[q * n + q] - m[p * n + p]) / (2 * m[p * n + q]);
                const double t = std::copysign(1.0, theta) / (std::fabs(theta) + std::hypot(theta, 1.0));
                const double c = 1 / std::hypot(t, 1.0);
                const double s = t * c;
                for (std::size_t i = 0; i < n; ++i) {
                    const double x = m[i * n + p];
                    const double y = m[i * n + q];
                    m[i * n + p] = c * x - s * y;
                    m[i * n + q] = s * x + c * y;
                }
                for (std::size_t i = 0; i < n; ++i) {
                    const double x = m[p * n + i];
                    const double y = m[q * n + i];
                    m[p * n + i] = c * x - s * y;
                    m[q * n + i] = s * x + c * y;
                }
                for (std::size_t i = 0; i < n; ++i) {
                    const double x = vectors[i * n + p];
                    const double y = vectors[i * n + q];
                    vectors[i * n + p] = c * x - s * y;
                    vectors[i * n + q] = s * x + c * y;
                }
            }
    }
}

/// Columns as rows: [p, cols], made orthonormal by Gram and Schmidt, twice; what depends on others becomes 0.
Result<void> orthonormalize(std::vector<double>& basis, std::int64_t p, std::int64_t cols, const JobContext& context)
{
    const auto rowOf = [&](std::int64_t i) { return basis.data() + i * cols; };
    for (std::int64_t i = 0; i < p; ++i) {
        QL_CHECK(context.checkStop());
        double* row = rowOf(i);
        const double before = std::sqrt(std::inner_product(row, row + cols, row, 0.0));
        for (int pass = 0; pass < 2; ++pass)
            for (std::int64_t j = 0; j < i; ++j) {
                const double along = std::inner_product(row, row + cols, rowOf(j), 0.0);
                for (std::int64_t c = 0; c < cols; ++c)
                    row[c] -= along * rowOf(j)[c];
            }
        const double after = std::sqrt(std::inner_product(row, row + cols, row, 0.0));
        const double factor = after > 1e-6 * before && after > 0 ? 1 / after : 0; // products are float
        for (std::int64_t c = 0; c < cols; ++c)
            row[c] *= factor;
    }
    return {};
}

} // namespace

Result<LeadingFactors> leadingFactors(const float* a, std::int64_t rows, std::int64_t cols, std::int64_t k,
                                      const JobContext& context)
{
    const std::int64_t p = std::min({k + kMore, rows, cols});
    const std::int64_t kept = std::min(k, p);
    QL_CHECK(context.checkMemory((rows + cols) * (12 * p + 8 * k), "low-rank factors"));
    const TileRunner tiles = parallelTiles(context);
    std::vector<double> basis(static_cast<std::size_t>(p * cols)); // [p, cols]
    const CounterRng rng(1);
    for (std::size_t i = 0; i < basis.size(); ++i)
        basis[i] = i < static_cast<std::size_t>(cols) ? 1 : rng.normal(i); // magnitudes: the first direction is a mean
    QL_CHECK(orthonormalize(basis, p, cols, context));
    std::vector<float> right(basis.begin(), basis.end());
    std::vector<float> left(static_cast<std::size_t>(p * rows)); // [rows, p]
    std::vector<double> gram(static_cast<std::size_t>(p * p));
    double captured = 0;
    for (int round = 0;; ++round) {
        QL_CHECK(multiply(MatrixProduct<float>{.rows = rows,
                                               .cols = p,
                                               .depth = cols,
                                               .a = a,
                                               .aStride = cols,
                                               .b = right.data(),
                                               .bStride = cols,
                                               .bTransposed = true,
                                               .c = left.data(),
                                               .cStride = p},
                          tiles));
        std::fill(gram.begin(), gram.end(), 0.0);
        for (std::int64_t r = 0; r < rows; ++r) {
            const float* its = left.data() + r * p;
            for (std::int64_t i = 0; i < p; ++i)
                for (std::int64_t j = 0; j <= i; ++j)
                    gram[static_cast<std::size_t>(i * p + j)] +=
                        static_cast<double>(its[i]) * static_cast<double>(its[j]);
            if (r % 1024 == 0)
                QL_CHECK(context.checkStop());
        }
        double now = 0;
        for (std::int64_t i = 0; i < p; ++i)
            now += gram[static_cast<std::size_t>(i * p + i)];
        if (round >= kMostRounds || now <= captured * (1 + kLeastGain))
            break;
        captured = now;
        QL_CHECK(multiply(MatrixProduct<float>{.rows = p,
                                               .cols = cols,
                                               .depth = rows,
                                               .a = left.data(),
                                               .aStride = p,
                                               .aTransposed = true,
                                               .b = a,
                                               .bStride = cols,
                                               .c = right.data(),
                                               .cStride = cols},
                          tiles));
        basis.assign(right.begin(), right.end());
        QL_CHECK(orthonormalize(basis, p, cols, context));
        right.assign(basis.begin(), basis.end());
    }
    for (std::int64_t i = 0; i < p; ++i)
        for (std::int64_t j = 0; j < i; ++j)
            gram[static_cast<std::size_t>(j * p + i)] = gram[static_cast<std::size_t>(i * p + j)];
    std::vector<double> vectors;
    const auto size = static_cast<std::size_t>(p);
    symmetricEigen(gram, size, vectors);
    std::vector<std::size_t> order(size);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order,
                             [&](std::size_t x, std::size_t y) { return gram[x * size + x] > gram[y * size + y]; });

    LeadingFactors out{std::vector<double>(static_cast<std::size_t>(rows * k), 0.0),
                       std::vector<double>(static_cast<std::size_t>(k * cols), 0.0)};
    const double most = gram[order[0] * size + order[0]];
    for (std::int64_t f = 0; f < kept; ++f) {
        const std::size_t at = order[static_cast<std::size_t>(f)];
        const double square = gram[at * size + at]; // σ²
        if (!(square > 1e-14 * most))
            break;
        const double root = std::sqrt(std::sqrt(square)); // √σ
        for (std::int64_t r = 0; r < rows; ++r) {
            double sum = 0;
            for (std::size_t i = 0; i < size; ++i)
                sum += static_cast<double>(left[static_cast<std::size_t>(r * p) + i]) * vectors[i * size + at];
            out.left[static_cast<std::size_t>(r * k + f)] = sum / root;
        }
        QL_CHECK(context.checkStop());
        for (std::int64_t c = 0; c < cols; ++c) {
            double sum = 0;
            for (std::size_t i = 0; i < size; ++i)
                sum += static_cast<double>(right[i * static_cast<std::size_t>(cols) + static_cast<std::size_t>(c)]) *
                       vectors[i * size + at];
            out.right[static_cast<std::size_t>(f * cols + c)] = root * sum;
        }
        QL_CHECK(context.checkStop());
    }
    return out;
}

} // namespace ql
