// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/tensor_additions.h"

#include <algorithm>

namespace ql {

namespace {

/// Columns [begin, end) of a row, `out` being the first of them.
void addToRow(float* out, const TensorAdditions& additions, std::int64_t cols, std::int64_t row, std::int64_t begin,
              std::int64_t end)
{
    const auto slots = additions.columns.size();
    const float* kept = additions.columnValues.data() + static_cast<std::size_t>(row) * slots;
    for (std::size_t slot = 0; slot < slots; ++slot)
        if (const std::int64_t column = additions.columns[slot]; column >= begin && column < end)
            out[column - begin] += kept[slot];
    if (!additions.rowStarts.empty()) {
        const auto r = static_cast<std::size_t>(row);
        const auto* columns = additions.sparseColumns.data();
        const auto* stop = columns + additions.rowStarts[r + 1];
        const auto* at = std::lower_bound(columns + additions.rowStarts[r], stop, static_cast<std::uint32_t>(begin));
        for (; at != stop && *at < end; ++at)
            out[*at - begin] += additions.sparseValues[static_cast<std::size_t>(at - columns)];
    }
    const float* left = additions.left.data() + row * additions.rank;
    for (std::int64_t k = 0; k < additions.rank; ++k) {
        const float factor = left[k];
        const float* right = additions.right.data() + k * cols + begin;
        for (std::int64_t i = 0; i < end - begin; ++i)
            out[i] += factor * right[i];
    }
}

template<typename T>
std::int64_t bytesOf(const std::vector<T>& values)
{
    return std::ssize(values) * static_cast<std::int64_t>(sizeof(T));
}

} // namespace

std::int64_t TensorAdditions::sizeBytes() const
{
    return bytesOf(columns) + bytesOf(columnValues) + bytesOf(rowStarts) + bytesOf(sparseColumns) +
           bytesOf(sparseValues) + bytesOf(left) + bytesOf(right);
}

void addTo(float* out, const TensorAdditions& additions, const MatrixShape& matrix, std::int64_t first,
           std::int64_t count)
{
    if (matrix.cols == 0)
        return;
    for (std::int64_t at = first; at < first + count;) {
        const std::int64_t row = at / matrix.cols;
        const std::int64_t begin = at - row * matrix.cols;
        const std::int64_t end = std::min(matrix.cols, begin + first + count - at);
        addToRow(out + (at - first), additions, matrix.cols, row, begin, end);
        at += end - begin;
    }
}

} // namespace ql
