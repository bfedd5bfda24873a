// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/feedback_sweep.h"

#include "core/base/matrix_product.h"
#include "core/formats/weight_tile.h"
#include "core/jobs/parallel.h"
#include "core/quantizers/feedback_kernels.h"
#include "core/quantizers/scale_candidates.h"
#include "core/quantizers/tile_grid.h"
#include "core/quantizers/weighted_scales.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>

namespace ql {

namespace {

constexpr std::int64_t kBlock = 128; // columns that one product brings up to date
constexpr std::int64_t kPart = 16;   // columns between two updates of the rest of a block

/// Columns [begin, end) in the order of processing that share their scales.
struct Span {
    std::int64_t begin, end, group;
};

struct Sweep {
    const QuantizeTask& task;
    const ErrorFeedback& feedback;
    const SweepSettings& settings;
    const std::optional<ElementCoder> coder; // none where blocks code cells
    const ScaleRule* rule;                   // null for packed schemes
    const Candidates candidates;
    const std::vector<float> importance; // D in the order of processing
    std::vector<Span> spans;             // of one group each; empty where scales are chosen before the sweep
    QuantizedTensor& out;

    std::int64_t cols() const { return out.matrix().cols; }
};

/// Rows [first, first + count) under way. Columns follow each other in the order of processing, `rows` floats each.
class Tile {
public:
    Tile(const Sweep& sweep, std::int64_t first, std::int64_t count)
        : m_sweep(sweep),
          m_grid(sweep.out, first, count),
          m_first(first),
          m_count(count),
          m_rows(m_grid.rows()),
          m_cols(sweep.cols()),
          m_deltas(size(m_cols)),
          m_restored(size(cellWidth(sweep.task.scheme))),
          m_codes(m_grid.codesCells() ? 0 : size(m_cols))
    {
        if (sweep.rule)
            m_scales.emplace(*sweep.coder, *sweep.rule, sweep.candidates);
    }

    Result<SweepResult> run(const JobContext& context)
    {
        load();
        m_values = m_deltas;
        subtractRtn();
        std::vector<float> rtn = std::move(m_deltas);
        m_deltas = m_values;
        if (m_sweep.spans.empty()) {
            if (m_grid.ownsScales())
                QL_CHECK(chooseBefore(context));
            for (std::int64_t begin = 0; begin < m_cols; begin += kBlock) {
                QL_CHECK(context.checkStop());
                const std::int64_t end = std::min(m_cols, begin + kBlock);
                propagate(0, begin, begin, end);
                codeBlock(begin, end);
            }
        } else {
            QL_CHECK(runSpans(context));
        }
        store();
        SweepResult result;
        result.reached = m_objective - m_sweep.feedback.damping * sumOfSquares(m_deltas.data(), std::ssize(m_deltas));
        m_deltas = std::move(rtn);
        constexpr double kClearly = 2;
        const double enough = m_sweep.task.report ? std::numeric_limits<double>::infinity() : kClearly * result.reached;
        QL_TRY(objective, objectiveOfDeltas(enough, context));
        result.rtn = objective;
        return result;
    }

private:
    std::size_t size(std::int64_t columns) const { return static_cast<std::size_t>(columns * m_rows); }
    float* column(std::vector<float>& of, std::int64_t j) const { return of.data() + j * m_rows; }
    const float* factor(std::int64_t k, std::int64_t j) const
    {
        return m_sweep.feedback.factor.as<float>() + k * m_cols + j;
    }
    std::int64_t original(std::int64_t j) const { return m_sweep.feedback.order[static_cast<std::size_t>(j)]; }
    /// Has `fill` write rows as they are stored, a few at a time, and joins each value to its place among the deltas.
    template<typename Fill, typename Join>
    void turnRows(const Fill& fill, const Join& join)
    {
        std::vector<float> held(static_cast<std::size_t>(kTurnedRows * m_cols));
        for (std::int64_t r = 0; r < m_count; r += kTurnedRows) {
            const std::int64_t count = std::min(kTurnedRows, m_count - r);
            fill(r, count, held.data());
            for (std::int64_t j = 0; j < m_cols; ++j) {
                float* to = column(m_deltas, j) + r;
                const float* from = held.data() + original(j);
                for (std::int64_t k = 0; k < count; ++k)
                    join(to[k], from[k * m_cols]);
            }
        }
    }

    /// The weights, turned. What is not finite counts as 0 and is coded by itself at the end.
    void load()
    {
        WeightTile tile(m_sweep.task.weights);
        turnRows(
            [&](std::int64_t row, std::int64_t count, float* out) {
                const float* from = tile.read((m_first + row) * m_cols, count * m_cols);
                std::copy_n(from, count * m_cols, out);
                if (rangeOfRun(out, count * m_cols).allFinite)
                    return;
                for (std::int64_t at = 0; at < count * m_cols; ++at)
                    if (!std::isfinite(out[at])) {
                        m_odd.push_back({row + at / m_cols, at % m_cols, out[at]});
                        out[at] = 0;
                    }
            },
            [](float& to, float weight) { to = weight; });
    }

    /// Takes what rtn's codes restore to from the deltas.
    void subtractRtn()
    {
        turnRows(
            [&](std::int64_t row, std::int64_t count, float* out) {
                m_sweep.out.restoreRows(m_first + row, m_first + row + count, out);
                for (const Odd& odd : m_odd)
                    if (odd.row >= row && odd.row < row + count)
                        out[(odd.row - row) * m_cols + odd.column] = 0;
            },
            [](float& to, float restored) { to -= restored; });
    }

    /// Σ_j D_j·Σ_r (Δ·(I + F))_rj² − λ‖Δ‖², or its first terms if they are `enough`; the first are the cheapest.
    Result<double> objectiveOfDeltas(double enough, const JobContext& context)
    {
        const double damped = m_sweep.feedback.damping * sumOfSquares(m_deltas.data(), std::ssize(m_deltas));
        double objective = 0;
        m_values = m_deltas;
        for (std::int64_t begin = 0; begin < m_cols && !(objective - damped > enough); begin += kBlock) {
            QL_CHECK(context.checkStop());
            const std::int64_t end = std::min(m_cols, begin + kBlock);
            propagate(0, end, begin, end); // within the block, too: below its diagonal F is 0
            for (std::int64_t j = begin; j < end; ++j)
                objective +=
                    m_sweep.feedback.cost[static_cast<std::size_t>(j)] * sumOfSquares(column(m_values, j), m_rows);
        }
        return objective - damped;
    }

    /// values[begin, end) += Fᵀ·deltas of the columns [from, to).
    void propagate(std::int64_t from, std::int64_t to, std::int64_t begin, std::int64_t end)
    {
        if (from == to || begin == end)
            return;
        multiply(MatrixProduct<float>{.rows = end - begin,
                                      .cols = m_rows,
                                      .depth = to - from,
                                      .a = factor(from, begin),
                                      .aStride = m_cols,
                                      .aTransposed = true,
                                      .b = column(m_deltas, from),
                                      .bStride = m_rows,
                                      .c = column(m_values, begin),
                                      .cStride = m_rows,
                                      .alpha = 1,
                                      .beta = 1});
    }

    /// Scales of a group whose columns are at these places, from the values there.
    Result<void> chooseScales(std::int64_t group, std::vector<std::int64_t> places, const JobContext& context)
    {
        std::ranges::sort(places, {}, [this](std::int64_t j) { return original(j); }); // as blocks hold them
        m_weight.resize(places.size());
        for (std::size_t i = 0; i < places.size(); ++i)
            m_weight[i] = m_sweep.settings.scales == ScaleChoice::weighted
                              ? m_sweep.importance[static_cast<std::size_t>(places[i])]
                              : 1.0F;
        m_run.resize(static_cast<std::size_t>(kTurnedRows) * places.size());
        for (std::int64_t r = 0; r < m_count; ++r) {
            if (r % kTurnedRows == 0) {
                QL_CHECK(context.checkStop());
                for (std::size_t i = 0; i < places.size(); ++i) {
                    const float* values = column(m_values, places[i]) + r;
                    for (std::size_t k = 0; k < kTurnedRows && r + static_cast<std::int64_t>(k) < m_count; ++k)
                        m_run[k * places.size() + i] = values[k];
                }
            }
            const float* run = m_run.data() + static_cast<std::size_t>(r % kTurnedRows) * places.size();
            if (m_grid.isPacked()) {
                m_grid.searchBlock(r, group, run, m_weight.data());
                continue;
            }
            const auto n = std::ssize(places);
            const RunParameters chosen = m_sweep.settings.scales == ScaleChoice::range
                                             ? m_sweep.rule->choose(rangeOfRun(run, n))
                                             : m_scales->best(run, m_weight.data(), n);
            m_grid.setScale(r, group, chosen.scale);
            if (m_sweep.task.scheme.zeroPoint == ZeroPoint::integer)
                m_grid.setZero(r, group, chosen.zero);
            if (m_sweep.task.scheme.zeroPoint == ZeroPoint::minimum)
                m_grid.setMinimum(r, group, chosen.minimum);
        }
        return {};
    }

    Result<void> chooseBefore(const JobContext& context)
    {
        std::vector<std::vector<std::int64_t>> places(static_cast<std::size_t>(m_grid.groups()));
        for (std::int64_t j = 0; j < m_cols; ++j)
            places[static_cast<std::size_t>(m_grid.groupOf(original(j)))].push_back(j);
        for (std::int64_t group = 0; group < m_grid.groups(); ++group)
            QL_CHECK(chooseScales(group, places[static_cast<std::size_t>(group)], context));
        return {};
    }

    /// Blocks of whole spans, so that a span's values are up to date when its scales are chosen.
    Result<void> runSpans(const JobContext& context)
    {
        const auto& spans = m_sweep.spans;
        for (std::size_t next = 0; next < spans.size();) {
            const std::int64_t begin = spans[next].begin;
            std::size_t last = next + 1;
            while (last < spans.size() && spans[last].end - begin <= kBlock)
                ++last;
            const std::int64_t end = spans[last - 1].end;
            propagate(0, begin, begin, end);
            for (; next < last; ++next) {
                const Span& span = spans[next];
                std::vector<std::int64_t> places;
                for (std::int64_t j = span.begin; j < span.end; ++j)
                    places.push_back(j);
                QL_CHECK(chooseScales(span.group, places, context));
                for (std::int64_t from = span.begin; from < span.end; from += kBlock) {
                    QL_CHECK(context.checkStop());
                    const std::int64_t to = std::min(span.end, from + kBlock);
                    propagate(span.begin, from, from, to);
                    codeBlock(from, to);
                }
                propagate(span.begin, span.end, span.end, end);
            }
        }
        return {};
    }

    /// Codes columns whose values know of all before `begin`.
    void codeBlock(std::int64_t begin, std::int64_t end)
    {
        for (std::int64_t from = begin; from < end; from += kPart) {
            const std::int64_t to = std::min(end, from + kPart);
            const std::int64_t cell = m_grid.codesCells() ? cellWidth(m_sweep.task.scheme) : 0;
            for (std::int64_t j = from; j < to && cell > 0; j += cell)
                codeCells(from, j, j + cell);
            for (std::int64_t j = from; j < to && cell == 0; ++j) {
                addFeedback(column(m_deltas, from), factor(from, j), m_cols, j - from, column(m_values, j), m_rows);
                encodeColumn(*m_sweep.coder, m_grid.column(original(j)), column(m_values, j), m_rows,
                             m_codes.data() + original(j) * m_rows, m_restored.data());
                m_objective += m_sweep.feedback.cost[static_cast<std::size_t>(j)] *
                               settleColumn(column(m_values, j), m_restored.data(), column(m_deltas, j), m_rows);
            }
            propagate(from, to, to, end);
        }
    }

    /// The columns [begin, end) of a cell, whose values know of all before `part`. With those before it fixed its error
    /// is δᵀSδ, S the cell's square of (I + F)·D·(I + F)ᵀ: coded under the diagonal of S. The feedback within the cell
    /// is of use to the columns behind it.
    void codeCells(std::int64_t part, std::int64_t begin, std::int64_t end)
    {
        const std::int64_t n = end - begin;
        for (std::int64_t j = begin; j < end; ++j)
            addFeedback(column(m_deltas, part), factor(part, j), m_cols, begin - part, column(m_values, j), m_rows);
        const std::vector<float> importance = cellImportance(begin, end);
        m_run.resize(static_cast<std::size_t>(2 * n));
        std::fill(m_restored.begin(), m_restored.end(), 0.0F);
        for (std::int64_t r = 0; r < m_count; ++r) {
            for (std::int64_t i = 0; i < n; ++i)
                m_run[static_cast<std::size_t>(i)] = column(m_values, begin + i)[r];
            m_grid.codeCell(r, original(begin), m_run.data(), importance.data(), m_run.data() + n);
            for (std::int64_t i = 0; i < n; ++i)
                column(m_restored, i)[r] = m_run[static_cast<std::size_t>(n + i)];
        }
        for (std::int64_t i = 0; i < n; ++i) {
            const std::int64_t j = begin + i;
            addFeedback(column(m_deltas, begin), factor(begin, j), m_cols, i, column(m_values, j), m_rows);
            m_objective += m_sweep.feedback.cost[static_cast<std::size_t>(j)] *
                           settleColumn(column(m_values, j), column(m_restored, i), column(m_deltas, j), m_rows);
        }
    }

    /// The diagonal of S, at most 1.
    std::vector<float> cellImportance(std::int64_t begin, std::int64_t end) const
    {
        std::vector<double> sums;
        for (std::int64_t i = begin; i < end; ++i) {
            double sum = m_sweep.feedback.cost[static_cast<std::size_t>(i)];
            for (std::int64_t k = i + 1; k < end; ++k) {
                const auto f = static_cast<double>(*factor(i, k));
                sum += f * f * m_sweep.feedback.cost[static_cast<std::size_t>(k)];
            }
            sums.push_back(sum);
        }
        return cellWeights(sums);
    }

    void store()
    {
        if (m_grid.codesCells()) {
            for (const Odd& odd : m_odd)
                if (std::isinf(odd.weight))
                    m_grid.saturate(odd.row, odd.column, odd.weight);
            return;
        }
        for (const Odd& odd : m_odd)
            encodeRun(*m_sweep.coder, m_grid.affine(odd.row, odd.column), &odd.weight, 1,
                      m_codes.data() + odd.column * m_rows + odd.row);
        m_grid.store(m_codes);
    }

    struct Odd {
        std::int64_t row, column;
        float weight;
    };

    const Sweep& m_sweep;
    TileGrid m_grid;
    const std::int64_t m_first, m_count, m_rows, m_cols;
    std::optional<WeightedScales> m_scales;
    std::vector<float> m_values, m_deltas; // W with feedback, W − Ŵ (W where it is not coded yet)
    std::vector<float> m_restored;
    std::vector<std::uint8_t> m_codes; // by column as stored
    std::vector<Odd> m_odd;            // not finite
    std::vector<float> m_run, m_weight;
    double m_objective = 0;
};

/// Of the order of processing, if every group's columns follow each other.
std::vector<Span> spansOf(std::int64_t width, const std::vector<std::int64_t>& order)
{
    std::vector<Span> spans;
    std::vector<bool> seen;
    for (std::int64_t j = 0; j < std::ssize(order); ++j) {
        const std::int64_t group = order[static_cast<std::size_t>(j)] / width;
        if (!spans.empty() && spans.back().group == group) {
            spans.back().end = j + 1;
            continue;
        }
        seen.resize(std::max(seen.size(), static_cast<std::size_t>(group) + 1));
        if (seen[static_cast<std::size_t>(group)])
            return {};
        seen[static_cast<std::size_t>(group)] = true;
        spans.push_back({j, j + 1, group});
    }
    return spans;
}

std::vector<float> narrowed(const std::vector<double>& values)
{
    const double largest = values.empty() ? 1 : *std::ranges::max_element(values);
    std::vector<float> out;
    for (const double value : values)
        out.push_back(static_cast<float>(value / largest));
    return out;
}

} // namespace

Result<SweepResult> sweep(const QuantizeTask& task, const ErrorFeedback& feedback, const SweepSettings& settings,
                          std::int64_t firstRow, std::int64_t lastRow, QuantizedTensor& out, const JobContext& context)
{
    const Scheme& scheme = task.scheme;
    std::optional<ScaleRule> rule;
    if (!scheme.isPacked())
        rule.emplace(scheme, RangeRule::standard, task.weights.dtype, out.tensorScale);
    const bool searches = rule && settings.scales != ScaleChoice::range;
    const std::int64_t width = groupWidth(scheme);
    const Sweep sweep{.task = task,
                      .feedback = feedback,
                      .settings = settings,
                      .coder = elementCoderOf(scheme),
                      .rule = rule ? &*rule : nullptr,
                      .candidates = searches ? scaleCandidates(scheme, settings.steps) : Candidates{},
                      .importance = narrowed(feedback.cost),
                      .spans =
                          width > 0 && !settings.staticGroups ? spansOf(width, feedback.order) : std::vector<Span>{},
                      .out = out};
    const std::int64_t cols = out.matrix().cols;
    const double bytes = info(task.weights.dtype).bitsPerElement() / 8;
    const std::int64_t grain = tileRows(lastRow - firstRow);
    std::vector<SweepResult> parts(static_cast<std::size_t>(ceilDiv(lastRow - firstRow, grain)));
    QL_CHECK(parallelFor(context, lastRow - firstRow, grain, [&](std::int64_t begin, std::int64_t end) -> Result<void> {
        QL_TRY(done, Tile(sweep, firstRow + begin, end - begin).run(context));
        parts[static_cast<std::size_t>(begin / grain)] = done;
        context.progress().addDone(static_cast<std::int64_t>(bytes * static_cast<double>((end - begin) * cols)));
        return {};
    }));
    SweepResult result;
    for (const SweepResult& part : parts) {
        result.reached += part.reached;
        result.rtn += part.rtn;
    }
    return result;
}

} // namespace ql
