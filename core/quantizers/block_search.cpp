// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/block_search.h"

#include "core/calibration/activations.h"
#include "core/formats/block_format.h"
#include "core/formats/matrix_format.h"
#include "core/formats/unit_search.h"
#include "core/formats/weight_tile.h"
#include "core/jobs/parallel.h"
#include "core/quantizers/unit_quantizer.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

/// Tiles of one parallel chunk: at most about 20 ms for the slowest search.
constexpr std::int64_t kTilesInChunk = 64;
constexpr std::int64_t kGroup = 32;

std::vector<float> squaresOf(const ActivationStatistics& inputs)
{
    std::vector<float> squares(inputs.channelRms.size());
    std::transform(inputs.channelRms.begin(), inputs.channelRms.end(), squares.begin(),
                   [](double rms) { return static_cast<float>(rms * rms); });
    return squares;
}

/// Calls body(weights, importance, row, column, count) for pieces of rows of at most a tile, in parallel; the pieces
/// begin at multiples of a tile in their row.
template<typename Body>
Result<void> forTiles(const QuantizeTask& task, const ColumnImportance& importance, const JobContext& context,
                      const Body& body)
{
    const auto [rows, cols] = matrixShape(task.weights.shape);
    if (rows == 0 || cols == 0)
        return {};
    const std::int64_t perRow = (cols + kTileWeights - 1) / kTileWeights;
    const double bytes = info(task.weights.dtype).bitsPerElement() / 8;
    const auto progressUnits = [bytes](std::int64_t elements) {
        return static_cast<std::int64_t>(bytes * static_cast<double>(elements));
    };
    context.progress().addTotal(progressUnits(rows * cols));
    return parallelFor(context, rows * perRow, kTilesInChunk, [&](std::int64_t begin, std::int64_t end) {
        WeightTile tile(task.weights);
        std::int64_t done = 0;
        for (std::int64_t i = begin; i < end; ++i) {
            const std::int64_t row = i / perRow;
            const std::int64_t column = i % perRow * kTileWeights;
            const std::int64_t count = std::min<std::int64_t>(kTileWeights, cols - column);
            const float* matters = importance.ofRow(row, rows);
            body(tile.read(row * cols + column, count), matters ? matters + column : nullptr, row, column,
                 static_cast<int>(count));
            done += count;
        }
        context.progress().addDone(progressUnits(done));
    });
}

/// Codes of a tile of groups under a scheme of 32 weights with a scale, and a minimum where it has one.
class GroupSearch {
public:
    explicit GroupSearch(const Scheme& scheme)
        : m_hasMinimum(scheme.zeroPoint == ZeroPoint::minimum),
          m_levels(levelsOf(scheme)),
          m_starts(startsOf(scheme)),
          m_cuts(scheme.element->bits == 4 ? std::span<const float>(kCuts4) : kCuts5)
    {}

    void run(const float* weights, const float* importance, std::int64_t row, std::int64_t column, int count,
             QuantizedTensor& out) const
    {
        PreparedTile prepared;
        prepareTile(weights, importance, count, 8, NormOf::unit, prepared);
        UnitAffines found;
        if (m_hasMinimum)
            found = searchAffines(prepared, m_levels.high, m_cuts, false);
        else
            found.scale = searchScales(prepared, m_levels, m_starts);
        for (std::size_t u = 0; u < 8; ++u) {
            found.scale[u] = storableF16(found.scale[u], prepared.norm[u]);
            found.offset[u] = storableF16(found.offset[u], prepared.norm[u]);
        }
        alignas(64) std::array<float, kTileWeights> codes;
        nearestLevels(prepared.tile, m_levels, found.scale, &found.offset, codes.data());
        const std::int64_t cols = out.matrix().cols;
        for (std::int64_t at = 0; at < count; at += kGroup) {
            const auto u = static_cast<std::size_t>(at / kGroup);
            const auto group = static_cast<std::size_t>(row * out.scheme.groupsPerRow(cols) + (column + at) / kGroup);
            out.scales[group] = valueOf(found.scale[u], prepared.norm[u]);
            if (m_hasMinimum)
                out.minima[group] = valueOf(found.offset[u], prepared.norm[u]);
            std::int8_t* to = out.codes.as<std::int8_t>() + row * cols + column + at;
            for (std::size_t e = 0; e < static_cast<std::size_t>(std::min(kGroup, count - at)); ++e)
                to[e] = static_cast<std::int8_t>(codes[e * 8 + u]);
        }
    }

private:
    static float valueOf(float stored, double norm) { return static_cast<float>(static_cast<double>(stored) / norm); }
    static UnitLevels levelsOf(const Scheme& scheme)
    {
        const float half = static_cast<float>(1 << (scheme.element->bits - 1));
        return scheme.zeroPoint == ZeroPoint::minimum ? UnitLevels{0, 2 * half - 1, nullptr}
                                                      : UnitLevels{-half, half - 1, nullptr, half > 16};
    }
    /// The more levels, the less there is to gain from ends that few weights reach.
    static ScaleStarts startsOf(const Scheme& scheme)
    {
        const int bits = scheme.element->bits;
        return bits == 8   ? ScaleStarts{0.97F, 1.035F, 9, false, 1}
               : bits == 5 ? ScaleStarts{0.84F, 1.16F, 11, true, 2}
                           : ScaleStarts{0.82F, 1.26F, 13, true, 3};
    }
    static constexpr std::array kCuts4{-0.02F, 0.015F, 0.055F};
    static constexpr std::array kCuts5{-0.014F, 0.006F, 0.026F, 0.06F};

    bool m_hasMinimum;
    UnitLevels m_levels;
    ScaleStarts m_starts;
    std::span<const float> m_cuts;
};

} // namespace

const float* ColumnImportance::ofRow(std::int64_t row, std::int64_t rows) const
{
    if (ranges.empty())
        return nullptr;
    return ranges[static_cast<std::size_t>(row * std::ssize(ranges) / rows)].data();
}

ColumnImportance importanceOf(const ActivationStatistics* inputs, std::int64_t cols)
{
    ColumnImportance importance;
    if (!inputs || std::ssize(inputs->channelRms) != cols)
        return importance;
    const std::vector<float> all = squaresOf(*inputs);
    if (inputs->parts.empty())
        importance.ranges.push_back(all);
    for (const ActivationStatistics& part : inputs->parts)
        importance.ranges.push_back(std::ssize(part.channelRms) == cols ? squaresOf(part) : all);
    return importance;
}

Result<QuantizedTensor> searchBlocks(const QuantizeTask& task, const ColumnImportance& importance,
                                     const JobContext& context)
{
    QL_TRY(out, allocateQuantized(task, context));
    if (const MatrixFormat* matrix = findMatrixFormat(task.scheme)) {
        std::vector<std::vector<float>> ranges = importance.ranges;
        for (std::vector<float>& range : ranges)
            std::ranges::replace_if(
                range, [](float x) { return !(x > 0) || std::isinf(x); }, 0.0F);
        const MatrixFill from{.weights = task.weights, .importance = ranges, .rule = task.spec.option};
        if (out.codes.sizeBytes() > 0)
            QL_CHECK(matrix->fill(from, out.codes.data(), context));
        return out;
    }
    const BlockFormat& format = *findBlockFormat(task.scheme);
    const std::int64_t cols = out.matrix().cols;
    QL_CHECK(forTiles(
        task, importance, context,
        [&](const float* weights, const float* matters, std::int64_t row, std::int64_t column, int count) {
            const std::int64_t block = (row * cols + column) / format.elements;
            format.searchTile(weights, matters, count / format.elements, out.codes.data() + block * format.bytes);
        }));
    return out;
}

Result<QuantizedTensor> searchGroups(const QuantizeTask& task, const ColumnImportance& importance,
                                     const JobContext& context)
{
    QL_TRY(out, allocateQuantized(task, context));
    const GroupSearch search(task.scheme);
    QL_CHECK(forTiles(task, importance, context,
                      [&](const float* weights, const float* matters, std::int64_t row, std::int64_t column,
                          int count) { search.run(weights, matters, row, column, count, out); }));
    return out;
}

} // namespace ql
