// SPDX-License-Identifier: GPL-3.0-or-later
// Codes, scales and zero points of one tensor under a scheme, and what they restore to.
#pragma once

#include "core/formats/scheme.h"
#include "core/jobs/job_context.h"

#include <memory>

namespace ql {

/// W as a matrix: rows = first dimension (1 for vectors and scalars), cols = the product of the others.
struct MatrixShape {
    std::int64_t rows = 0;
    std::int64_t cols = 0;
};
MatrixShape matrixShape(const Shape& shape);

struct TensorAdditions; // tensor_additions.h

struct QuantizedTensor {
    Scheme scheme;
    Shape shape;
    /// One byte a code for formats of ≤ 8 bits (integers: two's complement int8, with minima 0…2^b−1; otherwise the bit
    /// pattern), row-major in the logical shape; for casts the bit patterns, 2 or 4 bytes each; for packed schemes
    /// rows of whole blocks as in the file. Empty for keep.
    Buffer codes;
    /// Decoded scales (already rounded to their coding), [rows, groupsPerRow], [rows] or [1]; none for a tensor without
    /// elements. Positive, except gguf:q4_0 and q5_0 (either sign), gguf's own zeros for blocks of zeros, and those of
    /// zeros in formats without a level 0.
    std::vector<float> scales;
    /// Like scales: integer zero points (in the codes' signed range), or minima of gguf:q4_1 / q5_1; empty if the
    /// scheme has none.
    std::vector<std::int16_t> zeroPoints;
    std::vector<float> minima;
    float tensorScale = 1;                                      // ue4m3 scales only
    std::shared_ptr<const TensorAdditions> additions = nullptr; // as the scheme says; null if it has none

    MatrixShape matrix() const { return matrixShape(shape); }
    std::int64_t payloadBits() const { return ql::payloadBits(scheme, matrix().rows, matrix().cols); }

    /// Restores rows [firstRow, lastRow) to float32: the scale times tensorScale is rounded once, then its product with
    /// the level, then, for minima, the sum; packed schemes as core/formats/block_format.h says; then additions are
    /// added (tensor_additions.h). Not for keep.
    void restoreRows(std::int64_t firstRow, std::int64_t lastRow, float* out) const;
};

/// Whole tensor as float32 (4·numel bytes).
Result<Buffer> restore(const QuantizedTensor& tensor, const JobContext& context);
/// restore() rounded once more to f16, bf16 or f32, in that dtype's bytes.
Result<Buffer> restoreAs(const QuantizedTensor& tensor, Dtype dtype, const JobContext& context);

/// Differences between weights and what they restore to, sums in double, compensated in the order of chunks.
struct ErrorStats {
    double sumSquaredError = 0; // ‖W − Ŵ‖², the squared weight error
    double sumSquares = 0;      // ‖W‖²
    double maxAbsError = 0;
    std::int64_t count = 0;

    double mse() const { return count > 0 ? sumSquaredError / static_cast<double>(count) : 0; }
    /// 10·log10(Σw² / Σ(w−ŵ)²), dB, higher is better; +inf if exact.
    double sqnrDb() const;
    void merge(const ErrorStats& other);
};

/// Compares weights of any decodable dtype with their quantized form, chunk by chunk in bounded memory. Weights that
/// are NaN or infinite are left out, of the count too. keep has no error.
Result<ErrorStats> measureError(const TensorView& weights, const QuantizedTensor& quantized, const JobContext& context);

} // namespace ql
