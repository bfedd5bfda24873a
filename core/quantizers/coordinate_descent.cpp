// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/coordinate_descent.h"

#include "core/base/matrix_product.h"
#include "core/formats/element_coder.h"
#include "core/formats/scale_coding.h"
#include "core/formats/weight_tile.h"
#include "core/jobs/parallel.h"
#include "core/quantizers/cell_solver.h"
#include "core/quantizers/feedback_kernels.h"
#include "core/quantizers/tile_grid.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

constexpr std::int64_t kBlock = 128; // columns that one product brings up to date
constexpr std::int64_t kPart = 16;   // columns between two updates of the rest of a block

struct Descent {
    const QuantizeTask& task;
    const std::optional<ElementCoder> coder; // none where blocks code cells
    const float* h;                          // [cols, cols]
    double damping;
    int sweeps;
    Moves moves;
    std::vector<float> levels; // by the bits of a code
    QuantizedTensor& out;
};

/// Columns follow each other, `rows` floats each, as in the sweep of feedback_sweep.h.
class Tile {
public:
    Tile(const Descent& descent, std::int64_t first, std::int64_t count)
        : m_descent(descent),
          m_scheme(descent.task.scheme),
          m_grid(descent.out, first, count),
          m_first(first),
          m_count(count),
          m_rows(m_grid.rows()),
          m_cols(descent.out.matrix().cols),
          m_weights(size(m_cols)),
          m_deltas(size(m_cols)),
          m_slopes(size(std::min(m_grid.width(), m_cols))),
          m_moves(size(kBlock)),
          m_target(size(1)),
          m_restored(size(1)),
          m_codes(m_grid.codesCells() ? 0 : size(m_cols)),
          m_newCodes(size(1))
    {}

    Result<double> run(const JobContext& context)
    {
        load();
        const double squares = sumOfSquares(m_deltas.data(), std::ssize(m_deltas));
        for (int sweep = 0; sweep < m_descent.sweeps; ++sweep)
            for (std::int64_t group = 0; group < m_grid.groups(); ++group)
                QL_CHECK(descendGroup(group, context));
        store();
        return m_gain - m_descent.damping * (squares - sumOfSquares(m_deltas.data(), std::ssize(m_deltas)));
    }

private:
    std::size_t size(std::int64_t columns) const { return static_cast<std::size_t>(columns * m_rows); }
    const float* h(std::int64_t i, std::int64_t j) const { return m_descent.h + i * m_cols + j; }
    void load()
    {
        WeightTile tile(m_descent.task.weights);
        std::vector<float> values(static_cast<std::size_t>(kTurnedRows * m_cols));
        std::vector<float> restored(values.size());
        for (std::int64_t r = 0; r < m_count; r += kTurnedRows) {
            const std::int64_t count = std::min(kTurnedRows, m_count - r);
            const float* from = tile.read((m_first + r) * m_cols, count * m_cols);
            std::copy_n(from, count * m_cols, values.data());
            m_descent.out.restoreRows(m_first + r, m_first + r + count, restored.data());
            if (!rangeOfRun(from, count * m_cols).allFinite)
                for (std::int64_t at = 0; at < count * m_cols; ++at)
                    if (!std::isfinite(from[at])) {
                        m_odd.push_back({r + at / m_cols, at % m_cols, 0});
                        values[static_cast<std::size_t>(at)] = restored[static_cast<std::size_t>(at)];
                    }
            for (std::int64_t j = 0; j < m_cols; ++j)
                for (std::int64_t k = 0; k < count; ++k) {
                    const auto to = static_cast<std::size_t>(j * m_rows + r + k);
                    const auto at = static_cast<std::size_t>(k * m_cols + j);
                    m_weights[to] = values[at];
                    m_deltas[to] = values[at] - restored[at];
                }
        }
        if (m_grid.codesCells())
            return;
        if (!m_grid.isPacked()) {
            m_grid.load(m_codes);
        } else { // nearest to what is restored: the same codes
            for (std::int64_t j = 0; j < m_cols; ++j) {
                for (std::int64_t r = 0; r < m_rows; ++r) {
                    const auto at = static_cast<std::size_t>(j * m_rows + r);
                    m_target[static_cast<std::size_t>(r)] = m_weights[at] - m_deltas[at];
                }
                encodeColumn(*m_descent.coder, m_grid.column(j), m_target.data(), m_rows, m_codes.data() + j * m_rows,
                             m_restored.data());
            }
        }
        for (Odd& odd : m_odd) // keeps its code
            odd.code = m_codes[place(odd)];
    }

    /// slopes = H[begin…end, all]·deltas.
    void slope(std::int64_t begin, std::int64_t end)
    {
        multiply(MatrixProduct<float>{.rows = end - begin,
                                      .cols = m_rows,
                                      .depth = m_cols,
                                      .a = h(begin, 0),
                                      .aStride = m_cols,
                                      .b = m_deltas.data(),
                                      .bStride = m_rows,
                                      .c = m_slopes.data(),
                                      .cStride = m_rows});
    }

    Result<void> descendGroup(std::int64_t group, const JobContext& context)
    {
        const std::int64_t begin = group * m_grid.width();
        const std::int64_t end = std::min(m_cols, begin + m_grid.width());
        const bool movesParameters = m_grid.ownsScales() && !m_grid.isPacked();
        if (m_descent.moves == Moves::parameters) {
            QL_CHECK(context.checkStop());
            slope(begin, end);
            if (movesParameters)
                moveParameters(group, begin, end);
            return {};
        }
        for (std::int64_t from = begin; from < end; from += kBlock) {
            QL_CHECK(context.checkStop());
            const std::int64_t to = std::min(end, from + kBlock);
            slope(from, to);
            if (to - from == end - begin && movesParameters)
                moveParameters(group, begin, end);
            moveCodes(from, to);
        }
        if (end - begin > kBlock && movesParameters) {
            QL_CHECK(context.checkStop());
            slope(begin, end);
            moveParameters(group, begin, end);
        }
        return {};
    }

    /// Direction v of the group's values (levels, or ones): step·v is added to Ŵ where the objective falls.
    template<typename Step>
    void moveAlong(std::int64_t begin, std::int64_t end, const std::vector<float>& direction, const Step& step)
    {
        const std::int64_t width = end - begin;
        m_curvature.resize(direction.size());
        multiply(MatrixProduct<float>{.rows = width,
                                      .cols = m_rows,
                                      .depth = width,
                                      .a = h(begin, begin),
                                      .aStride = m_cols,
                                      .b = direction.data(),
                                      .bStride = m_rows,
                                      .c = m_curvature.data(),
                                      .cStride = m_rows});
        for (std::int64_t r = 0; r < m_count; ++r) {
            double slope = 0;
            double curvature = 0;
            for (std::int64_t j = 0; j < width; ++j) {
                const auto at = static_cast<std::size_t>(j * m_rows + r);
                slope += static_cast<double>(direction[at]) * static_cast<double>(m_slopes[at]);
                curvature += static_cast<double>(direction[at]) * static_cast<double>(m_curvature[at]);
            }
            if (!(curvature > 0))
                continue;
            const auto gainOf = [&](double move) { return 2 * move * slope - move * move * curvature; };
            const double move = step(r, slope / curvature, gainOf);
            if (!(gainOf(move) > 0))
                continue;
            m_gain += gainOf(move);
            for (std::int64_t j = 0; j < width; ++j) {
                const auto at = static_cast<std::size_t>(j * m_rows + r);
                m_deltas[static_cast<std::size_t>(begin * m_rows) + at] -= static_cast<float>(move) * direction[at];
                m_slopes[at] -= static_cast<float>(move) * m_curvature[at];
            }
        }
    }

    void moveParameters(std::int64_t group, std::int64_t begin, std::int64_t end)
    {
        const auto sign = [](float x) { return x < 0 ? -1.0F : 1.0F; };
        const auto unsignedBits = static_cast<std::uint8_t>((1U << m_descent.coder->bits) - 1U);
        const float tensorScale = m_descent.out.tensorScale;
        const ScaleCoding coding = m_scheme.scale;
        m_direction.resize(size(end - begin));
        for (std::int64_t j = 0; j < end - begin; ++j)
            for (std::int64_t r = 0; r < m_count; ++r) {
                const auto at = static_cast<std::size_t>(j * m_rows + r);
                const std::uint8_t code = m_codes[static_cast<std::size_t>(begin * m_rows) + at];
                const float level =
                    m_descent.coder->unsignedCodes ? static_cast<float>(code) : m_descent.levels[code & unsignedBits];
                m_direction[at] =
                    level -
                    (m_scheme.zeroPoint == ZeroPoint::integer ? static_cast<float>(m_grid.zero(r, group)) : 0.0F);
            }
        moveAlong(begin, end, m_direction, [&](std::int64_t row, double best, const auto& gainOf) {
            const float old = m_grid.scale(row, group);
            const double wanted = static_cast<double>(old) + best / static_cast<double>(tensorScale);
            if (!(wanted * static_cast<double>(sign(old)) > 0) || !std::isfinite(static_cast<float>(wanted)))
                return 0.0;
            const float stored = sign(old) * storableScale(coding, std::fabs(static_cast<float>(wanted)));
            const double move =
                (static_cast<double>(stored) - static_cast<double>(old)) * static_cast<double>(tensorScale);
            if (gainOf(move) > 0)
                m_grid.setScale(row, group, stored);
            return move;
        });
        if (m_scheme.zeroPoint == ZeroPoint::none)
            return;
        std::fill(m_direction.begin(), m_direction.end(), 1.0F);
        moveAlong(begin, end, m_direction, [&](std::int64_t row, double best, const auto& gainOf) {
            if (m_scheme.zeroPoint == ZeroPoint::integer) {
                const double scale = static_cast<double>(m_grid.scale(row, group)) * static_cast<double>(tensorScale);
                const int to = m_grid.zero(row, group) + (best > 0 ? -1 : 1); // values rise as the zero point falls
                const double move = best > 0 ? scale : -scale;
                const int half = 1 << (m_descent.coder->bits - 1);
                if (to < -half || to >= half || !(gainOf(move) > 0))
                    return 0.0;
                m_grid.setZero(row, group, to);
                return move;
            }
            const float wanted = static_cast<float>(static_cast<double>(m_grid.minimum(row, group)) + best);
            if (!std::isfinite(wanted))
                return 0.0;
            const float stored = sign(wanted) * roundScale(coding, std::fabs(wanted));
            const double move = static_cast<double>(stored) - static_cast<double>(m_grid.minimum(row, group));
            if (gainOf(move) > 0)
                m_grid.setMinimum(row, group, stored);
            return move;
        });
    }

    /// Codes of columns [begin, end), whose slopes are up to date at place 0 on.
    void moveCodes(std::int64_t begin, std::int64_t end)
    {
        for (std::int64_t from = begin; from < end; from += kPart) {
            const std::int64_t to = std::min(end, from + kPart);
            const std::int64_t cell = m_grid.codesCells() ? cellWidth(m_scheme) : 0;
            for (std::int64_t j = from; j < to && cell > 0; j += cell) {
                for (std::int64_t i = j; i < j + cell; ++i)
                    addFeedback(m_moves.data() + (from - begin) * m_rows, h(from, i), m_cols, j - from,
                                m_slopes.data() + (i - begin) * m_rows, m_rows);
                moveCells(j, cell, m_slopes.data() + (j - begin) * m_rows, m_moves.data() + (j - begin) * m_rows);
            }
            for (std::int64_t j = from; j < to && cell == 0; ++j) {
                float* slopes = m_slopes.data() + (j - begin) * m_rows;
                addFeedback(m_moves.data() + (from - begin) * m_rows, h(from, j), m_cols, j - from, slopes, m_rows);
                moveCode(j, slopes, m_moves.data() + (j - begin) * m_rows);
            }
            if (to < end)
                multiply(MatrixProduct<float>{.rows = end - to,
                                              .cols = m_rows,
                                              .depth = to - from,
                                              .a = h(to, from),
                                              .aStride = m_cols,
                                              .b = m_moves.data() + (from - begin) * m_rows,
                                              .bStride = m_rows,
                                              .c = m_slopes.data() + (to - begin) * m_rows,
                                              .cStride = m_rows,
                                              .alpha = 1,
                                              .beta = 1});
        }
    }

    /// One column; `moves` becomes what is added to its deltas.
    void moveCode(std::int64_t j, const float* slopes, float* moves)
    {
        const float* weights = m_weights.data() + j * m_rows;
        float* deltas = m_deltas.data() + j * m_rows;
        std::uint8_t* codes = m_codes.data() + j * m_rows;
        const float curvature = *h(j, j);
        const float inverse = curvature > 0 ? 1 / curvature : 0;
        for (std::int64_t r = 0; r < m_rows; ++r)
            m_target[static_cast<std::size_t>(r)] = weights[r] - deltas[r] + slopes[r] * inverse;
        encodeColumn(*m_descent.coder, m_grid.column(j), m_target.data(), m_rows, m_newCodes.data(), m_restored.data());
        double gain = 0;
        for (std::int64_t r = 0; r < m_rows; ++r) {
            const auto at = static_cast<std::size_t>(r);
            const float delta = weights[r] - m_restored[at];
            const float move = delta - deltas[r];
            const float falls = -move * (2 * slopes[r] + move * curvature);
            const bool take = m_newCodes[at] != codes[r] && falls > 0;
            moves[r] = take ? move : 0;
            deltas[r] = take ? delta : deltas[r];
            codes[r] = take ? m_newCodes[at] : codes[r];
            gain += static_cast<double>(take ? falls : 0);
        }
        m_gain += gain;
    }

    /// The cell of n columns from j on: nearest, under the diagonal of its square S of H, to ŵ + S⁻¹·P, if that is
    /// less.
    void moveCells(std::int64_t j, std::int64_t n, const float* slopes, float* moves)
    {
        CellSolver solver(h(j, j), m_cols, n);
        std::vector<float> target(static_cast<std::size_t>(n));
        std::vector<float> restored(target.size());
        std::vector<double> slope(target.size());
        std::vector<double> move(target.size());
        std::vector<std::byte> before;
        std::fill_n(moves, n * m_rows, 0.0F);
        for (std::int64_t r = 0; r < m_count; ++r) {
            for (std::size_t i = 0; i < target.size(); ++i)
                slope[i] = static_cast<double>(slopes[static_cast<std::int64_t>(i) * m_rows + r]);
            const std::vector<double>& step = solver.solve(slope);
            for (std::size_t i = 0; i < target.size(); ++i) {
                const std::int64_t at = (j + static_cast<std::int64_t>(i)) * m_rows + r;
                target[i] = m_weights[static_cast<std::size_t>(at)] - m_deltas[static_cast<std::size_t>(at)] +
                            static_cast<float>(step[i]);
            }
            const std::span<std::byte> block = m_grid.blockOf(r, j);
            before.assign(block.begin(), block.end());
            m_grid.codeCell(r, j, target.data(), solver.importance().data(), restored.data());
            for (std::size_t i = 0; i < target.size(); ++i) {
                const std::int64_t at = (j + static_cast<std::int64_t>(i)) * m_rows + r;
                move[i] = static_cast<double>(m_weights[static_cast<std::size_t>(at)] - restored[i]) -
                          static_cast<double>(m_deltas[static_cast<std::size_t>(at)]);
            }
            const double falls = solver.fallOf(move, slope);
            if (!(falls > 0) || holdsOdd(r, j, n)) {
                std::ranges::copy(before, block.begin());
                continue;
            }
            m_gain += falls;
            for (std::size_t i = 0; i < target.size(); ++i) {
                const std::int64_t at = (j + static_cast<std::int64_t>(i)) * m_rows + r;
                moves[static_cast<std::int64_t>(i) * m_rows + r] = static_cast<float>(move[i]);
                m_deltas[static_cast<std::size_t>(at)] = m_weights[static_cast<std::size_t>(at)] - restored[i];
            }
        }
    }
    bool holdsOdd(std::int64_t row, std::int64_t column, std::int64_t n) const
    {
        return std::ranges::any_of(
            m_odd, [&](const Odd& odd) { return odd.row == row && odd.column >= column && odd.column < column + n; });
    }

    void store()
    {
        for (const Odd& odd : m_odd)
            if (!m_grid.codesCells())
                m_codes[place(odd)] = odd.code;
        m_grid.store(m_codes);
    }

    struct Odd {
        std::int64_t row, column;
        std::uint8_t code;
    };
    std::size_t place(const Odd& odd) const { return static_cast<std::size_t>(odd.column * m_rows + odd.row); }

    const Descent& m_descent;
    const Scheme& m_scheme;
    TileGrid m_grid;
    const std::int64_t m_first, m_count, m_rows, m_cols;
    std::vector<float> m_weights, m_deltas; // W, W − Ŵ
    std::vector<float> m_slopes;            // H·Δ of the columns at hand
    std::vector<float> m_moves, m_direction, m_curvature, m_target, m_restored;
    std::vector<std::uint8_t> m_codes, m_newCodes;
    std::vector<Odd> m_odd; // not finite
    double m_gain = 0;
};

} // namespace

Result<double> descend(const QuantizeTask& task, const double* gram, double damping, int sweeps, Moves moves,
                       std::int64_t firstRow, std::int64_t lastRow, QuantizedTensor& out, const JobContext& context)
{
    const std::int64_t n = out.matrix().cols;
    QL_CHECK(context.checkMemory(4 * n * n, "XᵀX"));
    Buffer h(4 * n * n);
    QL_CHECK(parallelFor(context, n, 64, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
            for (std::int64_t j = 0; j < n; ++j)
                h.as<float>()[i * n + j] = static_cast<float>(gram[i * n + j] + (i == j ? damping : 0));
    }));
    const Descent descent{.task = task,
                          .coder = elementCoderOf(task.scheme),
                          .h = h.as<float>(),
                          .damping = damping,
                          .sweeps = sweeps,
                          .moves = moves,
                          .levels = task.scheme.element->levels,
                          .out = out};
    const std::int64_t grain = tileRows(lastRow - firstRow);
    std::vector<double> gains(static_cast<std::size_t>(ceilDiv(lastRow - firstRow, grain)));
    QL_CHECK(parallelFor(context, lastRow - firstRow, grain, [&](std::int64_t begin, std::int64_t end) -> Result<void> {
        QL_TRY(gain, Tile(descent, firstRow + begin, end - begin).run(context));
        gains[static_cast<std::size_t>(begin / grain)] = gain;
        return {};
    }));
    double gain = 0;
    for (const double part : gains)
        gain += part;
    return gain;
}

} // namespace ql
