// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/kept_columns.h"

#include "core/formats/quantized_tensor.h"
#include "core/formats/weight_tile.h"
#include "core/jobs/parallel.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace ql {

namespace {

constexpr std::int64_t kRows = 1024; // of a chunk

/// Σw² of each column; what is not finite counts as 0.
Result<std::vector<double>> columnSquares(const TensorView& weights, const MatrixShape& matrix,
                                          const JobContext& context)
{
    return deterministicReduce(
        context, matrix.rows, kRows, std::vector<double>(static_cast<std::size_t>(matrix.cols)),
        [&](std::int64_t begin, std::int64_t end) {
            std::vector<double> sums(static_cast<std::size_t>(matrix.cols));
            WeightTile tile(weights);
            for (std::int64_t row = begin; row < end; ++row) {
                const float* w = tile.read(row * matrix.cols, matrix.cols);
                for (std::size_t j = 0; j < sums.size(); ++j)
                    if (std::isfinite(w[j]))
                        sums[j] += static_cast<double>(w[j]) * static_cast<double>(w[j]);
            }
            return sums;
        },
        [](std::vector<double>& into, const std::vector<double>& next) {
            for (std::size_t j = 0; j < into.size(); ++j)
                into[j] += next[j];
        });
}

/// The largest |x| that each column saw; empty if that is not known.
std::vector<double> largestInputs(const ActivationStatistics* inputs, std::int64_t cols)
{
    std::vector<double> largest;
    if (inputs && std::ssize(inputs->channelMin) == cols && std::ssize(inputs->channelMax) == cols)
        for (std::size_t j = 0; j < inputs->channelMin.size(); ++j)
            largest.push_back(std::max(std::fabs(inputs->channelMin[j]), std::fabs(inputs->channelMax[j])));
    return largest;
}

void clearColumns(ActivationStatistics& inputs, std::span<const std::int32_t> columns)
{
    const std::int64_t n = inputs.in;
    if (!inputs.gram.empty())
        for (const std::int64_t c : columns) {
            std::fill_n(inputs.gram.begin() + c * n, n, 0.0);
            for (std::int64_t row = 0; row < n; ++row)
                inputs.gram[static_cast<std::size_t>(row * n + c)] = 0;
        }
    for (ActivationStatistics& part : inputs.parts)
        clearColumns(part, columns);
}

} // namespace

Result<std::vector<std::int32_t>> keptColumns(const TensorView& weights, const Additions& additions,
                                              const ActivationStatistics* inputs, const JobContext& context)
{
    const MatrixShape matrix = matrixShape(weights.shape);
    const std::int64_t slots = additions.columnSlots(matrix.rows, matrix.cols);
    std::vector<std::int32_t> columns;
    if (slots == 0)
        return columns;
    std::vector<double> score = largestInputs(inputs, matrix.cols);
    if (score.empty()) {
        if (additions.columnsOver > 0)
            return refused(printAdditions(additions) +
                           " keeps columns by the range of their inputs, which is not known of this layer; give "
                           "captured X or calibrate, or leave :over out");
        QL_TRY(squares, columnSquares(weights, matrix, context));
        score = std::move(squares);
        if (inputs && inputs->channelRms.size() == score.size())
            for (std::size_t j = 0; j < score.size(); ++j)
                score[j] *= inputs->channelRms[j] * inputs->channelRms[j];
    }
    columns.resize(score.size());
    std::iota(columns.begin(), columns.end(), 0);
    std::ranges::stable_sort(columns, std::greater(),
                             [&](std::int32_t j) { return score[static_cast<std::size_t>(j)]; });
    columns.resize(static_cast<std::size_t>(slots));
    if (additions.columnsOver > 0)
        std::erase_if(columns,
                      [&](std::int32_t j) { return !(score[static_cast<std::size_t>(j)] >= additions.columnsOver); });
    std::ranges::sort(columns);
    return columns;
}

ActivationStatistics withoutColumns(const ActivationStatistics& inputs, std::span<const std::int32_t> columns)
{
    ActivationStatistics rest = inputs;
    clearColumns(rest, columns);
    return rest;
}

} // namespace ql
