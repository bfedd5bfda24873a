// SPDX-License-Identifier: GPL-3.0-or-later
// Products of row-major matrices of float or double over BLAS, called single-threaded on tiles that depend on the sizes
// only: parallel, stopped within 50 ms, equal bits for any thread count on one CPU.
#pragma once

#include "core/base/linear_algebra.h"

#include <cstdint>

namespace ql {

/// C[rows, cols] = alpha · A·B + beta · C, where A is [rows, depth] and B is [depth, cols]. A transposed operand is
/// stored the other way round (aTransposed: [depth, rows]). Strides are elements between the stored rows.
template<typename T>
struct MatrixProduct {
    std::int64_t rows = 0, cols = 0, depth = 0;
    const T* a = nullptr;
    std::int64_t aStride = 0;
    bool aTransposed = false;
    const T* b = nullptr;
    std::int64_t bStride = 0;
    bool bTransposed = false;
    T* c = nullptr;
    std::int64_t cStride = 0;
    T alpha = 1;
    T beta = 0;
};

/// On this thread, in one call: for small matrices inside a task.
void multiply(const MatrixProduct<float>& product);
void multiply(const MatrixProduct<double>& product);

/// The lower half of C[n, n] = XᵀX for X[rows, n], diagonal included; strides as above. On this thread, in one call.
void multiplyByItself(const float* x, std::int64_t rows, std::int64_t n, std::int64_t xStride, float* c,
                      std::int64_t cStride);

/// In tiles.
Result<void> multiply(const MatrixProduct<float>& product, const TileRunner& run);
Result<void> multiply(const MatrixProduct<double>& product, const TileRunner& run);

} // namespace ql
