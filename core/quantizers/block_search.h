// SPDX-License-Identifier: GPL-3.0-or-later
// Fills whole tensors by the searches of block formats (core/formats/block_format.h), by the fills of layouts over the
// whole matrix (core/formats/matrix_format.h), and, for gguf:q4_0 … q8_0, of
// scales of groups under importance. Blocks do not depend on each other: equal bits for any thread count and CPU.
#pragma once

#include "core/quantizers/quantizer.h"

namespace ql {

/// Importance of the input columns for ranges of rows, [ranges][cols]; empty where nothing is known: all ones.
struct ColumnImportance {
    std::vector<std::vector<float>> ranges;
    /// Of a row of W[rows, cols]; null for all ones.
    const float* ofRow(std::int64_t row, std::int64_t rows) const;
};
/// Mean x² of each column. Ranges of rows that saw inputs of their own have theirs; those that saw none get the mean of
/// all.
ColumnImportance importanceOf(const ActivationStatistics* inputs, std::int64_t cols);

/// Of a packed scheme.
Result<QuantizedTensor> searchBlocks(const QuantizeTask& task, const ColumnImportance& importance,
                                     const JobContext& context);

/// Of gguf:q4_0, q4_1, q5_0, q5_1 and q8_0.
Result<QuantizedTensor> searchGroups(const QuantizeTask& task, const ColumnImportance& importance,
                                     const JobContext& context);

} // namespace ql
