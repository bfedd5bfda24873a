// SPDX-License-Identifier: GPL-3.0-or-later
// What a quantized tensor holds beside its codes (additions.h), and how it is added to what they restore to. All values
// are exactly those of a float16.
#pragma once

#include "core/formats/quantized_tensor.h"

namespace ql {

struct TensorAdditions {
    std::vector<std::int32_t> columns;        // that are kept, ascending; empty slots are −1 and come last
    std::vector<float> columnValues;          // [rows, slots]; 0 in empty slots
    std::vector<std::uint32_t> rowStarts;     // of the sparse weights, [rows + 1]; empty where the scheme has none
    std::vector<std::uint32_t> sparseColumns; // ascending within a row
    std::vector<float> sparseValues;
    std::int64_t rank = 0;
    std::vector<float> left;  // A[rows, rank]
    std::vector<float> right; // B[rank, cols]

    std::int64_t sizeBytes() const;
};

/// Adds to elements [first, first + count) of the flattened W[rows, cols]: the value of a kept column, that of a sparse
/// weight, then A[row, k]·B[k, col] for k = 0, 1, …; each product and sum rounded once to float32.
void addTo(float* out, const TensorAdditions& additions, const MatrixShape& matrix, std::int64_t first,
           std::int64_t count);

} // namespace ql
