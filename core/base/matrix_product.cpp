// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/matrix_product.h"

#include "core/base/checked.h"
#include "core/base/one_blas_thread.h"

#include <cblas.h>

#include <algorithm>

namespace ql {

namespace {

constexpr std::int64_t kTileDepth = 8192;

/// A tile takes at most 2^30 multiply-adds between two stop tests: 10–40 ms. Each packs its part of both operands, so
/// larger ones are faster where there are enough of them for many threads.
struct TileShape {
    std::int64_t rows, cols;
};
TileShape tileShape(std::int64_t rows, std::int64_t cols, std::int64_t depth)
{
    constexpr std::int64_t kTasks = 8;
    const std::int64_t width = depth <= 2048 ? 1024 : 512;
    const std::int64_t most = depth <= 4096 ? 512 : 256;
    return {ceilDiv(rows, most) * ceilDiv(cols, width) < kTasks ? 256 : most, width};
}

CBLAS_TRANSPOSE transposition(bool transposed)
{
    return transposed ? CblasTrans : CblasNoTrans;
}

/// One row times a matrix: gemm would pack the matrix first, which costs more than the product. The row begins as
/// zeros where nothing is added to it, as some versions of BLAS multiply NaN there by 0.
template<typename T>
void multiplyRow(const MatrixProduct<T>& p)
{
    if (p.beta == T{0})
        std::fill_n(p.c, p.cols, T{0});
    const auto call = [&](auto gemv) {
        gemv(CblasRowMajor, transposition(!p.bTransposed), static_cast<blasint>(p.bTransposed ? p.cols : p.depth),
             static_cast<blasint>(p.bTransposed ? p.depth : p.cols), p.alpha, p.b, static_cast<blasint>(p.bStride), p.a,
             static_cast<blasint>(p.aTransposed ? p.aStride : 1), p.beta == T{0} ? T{1} : p.beta, p.c, 1);
    };
    if constexpr (std::is_same_v<T, float>)
        call(cblas_sgemv);
    else
        call(cblas_dgemv);
}

template<typename T>
void multiplyTile(const MatrixProduct<T>& p)
{
    if (p.rows == 1)
        return multiplyRow(p);
    const auto call = [&](auto gemm) {
        gemm(CblasRowMajor, transposition(p.aTransposed), transposition(p.bTransposed), static_cast<blasint>(p.rows),
             static_cast<blasint>(p.cols), static_cast<blasint>(p.depth), p.alpha, p.a, static_cast<blasint>(p.aStride),
             p.b, static_cast<blasint>(p.bStride), p.beta, p.c, static_cast<blasint>(p.cStride));
    };
    if constexpr (std::is_same_v<T, float>)
        call(cblas_sgemm);
    else
        call(cblas_dgemm);
}

/// The part of [0, n) that belongs to tile i of `count` nearly equal ones.
struct Part {
    std::int64_t begin, size;
};
Part part(std::int64_t n, std::int64_t count, std::int64_t i)
{
    const std::int64_t begin = n * i / count;
    return {begin, n * (i + 1) / count - begin};
}

template<typename T>
Result<void> multiplyInTiles(const MatrixProduct<T>& p, const TileRunner& run)
{
    useOneBlasThread();
    const std::int64_t rounds = std::max<std::int64_t>(1, ceilDiv(p.depth, kTileDepth));
    const TileShape shape = tileShape(p.rows, p.cols, ceilDiv(p.depth, rounds));
    const std::int64_t rowTiles = ceilDiv(p.rows, shape.rows);
    const std::int64_t colTiles = ceilDiv(p.cols, shape.cols);
    for (std::int64_t round = 0; round < rounds; ++round) {
        const Part depth = part(p.depth, rounds, round);
        QL_CHECK(run(rowTiles * colTiles, [&](std::int64_t task) {
            // Tasks that follow each other share a panel of B, usually the larger operand.
            const Part rows = part(p.rows, rowTiles, task % rowTiles);
            const Part cols = part(p.cols, colTiles, task / rowTiles);
            MatrixProduct<T> tile = p;
            tile.rows = rows.size;
            tile.cols = cols.size;
            tile.depth = depth.size;
            tile.a += p.aTransposed ? depth.begin * p.aStride + rows.begin : rows.begin * p.aStride + depth.begin;
            tile.b += p.bTransposed ? cols.begin * p.bStride + depth.begin : depth.begin * p.bStride + cols.begin;
            tile.c += rows.begin * p.cStride + cols.begin;
            if (round > 0)
                tile.beta = 1;
            multiplyTile(tile);
        }));
    }
    return {};
}

} // namespace

void multiply(const MatrixProduct<float>& product)
{
    useOneBlasThread();
    multiplyTile(product);
}
void multiply(const MatrixProduct<double>& product)
{
    useOneBlasThread();
    multiplyTile(product);
}

void multiplyByItself(const float* x, std::int64_t rows, std::int64_t n, std::int64_t xStride, float* c,
                      std::int64_t cStride)
{
    useOneBlasThread();
    for (std::int64_t r = 0; r < n; ++r) // as for one row
        std::fill_n(c + r * cStride, r + 1, 0.0F);
    cblas_ssyrk(CblasRowMajor, CblasLower, CblasTrans, static_cast<blasint>(n), static_cast<blasint>(rows), 1.0F, x,
                static_cast<blasint>(xStride), 0.0F, c, static_cast<blasint>(cStride));
}
Result<void> multiply(const MatrixProduct<float>& product, const TileRunner& run)
{
    return multiplyInTiles(product, run);
}
Result<void> multiply(const MatrixProduct<double>& product, const TileRunner& run)
{
    return multiplyInTiles(product, run);
}

} // namespace ql
