// SPDX-License-Identifier: GPL-3.0-or-later
// The largest singular values of a matrix and their vectors: A[rows, cols] ≈ Σ_k u_k·σ_k·v_kᵀ, k < rank, the nearest
// matrix of that rank (Eckart and Young, 1936): ‖A − A_r‖² = Σ_{k ≥ r} σ_k².
// Up to 256 rows or columns by all eigenvectors of AAᵀ or AᵀA. Beyond by block Krylov spaces from random vectors, the
// same in every run (Musco and Musco, NeurIPS 2015, algorithm 2), restarted with what was found, until a block adds
// less than `enough` of ‖A‖² to ‖A_r‖², at most 24 times. Products in tiles over BLAS: can be stopped within 50 ms,
// equal bits for any thread count on one CPU.
#pragma once

#include "core/base/linear_algebra.h"

#include <vector>

namespace ql {

struct TruncatedSvd {
    std::int64_t rank = 0;      // what was asked for, no more than A has rows and columns
    std::vector<double> left;   // [rows, rank], orthonormal columns u_k
    std::vector<double> values; // σ_k, falling
    std::vector<double> right;  // [rank, cols], rows v_k, orthonormal where σ_k > 0
};

/// Of a row-major A without NaN and infinities; rank ≤ 128. Needs about 8·(256 + 3·rank)·(rows + cols) bytes.
Result<TruncatedSvd> truncatedSvd(const double* a, std::int64_t rows, std::int64_t cols, std::int64_t rank,
                                  const TileRunner& run, double enough = 1e-10);

} // namespace ql
