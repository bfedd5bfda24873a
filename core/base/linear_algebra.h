// SPDX-License-Identifier: GPL-3.0-or-later
// Dense linear algebra on row-major doubles over BLAS/LAPACK called single-threaded on tiles of at most 512, so that it
// is parallel, can be stopped within 50 ms and gives equal bits for any thread count on one CPU (across CPUs: within a
// few ulps of the magnitude). Nothing outside of core/base names BLAS.
#pragma once

#include "core/base/result.h"

#include <cstdint>
#include <functional>

namespace ql {

constexpr std::int64_t kTile = 512;

/// How tiles are run: calls task(i) for i in [0, n), in any order and on any thread; the parallel one is in core/jobs.
using TileRunner = std::function<Result<void>(std::int64_t n, const std::function<void(std::int64_t)>& task)>;

/// G += XᵀX for X[rows, n] (float, row stride n), G[n, n] full symmetric. Products are exact in double.
Result<void> accumulateGram(const float* x, std::int64_t rows, std::int64_t n, double* gram, const TileRunner& run);

/// tr(D·H·Dᵀ) for D[rows, n], symmetric H[n, n]: Σ_r d_r·H·d_rᵀ.
Result<double> quadraticTrace(const double* d, std::int64_t rows, std::int64_t n, const double* h,
                              const TileRunner& run);

/// In which the products of elements of L off the diagonal tiles are taken and summed, at most 256 of them: in float at
/// twice the speed, everything else staying in double. |A − L·Lᵀ| is then up to about 10⁻⁶·√(A_ii·A_jj) instead of
/// 10⁻¹⁴.
enum class FactorProducts { inDouble, inFloat };

/// In-place lower Cholesky factor L of a symmetric positive definite A[n, n] (A = L·Lᵀ; the strict upper part is
/// zeroed). An error of kind badInput names the first non-positive pivot.
Result<void> choleskyLower(double* a, std::int64_t n, const TileRunner& run,
                           FactorProducts products = FactorProducts::inDouble);

/// In-place inverse of a lower triangular L[n, n].
Result<void> invertLower(double* l, std::int64_t n, const TileRunner& run);

/// C = Lᵀ·L for lower triangular L[n, n]; with L the inverse of a Cholesky factor, C is the inverse of the matrix.
Result<void> lowerTransposeTimesLower(const double* l, std::int64_t n, double* c, const TileRunner& run);

} // namespace ql
