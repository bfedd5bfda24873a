// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/sparse_choice.h"

#include "core/base/checked.h"
#include "core/formats/block_format.h"
#include "core/formats/weight_tile.h"
#include "core/jobs/parallel.h"
#include "core/quantizers/block_search.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>

namespace ql {

namespace {

constexpr std::int64_t kMostShare = 8;      // times the mean number of a run that one run may take,
constexpr std::int64_t kMostBeside = 4;     // and so many more
constexpr std::int64_t kChunk = 65536;      // weights between two stop tests
constexpr std::int64_t kRunsOfAPass = 4096; // likewise where runs are only counted

float magnitude(float weight)
{
    return std::isfinite(weight) ? std::fabs(weight) : 0;
}

/// Takes `count` places by falling key, those of one key in the order they are told: what lies above `key`, and
/// `ofEqual` of what has that key.
struct Threshold {
    std::uint32_t key = 0;
    std::int64_t ofEqual = 0;
};
using Tell = std::function<void(std::uint32_t key, std::int64_t places)>;

/// `forAll` tells every key with its number of places, at least `count` in all, as often as it is called.
Result<Threshold> findThreshold(std::int64_t count, const std::function<Result<void>(const Tell&)>& forAll)
{
    constexpr std::uint32_t kLow = 0xffff;
    Threshold found{.key = 0, .ofEqual = count};
    for (const unsigned shift : {16U, 0U}) {
        std::vector<std::int64_t> places(kLow + 1);
        const std::uint32_t above = found.key >> 16U;
        QL_CHECK(forAll([&](std::uint32_t key, std::int64_t its) {
            if (shift == 16U || key >> 16U == above)
                places[(key >> shift) & kLow] += its;
        }));
        std::size_t at = places.size() - 1;
        for (; at > 0 && places[at] < found.ofEqual; --at)
            found.ofEqual -= places[at];
        found.key |= static_cast<std::uint32_t>(at) << shift;
    }
    return found;
}

/// Runs of a row that share a scale, or make a block.
struct Runs {
    std::int64_t cols = 0, width = 0, perRow = 0, count = 0;
    std::int64_t most = 0;            // that are tried to take of one
    std::vector<std::int64_t> levels; // k

    std::int64_t row(std::int64_t run) const { return run / perRow; }
    std::int64_t begin(std::int64_t run) const { return run % perRow * width; }
    std::int64_t size(std::int64_t run) const { return std::min(width, cols - begin(run)); }
    std::int64_t first(std::int64_t run) const { return row(run) * cols + begin(run); }
    std::int64_t grain() const { return std::max<std::int64_t>(1, kChunk / width); }
};

Runs runsOf(const Scheme& scheme, const MatrixShape& matrix, std::int64_t count)
{
    Runs runs;
    runs.cols = matrix.cols;
    const BlockFormat* block = findBlockFormat(scheme);
    runs.width = block                                      ? block->elements
                 : scheme.granularity == Granularity::group ? std::min(scheme.groupSize, matrix.cols)
                                                            : matrix.cols;
    runs.perRow = ceilDiv(matrix.cols, runs.width);
    runs.count = matrix.rows * runs.perRow;
    const double share = static_cast<double>(count) / static_cast<double>(matrix.rows * matrix.cols);
    const auto mean = static_cast<std::int64_t>(std::ceil(share * static_cast<double>(runs.width)));
    runs.most = std::min(runs.width, kMostShare * mean + kMostBeside);
    for (std::int64_t k = 0; k < runs.most; k = std::max(k + 1, k * 3 / 2))
        runs.levels.push_back(k);
    runs.levels.push_back(runs.most);
    return runs;
}

class Choice {
public:
    Choice(const QuantizeTask& task, std::int64_t count, const JobContext& context)
        : m_task(task),
          m_matrix(matrixShape(task.weights.shape)),
          m_count(count),
          m_runs(runsOf(task.scheme, m_matrix, count)),
          m_importance(importanceOf(task.inputs, m_matrix.cols)),
          m_context(context)
    {}

    Result<SparsePositions> find()
    {
        const std::int64_t n = m_matrix.rows * m_matrix.cols;
        QL_CHECK(m_context.checkMemory(4 * n + m_runs.count * (4 * m_runs.most + 8 * std::ssize(m_runs.levels)),
                                       "the search for sparse weights"));
        m_rest = Buffer(4 * n);
        m_largest.resize(static_cast<std::size_t>(m_runs.count * m_runs.most));
        m_errors.resize(static_cast<std::size_t>(m_runs.count) * m_runs.levels.size());
        QL_CHECK(sortRuns());
        for (std::size_t level = 0; level < m_runs.levels.size(); ++level)
            QL_CHECK(tryLevel(level));
        return share();
    }

private:
    using Body = std::function<void(std::int64_t run)>;
    Result<void> forRuns(const Body& body) const
    {
        return parallelFor(m_context, m_runs.count, m_runs.grain(), [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t run = begin; run < end; ++run)
                body(run);
        });
    }

    std::uint32_t* largestOf(std::int64_t run) { return m_largest.data() + run * m_runs.most; }
    std::int64_t taken(std::int64_t run, std::size_t level) const
    {
        return std::min(m_runs.levels[level], m_runs.size(run));
    }
    double error(std::int64_t run, std::size_t level) const
    {
        return m_errors[static_cast<std::size_t>(run) * m_runs.levels.size() + level];
    }

    /// Copies the weights and finds the largest of every run.
    Result<void> sortRuns()
    {
        return parallelFor(m_context, m_runs.count, m_runs.grain(), [&](std::int64_t begin, std::int64_t end) {
            WeightTile tile(m_task.weights);
            std::vector<std::uint32_t> order;
            for (std::int64_t run = begin; run < end; ++run) {
                const std::int64_t size = m_runs.size(run);
                float* rest = m_rest.as<float>() + m_runs.first(run);
                std::copy_n(tile.read(m_runs.first(run), size), size, rest);
                order.resize(static_cast<std::size_t>(size));
                for (std::size_t i = 0; i < order.size(); ++i)
                    order[i] = static_cast<std::uint32_t>(i);
                const auto most = order.begin() + std::min(size, m_runs.most);
                std::ranges::partial_sort(order, most, [&](std::uint32_t a, std::uint32_t b) {
                    const float x = magnitude(rest[a]);
                    const float y = magnitude(rest[b]);
                    return x != y ? x > y : a < b;
                });
                std::copy(order.begin(), most, largestOf(run));
            }
        });
    }

    /// The errors of all runs, each without its largest weights.
    Result<void> tryLevel(std::size_t level)
    {
        const std::size_t before = level > 0 ? level - 1 : 0;
        QL_CHECK(forRuns([&](std::int64_t run) {
            float* rest = m_rest.as<float>() + m_runs.first(run);
            for (std::int64_t i = taken(run, before); i < taken(run, level); ++i)
                rest[largestOf(run)[i]] = 0;
        }));
        const QuantizeTask task{.weights = {.dtype = Dtype::f32, .shape = m_task.weights.shape, .data = m_rest.data()},
                                .scheme = m_task.scheme,
                                .spec = {}};
        QL_TRY(quantized, quantize(task, m_context));
        return parallelFor(m_context, m_matrix.rows, std::max<std::int64_t>(1, kChunk / m_matrix.cols),
                           [&](std::int64_t begin, std::int64_t end) {
                               std::vector<float> restored(static_cast<std::size_t>(m_matrix.cols));
                               for (std::int64_t row = begin; row < end; ++row) {
                                   quantized.restoreRows(row, row + 1, restored.data());
                                   for (std::int64_t run = row * m_runs.perRow; run < (row + 1) * m_runs.perRow; ++run)
                                       m_errors[static_cast<std::size_t>(run) * m_runs.levels.size() + level] =
                                           errorOf(run, restored.data() + m_runs.begin(run), taken(run, level));
                               }
                           });
    }

    /// What was taken out has no error, whatever the codes say there.
    double errorOf(std::int64_t run, const float* restored, std::int64_t taken)
    {
        const float* rest = m_rest.as<float>() + m_runs.first(run);
        const float* importance = m_importance.ofRow(m_runs.row(run), m_matrix.rows);
        const auto term = [&](std::int64_t i) {
            const double off =
                std::isfinite(rest[i]) ? static_cast<double>(rest[i]) - static_cast<double>(restored[i]) : 0;
            return off * off * (importance ? static_cast<double>(importance[m_runs.begin(run) + i]) : 1);
        };
        double sum = 0;
        for (std::int64_t i = 0; i < m_runs.size(run); ++i)
            sum += term(i);
        for (std::int64_t i = 0; i < taken; ++i)
            sum -= term(largestOf(run)[i]);
        return sum;
    }

    /// The pieces of the upper hull of a run's gains, keys falling.
    void tellHull(std::int64_t run, const Tell& tell) const
    {
        auto key = std::numeric_limits<std::uint32_t>::max();
        for (std::size_t at = 0; at + 1 < m_runs.levels.size();) {
            std::size_t next = at;
            double steepest = 0;
            for (std::size_t to = at + 1; to < m_runs.levels.size(); ++to) {
                const std::int64_t places = taken(run, to) - taken(run, at);
                if (places == 0)
                    continue;
                const double slope = (error(run, at) - error(run, to)) / static_cast<double>(places);
                if (next == at || slope > steepest) {
                    next = to;
                    steepest = slope;
                }
            }
            if (next == at)
                return; // the run is shorter
            key = std::min(key, std::bit_cast<std::uint32_t>(static_cast<float>(std::max(0.0, steepest))));
            tell(key, taken(run, next) - taken(run, at));
            at = next;
        }
    }

    Result<SparsePositions> share()
    {
        const auto forAll = [&](const Tell& tell) -> Result<void> {
            for (std::int64_t run = 0; run < m_runs.count; ++run) {
                if (run % kRunsOfAPass == 0)
                    QL_CHECK(m_context.checkStop());
                tellHull(run, tell);
            }
            return {};
        };
        QL_TRY(threshold, findThreshold(m_count, forAll));
        SparsePositions positions;
        positions.rowStarts.push_back(0);
        positions.columns.reserve(static_cast<std::size_t>(m_count));
        for (std::int64_t run = 0; run < m_runs.count; ++run) {
            if (run % kRunsOfAPass == 0)
                QL_CHECK(m_context.checkStop());
            std::int64_t its = 0;
            tellHull(run, [&](std::uint32_t key, std::int64_t places) {
                const std::int64_t part = key > threshold.key    ? places
                                          : key == threshold.key ? std::min(places, threshold.ofEqual)
                                                                 : 0;
                threshold.ofEqual -= key == threshold.key ? part : 0;
                its += part;
            });
            std::uint32_t* largest = largestOf(run);
            std::sort(largest, largest + its);
            for (std::int64_t i = 0; i < its; ++i)
                positions.columns.push_back(static_cast<std::uint32_t>(m_runs.begin(run)) + largest[i]);
            if ((run + 1) % m_runs.perRow == 0)
                positions.rowStarts.push_back(static_cast<std::uint32_t>(positions.columns.size()));
        }
        return positions;
    }

    const QuantizeTask& m_task;
    const MatrixShape m_matrix;
    const std::int64_t m_count;
    const Runs m_runs;
    const ColumnImportance m_importance;
    const JobContext& m_context;
    Buffer m_rest;                        // the weights without those that are taken out
    std::vector<std::uint32_t> m_largest; // places within a run, [runs, most]
    std::vector<double> m_errors;         // [runs, levels]
};

/// The largest |w| of all.
Result<SparsePositions> largestOfAll(const QuantizeTask& task, std::int64_t count, const JobContext& context)
{
    const MatrixShape matrix = matrixShape(task.weights.shape);
    WeightTile tile(task.weights);
    const auto forRow = [&](std::int64_t row, const auto& body) {
        for (std::int64_t at = 0; at < matrix.cols; at += kChunk) {
            const std::int64_t n = std::min(kChunk, matrix.cols - at);
            const float* w = tile.read(row * matrix.cols + at, n);
            for (std::int64_t i = 0; i < n; ++i)
                body(std::bit_cast<std::uint32_t>(magnitude(w[i])), at + i);
        }
    };
    const auto forAll = [&](const Tell& tell) -> Result<void> {
        for (std::int64_t row = 0; row < matrix.rows; ++row) {
            QL_CHECK(context.checkStop());
            forRow(row, [&](std::uint32_t key, std::int64_t) { tell(key, 1); });
        }
        return {};
    };
    QL_TRY(threshold, findThreshold(count, forAll));
    SparsePositions positions;
    positions.rowStarts.push_back(0);
    for (std::int64_t row = 0; row < matrix.rows; ++row) {
        QL_CHECK(context.checkStop());
        forRow(row, [&](std::uint32_t key, std::int64_t column) {
            if (key < threshold.key || (key == threshold.key && threshold.ofEqual == 0))
                return;
            threshold.ofEqual -= key == threshold.key ? 1 : 0;
            positions.columns.push_back(static_cast<std::uint32_t>(column));
        });
        positions.rowStarts.push_back(static_cast<std::uint32_t>(positions.columns.size()));
    }
    return positions;
}

} // namespace

Result<SparsePositions> chooseSparse(const QuantizeTask& task, std::int64_t count, const JobContext& context)
{
    constexpr std::int64_t kMost = std::numeric_limits<std::uint32_t>::max();
    if (count > kMost)
        return refused("keeps " + std::to_string(count) +
                       " sparse weights, more than their 32-bit counts hold; take a "
                       "smaller share");
    if (task.scheme.granularity == Granularity::tensor && !task.scheme.isPacked())
        return largestOfAll(task, count, context);
    return Choice(task, count, context).find();
}

} // namespace ql
