// SPDX-License-Identifier: GPL-3.0-or-later
// A row-major lower triangle is a column-major upper one, so LAPACK is called on the transpose without any copy. Sums
// over many tiles are split into rounds: one task does at most kRound products, which keeps it under 50 ms.
#include "core/base/linear_algebra.h"

#include "core/base/checked.h"
#include "core/base/one_blas_thread.h"
#include "core/base/sum.h"

#include <cblas.h>
#include <lapack.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

namespace ql {

namespace {

constexpr std::int64_t kFactorTile = 256; // factorizations: enough tiles for several threads from n = 1024 on
constexpr std::int64_t kRound = 8;        // products of tiles between two stop tests

/// Cuts [0, n) into tiles.
struct Tiles {
    std::int64_t n;
    std::int64_t tile;
    std::int64_t count() const { return ceilDiv(n, tile); }
    std::int64_t begin(std::int64_t i) const { return i * tile; }
    std::int64_t size(std::int64_t i) const { return std::min(tile, n - i * tile); }
    int sizeInt(std::int64_t i) const { return static_cast<int>(size(i)); }
};

/// The i-th pair (row, column) with column ≤ row: 0 → (0,0), 1 → (1,0), 2 → (1,1), …
std::pair<std::int64_t, std::int64_t> lowerPair(std::int64_t i)
{
    auto row = static_cast<std::int64_t>((std::sqrt(8.0 * static_cast<double>(i) + 1) - 1) / 2);
    while (row * (row + 1) / 2 > i)
        --row;
    while ((row + 1) * (row + 2) / 2 <= i)
        ++row;
    return {row, i - row * (row + 1) / 2};
}
std::int64_t lowerPairs(std::int64_t n)
{
    return n * (n + 1) / 2;
}

using Scratch = std::unique_ptr<double[]>;
Scratch scratch(std::int64_t elements)
{
    return std::make_unique_for_overwrite<double[]>(static_cast<std::size_t>(elements));
}

/// Copies the lower triangle of A to the upper one.
Result<void> mirrorLower(double* a, std::int64_t n, const TileRunner& run)
{
    const Tiles tiles{n, kFactorTile};
    return run(lowerPairs(tiles.count()), [&](std::int64_t task) {
        const auto [i, j] = lowerPair(task);
        for (std::int64_t r = tiles.begin(i); r < tiles.begin(i) + tiles.size(i); ++r)
            for (std::int64_t c = tiles.begin(j); c < std::min(r, tiles.begin(j) + tiles.size(j)); ++c)
                a[c * n + r] = a[r * n + c];
    });
}

/// A tile of a triangular factor with zeros above the diagonal, whatever the memory there holds.
void copyLowerTile(const double* from, std::int64_t stride, std::int64_t size, double* to)
{
    for (std::int64_t r = 0; r < size; ++r) {
        std::copy_n(from + r * stride, r + 1, to + r * size);
        std::fill(to + r * size + r + 1, to + (r + 1) * size, 0.0);
    }
}

} // namespace

Result<void> accumulateGram(const float* x, std::int64_t rows, std::int64_t n, double* gram, const TileRunner& run)
{
    useOneBlasThread();
    const Tiles tiles{n, kTile};
    const int stride = checkedCast<int>(n);
    constexpr std::int64_t kRows = 1024; // per task: 512·512·1024 products
    for (std::int64_t first = 0; first < rows; first += kRows) {
        const std::int64_t end = std::min(rows, first + kRows);
        QL_CHECK(run(lowerPairs(tiles.count()), [&](std::int64_t task) {
            const auto [i, j] = lowerPair(task);
            const auto toDouble = [&](std::int64_t from, std::int64_t to, std::int64_t tile, double* out) {
                for (std::int64_t r = from; r < to; ++r)
                    for (std::int64_t c = 0; c < tiles.size(tile); ++c)
                        *out++ = static_cast<double>(x[r * n + tiles.begin(tile) + c]);
            };
            double* out = gram + tiles.begin(i) * n + tiles.begin(j);
            const Scratch left = scratch(kTile * tiles.size(i));
            const Scratch right = i == j ? Scratch() : scratch(kTile * tiles.size(j));
            for (std::int64_t from = first; from < end; from += kTile) {
                const std::int64_t to = std::min(end, from + kTile);
                const auto depth = static_cast<int>(to - from);
                toDouble(from, to, i, left.get());
                if (i == j) {
                    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, tiles.sizeInt(i), depth, 1.0, left.get(),
                                tiles.sizeInt(i), 1.0, out, stride);
                } else {
                    toDouble(from, to, j, right.get());
                    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, tiles.sizeInt(i), tiles.sizeInt(j), depth, 1.0,
                                left.get(), tiles.sizeInt(i), right.get(), tiles.sizeInt(j), 1.0, out, stride);
                }
            }
        }));
    }
    return mirrorLower(gram, n, run);
}

Result<double> quadraticTrace(const double* d, std::int64_t rows, std::int64_t n, const double* h,
                              const TileRunner& run)
{
    // Σ over pairs (k, j) of tiles of Σ (D_k·H_kj) ∘ D_j; pairs off the diagonal count twice as H is symmetric.
    useOneBlasThread();
    const Tiles tiles{n, kTile};
    const Tiles rowTiles{rows, kTile};
    const int stride = checkedCast<int>(n);
    const std::int64_t pairs = lowerPairs(tiles.count());
    std::vector<double> parts(static_cast<std::size_t>(pairs * rowTiles.count()), 0.0);
    QL_CHECK(run(std::ssize(parts), [&](std::int64_t task) {
        const std::int64_t r = task / pairs;
        const auto [j, k] = lowerPair(task % pairs);
        const Scratch product = scratch(rowTiles.size(r) * tiles.size(j));
        const double* rowsOfD = d + rowTiles.begin(r) * n;
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rowTiles.sizeInt(r), tiles.sizeInt(j), tiles.sizeInt(k),
                    1.0, rowsOfD + tiles.begin(k), stride, h + tiles.begin(k) * n + tiles.begin(j), stride, 0.0,
                    product.get(), tiles.sizeInt(j));
        CompensatedSum sum;
        for (std::int64_t row = 0; row < rowTiles.size(r); ++row) {
            double rowSum = 0;
            for (std::int64_t c = 0; c < tiles.size(j); ++c)
                rowSum +=
                    product[static_cast<std::size_t>(row * tiles.size(j) + c)] * rowsOfD[row * n + tiles.begin(j) + c];
            sum.add(rowSum);
        }
        parts[static_cast<std::size_t>(task)] = (j == k ? 1 : 2) * sum.value();
    }));
    CompensatedSum sum;
    for (const double part : parts)
        sum.add(part);
    return sum.value();
}

namespace {

/// Rows of L[n, n] below a diagonal tile, as float.
struct NarrowPanel {
    std::unique_ptr<float[]> values;
    float* row(std::int64_t i) const { return values.get() + i * kFactorTile; }
    void take(const double* from, std::int64_t stride, std::int64_t first, std::int64_t rows,
              std::int64_t columns) const
    {
        for (std::int64_t r = 0; r < rows; ++r)
            std::transform(from + r * stride, from + r * stride + columns, row(first + r),
                           [](double x) { return static_cast<float>(x); });
    }
};

/// C[rows, columns] −= A·Bᵀ, rows of A and B kFactorTile floats apart and `depth` long.
void subtractProduct(const float* a, int rows, const float* b, int columns, int depth, double* c, std::int64_t stride)
{
    constexpr int kStride = static_cast<int>(kFactorTile);
    thread_local std::vector<float> product(static_cast<std::size_t>(kFactorTile * kFactorTile));
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows, columns, depth, 1.0F, a, kStride, b, kStride, 0.0F,
                product.data(), kStride);
    for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t j = 0; j < columns; ++j)
            c[r * stride + j] -= static_cast<double>(product[static_cast<std::size_t>(r * kFactorTile + j)]);
}

} // namespace

Result<void> choleskyLower(double* a, std::int64_t n, const TileRunner& run, FactorProducts products)
{
    // Right-looking: factor the diagonal tile, solve the tiles below it, update what is right of them.
    useOneBlasThread();
    const Tiles tiles{n, kFactorTile};
    const int stride = checkedCast<int>(n);
    const auto at = [&](std::int64_t i, std::int64_t j) { return a + tiles.begin(i) * n + tiles.begin(j); };
    NarrowPanel panel;
    if (products == FactorProducts::inFloat)
        panel.values = std::make_unique_for_overwrite<float[]>(static_cast<std::size_t>(n * kFactorTile));
    for (std::int64_t k = 0; k < tiles.count(); ++k) {
        std::int64_t badPivot = 0;
        QL_CHECK(run(1, [&](std::int64_t) {
            const int size = tiles.sizeInt(k);
            int info = 0;
            LAPACK_dpotrf("U", &size, at(k, k), &stride, &info);
            badPivot = info;
            // A NaN passes LAPACK's test of the pivot.
            for (std::int64_t i = 0; badPivot == 0 && i < tiles.size(k); ++i)
                if (!(at(k, k)[i * n + i] > 0) || !std::isfinite(at(k, k)[i * n + i]))
                    badPivot = i + 1;
        }));
        if (badPivot != 0)
            return badInput("is not positive definite: pivot " + std::to_string(tiles.begin(k) + badPivot - 1) +
                            " of " + std::to_string(n) +
                            " is not positive. Give more activation rows, or add damping to the diagonal");
        const std::int64_t below = tiles.count() - k - 1;
        QL_CHECK(run(below, [&](std::int64_t task) {
            const std::int64_t i = k + 1 + task;
            cblas_dtrsm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, tiles.sizeInt(i),
                        tiles.sizeInt(k), 1.0, at(k, k), stride, at(i, k), stride);
            if (panel.values)
                panel.take(at(i, k), n, tiles.begin(i), tiles.size(i), tiles.size(k));
        }));
        QL_CHECK(run(lowerPairs(below), [&](std::int64_t task) {
            const auto [row, column] = lowerPair(task);
            const std::int64_t i = k + 1 + row;
            const std::int64_t j = k + 1 + column;
            if (i == j)
                cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, tiles.sizeInt(i), tiles.sizeInt(k), -1.0, at(i, k),
                            stride, 1.0, at(i, i), stride);
            else if (panel.values)
                subtractProduct(panel.row(tiles.begin(i)), tiles.sizeInt(i), panel.row(tiles.begin(j)),
                                tiles.sizeInt(j), tiles.sizeInt(k), at(i, j), n);
            else
                cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, tiles.sizeInt(i), tiles.sizeInt(j),
                            tiles.sizeInt(k), -1.0, at(i, k), stride, at(j, k), stride, 1.0, at(i, j), stride);
        }));
    }
    return run(tiles.count(), [&](std::int64_t i) {
        for (std::int64_t r = tiles.begin(i); r < tiles.begin(i) + tiles.size(i); ++r)
            std::fill(a + r * n + r + 1, a + (r + 1) * n, 0.0);
    });
}

Result<void> invertLower(double* l, std::int64_t n, const TileRunner& run)
{
    // Row of tiles i of the inverse: −L_ii⁻¹ · Σ_k L_ik · Inverse_k, with k < i.
    useOneBlasThread();
    const Tiles tiles{n, kFactorTile};
    const int stride = checkedCast<int>(n);
    const auto at = [&](std::int64_t i, std::int64_t j) { return l + tiles.begin(i) * n + tiles.begin(j); };
    for (std::int64_t i = 0; i < tiles.count(); ++i) {
        for (std::int64_t r = 0; r < tiles.size(i); ++r)
            if (at(i, i)[r * n + r] == 0)
                return badInput("is not invertible: element " + std::to_string(tiles.begin(i) + r) +
                                " of its diagonal is 0");
        const std::int64_t width = tiles.begin(i);
        const Scratch old = scratch(tiles.size(i) * width);
        for (std::int64_t r = 0; r < tiles.size(i); ++r) {
            double* row = l + (tiles.begin(i) + r) * n;
            std::copy_n(row, width, old.get() + r * width);
            std::fill_n(row, width, 0.0);
        }
        for (std::int64_t first = 0; first < i; first += kRound) {
            QL_CHECK(run(i, [&](std::int64_t j) {
                for (std::int64_t k = std::max(first, j); k < std::min(i, first + kRound); ++k) {
                    const Scratch triangle = k == j ? scratch(tiles.size(k) * tiles.size(k)) : Scratch();
                    if (k == j)
                        copyLowerTile(at(k, k), n, tiles.size(k), triangle.get());
                    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, tiles.sizeInt(i), tiles.sizeInt(j),
                                tiles.sizeInt(k), 1.0, old.get() + tiles.begin(k), static_cast<int>(width),
                                k == j ? triangle.get() : at(k, j), k == j ? tiles.sizeInt(k) : stride, 1.0, at(i, j),
                                stride);
                }
            }));
        }
        QL_CHECK(run(i, [&](std::int64_t j) {
            cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, tiles.sizeInt(i),
                        tiles.sizeInt(j), -1.0, at(i, i), stride, at(i, j), stride);
        }));
        QL_CHECK(run(1, [&](std::int64_t) {
            const int size = tiles.sizeInt(i);
            int info = 0; // a zero on the diagonal was refused above
            LAPACK_dtrtri("U", "N", &size, at(i, i), &stride, &info);
        }));
    }
    return {};
}

Result<void> lowerTransposeTimesLower(const double* l, std::int64_t n, double* c, const TileRunner& run)
{
    useOneBlasThread();
    const Tiles tiles{n, kFactorTile};
    const int stride = checkedCast<int>(n);
    const std::int64_t pairs = lowerPairs(tiles.count());
    for (std::int64_t first = 0; first < tiles.count(); first += kRound) {
        QL_CHECK(run(pairs, [&](std::int64_t task) {
            const auto [i, j] = lowerPair(task); // j ≤ i; the sum begins at k = i
            double* out = c + tiles.begin(i) * n + tiles.begin(j);
            if (first == 0)
                for (std::int64_t r = 0; r < tiles.size(i); ++r)
                    std::fill_n(out + r * n, tiles.size(j), 0.0);
            for (std::int64_t k = std::max(first, i); k < std::min(tiles.count(), first + kRound); ++k) {
                const auto tile = [&](std::int64_t column, Scratch& triangle) -> std::pair<const double*, int> {
                    const double* data = l + tiles.begin(k) * n + tiles.begin(column);
                    if (column != k)
                        return {data, stride};
                    triangle = scratch(tiles.size(k) * tiles.size(k));
                    copyLowerTile(data, n, tiles.size(k), triangle.get());
                    return {triangle.get(), tiles.sizeInt(k)};
                };
                Scratch left;
                Scratch right;
                const auto [a, aStride] = tile(i, left);
                const auto [b, bStride] = tile(j, right);
                cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, tiles.sizeInt(i), tiles.sizeInt(j),
                            tiles.sizeInt(k), 1.0, a, aStride, b, bStride, 1.0, out, stride);
            }
        }));
    }
    return mirrorLower(c, n, run);
}

} // namespace ql
