// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/straight_through.h"

#include "core/formats/scale_coding.h"

#include <algorithm>
#include <limits>

namespace ql {

namespace {

constexpr std::int64_t kBlock = 64; // columns between two stop tests
constexpr float kFirstClip = 4;     // u

float sigmoid(float x)
{
    return 1 / (1 + std::exp(-x));
}

/// Places on the grid, in levels less the zero point.
struct Ends {
    float low, high;             // the outer levels
    float lowMargin, highMargin; // half of the steps there
};

Ends endsOf(const Scheme& scheme, const ElementCoder& coder)
{
    if (coder.kind == FormatKind::integer)
        return {static_cast<float>(coder.low) * coder.step, static_cast<float>(coder.high) * coder.step, coder.step / 2,
                coder.step / 2};
    const BlockFormat* block = findBlockFormat(scheme);
    const std::span<const float> levels = block ? block->levels : std::span<const float>(scheme.element->grid.levels);
    return {levels.front(), levels.back(), (levels[1] - levels[0]) / 2, (levels.back() - levels.end()[-2]) / 2};
}

/// Adam whose second moment is of all weights of a row.
class RowAdam {
public:
    RowAdam(std::size_t count, std::size_t rows) : m_mean(count), m_squares(rows), m_factor(rows) {}
    void add(std::size_t at, std::size_t row, float gradient)
    {
        m_mean[at] = 0.9F * m_mean[at] + 0.1F * gradient;
        m_squares[row].now += static_cast<double>(gradient) * static_cast<double>(gradient);
    }
    /// After all gradients of an iteration, `count` to a row.
    void nextStep(std::int64_t count)
    {
        m_meanPower *= 0.9;
        m_squarePower *= 0.99;
        for (std::size_t row = 0; row < m_factor.size(); ++row) {
            Squares& its = m_squares[row];
            its.moment = 0.99 * its.moment + 0.01 * its.now / static_cast<double>(count);
            its.now = 0;
            const double size = std::sqrt(its.moment / (1 - m_squarePower)) * (1 - m_meanPower);
            m_factor[row] = size > 0 ? static_cast<float>(1 / size) : 0;
        }
    }
    float step(std::size_t at, std::size_t row) const { return m_mean[at] * m_factor[row]; }

private:
    struct Squares {
        double moment = 0, now = 0;
    };
    std::vector<float> m_mean;
    std::vector<Squares> m_squares;
    std::vector<float> m_factor;
    double m_meanPower = 1, m_squarePower = 1;
};

class LearningTile {
public:
    LearningTile(GradientTile& tile, const LayerUnderH& layer, const StraightThroughSettings& settings, bool fromCodes)
        : m_tile(tile),
          m_grid(tile.grid()),
          m_scheme(layer.task.scheme),
          m_coder(layer.coder),
          m_settings(settings),
          m_ends(endsOf(layer.task.scheme, layer.coder)),
          m_tensorScale(layer.out.tensorScale),
          m_rows(tile.rows()),
          m_cols(tile.cols()),
          m_learnsRanges(settings.ranges != RangeLearning::fixed && m_grid.ownsScales() && !m_grid.isPacked()),
          m_twoEnds(m_scheme.zeroPoint != ZeroPoint::none),
          m_v(tile.weights()),
          m_restored(m_v.size()),
          m_codes(m_v.size()),
          m_bestCodes(m_v.size()),
          m_best(static_cast<std::size_t>(m_rows), std::numeric_limits<double>::infinity()),
          m_unit(m_best.size()),
          m_weightSteps(settings.weightRate > 0 && settings.moment == MomentOf::weight ? m_v.size() : 0),
          m_rowSteps(settings.weightRate > 0 && settings.moment == MomentOf::row ? m_v.size() : 0, m_best.size()),
          m_rangeSteps(m_learnsRanges ? slots() * (m_twoEnds ? 2U : 1U) : 0U)
    {
        if (fromCodes)
            for (std::size_t at = 0; at < m_v.size(); ++at)
                m_v[at] -= tile.deltas()[at];
        if (!m_grid.isPacked())
            takeParameters(m_bestParameters);
        for (std::int64_t r = 0; r < m_rows; ++r) {
            double step = 0;
            for (std::int64_t group = 0; group < m_grid.groups(); ++group)
                step += std::fabs(static_cast<double>(m_grid.affine(r, group * m_grid.width()).scale));
            m_unit[static_cast<std::size_t>(r)] = static_cast<float>(step * 2 * static_cast<double>(m_ends.highMargin) /
                                                                     static_cast<double>(m_grid.groups()));
        }
        if (m_learnsRanges)
            takeRanges();
    }

    Result<double> run(const std::function<void()>& iterationDone, const JobContext& context)
    {
        for (std::int64_t i = 0; i < m_settings.iterations; ++i) {
            QL_CHECK(forward(context));
            const double left = 1 - static_cast<double>(i) / static_cast<double>(m_settings.iterations);
            QL_CHECK(backward(static_cast<float>(left), context));
            if (m_learnsRanges)
                setRanges();
            iterationDone();
        }
        QL_CHECK(forward(context));
        return finish(context);
    }

private:
    struct Parameters {
        std::vector<float> scale;
        std::vector<int> zero;
        std::vector<float> minimum;
    };

    std::size_t slots() const { return static_cast<std::size_t>(m_grid.groups() * m_rows); }
    std::size_t slot(std::int64_t row, std::int64_t group) const
    {
        return static_cast<std::size_t>(group * m_rows + row);
    }

    void takeParameters(Parameters& out) const
    {
        out = {std::vector<float>(slots()), std::vector<int>(slots()), std::vector<float>(slots())};
        for (std::int64_t row = 0; row < m_tile.count(); ++row)
            takeRow(row, out);
    }
    void takeRow(std::int64_t row, Parameters& out) const
    {
        for (std::int64_t group = 0; group < m_grid.groups(); ++group) {
            const std::size_t at = slot(row, group);
            out.scale[at] = m_grid.scale(row, group);
            if (m_scheme.zeroPoint == ZeroPoint::integer)
                out.zero[at] = m_grid.zero(row, group);
            if (m_scheme.zeroPoint == ZeroPoint::minimum)
                out.minimum[at] = m_grid.minimum(row, group);
        }
    }

    float steps() const { return m_ends.high - m_ends.low; }

    /// The ranges of what the grid holds.
    void takeRanges()
    {
        m_firstHigh.assign(slots(), 0);
        m_firstLow.assign(m_twoEnds ? slots() : 0, 0);
        for (std::int64_t row = 0; row < m_tile.count(); ++row)
            for (std::int64_t group = 0; group < m_grid.groups(); ++group) {
                const std::size_t at = slot(row, group);
                const Affine affine = m_grid.affine(row, group * m_grid.width());
                if (!m_twoEnds) {
                    m_firstHigh[at] = m_grid.scale(row, group);
                    continue;
                }
                const auto zero = static_cast<float>(affine.zero);
                m_firstLow[at] = (m_ends.low - zero) * affine.scale + affine.minimum;
                m_firstHigh[at] = (m_ends.high - zero) * affine.scale + affine.minimum;
            }
        const float first = m_settings.ranges == RangeLearning::clipping ? kFirstClip : 0;
        m_high.assign(m_firstHigh.size(), first);
        m_low.assign(m_firstLow.size(), first);
    }

    /// What a range is times, or what is added to it in shares of its first size.
    float moved(float first, float size, float parameter) const
    {
        return m_settings.ranges == RangeLearning::clipping ? first * sigmoid(parameter) : first + size * parameter;
    }
    float slopeOfMove(float first, float size, float parameter) const
    {
        if (m_settings.ranges != RangeLearning::clipping)
            return size;
        const float share = sigmoid(parameter);
        return first * share * (1 - share);
    }

    /// Scales, zero points and minima of the ranges, where they can be stored.
    void setRanges()
    {
        const float largest = std::max(std::fabs(m_ends.low), std::fabs(m_ends.high));
        for (std::int64_t group = 0; group < m_grid.groups(); ++group)
            for (std::int64_t row = 0; row < m_tile.count(); ++row) {
                const std::size_t at = slot(row, group);
                if (!m_twoEnds) {
                    const float first = m_firstHigh[at];
                    const float wanted = moved(first, first, m_high[at]);
                    if (!(wanted * first > 0))
                        continue;
                    const float stored = std::copysign(storableScale(m_scheme.scale, std::fabs(wanted)), first);
                    if (std::isfinite(stored * m_tensorScale * largest))
                        m_grid.setScale(row, group, stored);
                    continue;
                }
                const float size = m_firstHigh[at] - m_firstLow[at];
                const float low = moved(m_firstLow[at], size, m_low[at]);
                const float high = moved(m_firstHigh[at], size, m_high[at]);
                if (!(high > low))
                    continue;
                const float scale = storableScale(m_scheme.scale, (high - low) / steps() / m_tensorScale);
                if (!std::isfinite(scale * m_tensorScale * steps()))
                    continue;
                if (m_scheme.zeroPoint == ZeroPoint::integer) {
                    const float zero = std::nearbyint(m_ends.low - low / (scale * m_tensorScale));
                    m_grid.setZero(row, group, static_cast<int>(std::clamp(zero, m_ends.low, m_ends.high)));
                } else {
                    const float minimum = std::copysign(roundScale(m_scheme.scale, std::fabs(low)), low);
                    if (!std::isfinite(minimum))
                        continue;
                    m_grid.setMinimum(row, group, minimum);
                }
                m_grid.setScale(row, group, scale);
            }
    }

    /// Codes, deltas, slopes, and the best that each row has had.
    Result<void> forward(const JobContext& context)
    {
        for (std::int64_t j = 0; j < m_cols; ++j) {
            if (j % kBlock == 0)
                QL_CHECK(context.checkStop());
            float* restored = m_restored.data() + j * m_rows;
            encodeColumn(m_coder, m_grid.column(j), m_v.data() + j * m_rows, m_rows, m_codes.data() + j * m_rows,
                         restored);
            const float* weights = m_tile.weights().data() + j * m_rows;
            float* deltas = m_tile.deltas().data() + j * m_rows;
            for (std::int64_t r = 0; r < m_rows; ++r)
                deltas[r] = weights[r] - restored[r];
        }
        QL_CHECK(m_tile.update(context));
        std::vector<std::uint8_t> better(m_best.size());
        for (std::size_t r = 0; r < m_best.size(); ++r) {
            better[r] = m_tile.objectives()[r] < m_best[r] ? 1 : 0;
            if (!better[r])
                continue;
            m_best[r] = m_tile.objectives()[r];
            if (m_learnsRanges && static_cast<std::int64_t>(r) < m_tile.count())
                takeRow(static_cast<std::int64_t>(r), m_bestParameters);
        }
        for (std::int64_t j = 0; j < m_cols; ++j) {
            const std::uint8_t* codes = m_codes.data() + j * m_rows;
            std::uint8_t* best = m_bestCodes.data() + j * m_rows;
            for (std::int64_t r = 0; r < m_rows; ++r)
                best[r] = better[static_cast<std::size_t>(r)] ? codes[r] : best[r];
        }
        return {};
    }

    Result<void> backward(float left, const JobContext& context)
    {
        m_weightSteps.nextStep();
        m_rangeSteps.nextStep();
        const bool movesWeights = m_settings.weightRate > 0;
        const bool isByRow = m_settings.moment == MomentOf::row;
        const float weightRate = left * static_cast<float>(m_settings.weightRate);
        std::vector<double> high(static_cast<std::size_t>(m_rows));
        std::vector<double> low(high.size());
        for (std::int64_t group = 0; group < m_grid.groups(); ++group) {
            std::ranges::fill(high, 0);
            std::ranges::fill(low, 0);
            const std::int64_t begin = group * m_grid.width();
            const std::int64_t end = std::min(m_cols, begin + m_grid.width());
            for (std::int64_t j = begin; j < end; ++j) {
                if (j % kBlock == 0)
                    QL_CHECK(context.checkStop());
                const AffineColumn column = m_grid.column(j);
                const float curvature = m_tile.curvature(j);
                const float inverse = curvature > 0 ? 1 / curvature : 0;
                for (std::int64_t r = 0; r < m_rows; ++r) {
                    const float scale = column.scale[r];
                    if (scale == 0)
                        continue;
                    const auto at = static_cast<std::size_t>(j * m_rows + r);
                    const auto row = static_cast<std::size_t>(r);
                    const float gradient = -2 * m_tile.slopes()[at]; // by ŵ
                    const float minimum = column.minimum ? column.minimum[r] : 0;
                    const float zero = column.zero ? static_cast<float>(column.zero[r]) : 0;
                    const float place = (m_v[at] - minimum) / scale + zero;
                    const bool isAbove = place > m_ends.high + m_ends.highMargin;
                    const bool isBelow = place < m_ends.low - m_ends.lowMargin;
                    if (m_learnsRanges) {
                        const float inside = isAbove || isBelow ? 0 : (m_restored[at] - m_v[at]) / scale;
                        if (m_twoEnds) {
                            high[row] += static_cast<double>(gradient * (isAbove ? 1 : inside / steps()));
                            low[row] += static_cast<double>(gradient * (isBelow ? 1 : -inside / steps()));
                        } else {
                            high[row] +=
                                static_cast<double>(gradient * (isAbove || isBelow ? m_restored[at] / scale : inside));
                        }
                    }
                    if (movesWeights) {
                        const float its = isAbove || isBelow || m_unit[row] == 0 ? 0 : gradient / m_unit[row];
                        if (isByRow)
                            m_rowSteps.add(at, row, its * inverse);
                        else
                            m_v[at] -=
                                weightRate * 2 * m_ends.highMargin * std::fabs(scale) * m_weightSteps.step(at, its);
                    }
                }
            }
            if (m_learnsRanges)
                moveRanges(group, left * static_cast<float>(m_settings.rangeRate), high, low);
        }
        return movesWeights && isByRow ? moveByRows(weightRate, context) : Result<void>();
    }

    Result<void> moveByRows(float rate, const JobContext& context)
    {
        m_rowSteps.nextStep(m_cols);
        for (std::int64_t j = 0; j < m_cols; ++j) {
            if (j % kBlock == 0)
                QL_CHECK(context.checkStop());
            const float* scale = m_grid.column(j).scale;
            for (std::int64_t r = 0; r < m_rows; ++r) {
                const auto at = static_cast<std::size_t>(j * m_rows + r);
                m_v[at] -= rate * 2 * m_ends.highMargin * std::fabs(scale[r]) *
                           m_rowSteps.step(at, static_cast<std::size_t>(r));
            }
        }
        return {};
    }

    void moveRanges(std::int64_t group, float rate, const std::vector<double>& high, const std::vector<double>& low)
    {
        for (std::int64_t row = 0; row < m_tile.count(); ++row) {
            const std::size_t at = slot(row, group);
            const auto r = static_cast<std::size_t>(row);
            if (m_unit[r] == 0)
                continue;
            const auto unit = static_cast<double>(m_unit[r]) * static_cast<double>(m_unit[r]);
            const float first = m_firstHigh[at];
            const float size = m_twoEnds ? first - m_firstLow[at] : first;
            // Symmetric: `high` is by the scale times the tensor's.
            const float factor = m_twoEnds ? 1 : m_tensorScale;
            const auto gradient = [&](double by, float from, float parameter) {
                return static_cast<float>(by * static_cast<double>(factor) *
                                          static_cast<double>(slopeOfMove(from, size, parameter)) / unit);
            };
            m_high[at] -= rate * m_rangeSteps.step(at, gradient(high[r], first, m_high[at]));
            if (m_twoEnds)
                m_low[at] -= rate * m_rangeSteps.step(slots() + at, gradient(low[r], m_firstLow[at], m_low[at]));
        }
    }

    Result<double> finish(const JobContext& context)
    {
        if (m_learnsRanges)
            for (std::int64_t group = 0; group < m_grid.groups(); ++group)
                for (std::int64_t row = 0; row < m_tile.count(); ++row) {
                    const std::size_t at = slot(row, group);
                    m_grid.setScale(row, group, m_bestParameters.scale[at]);
                    if (m_scheme.zeroPoint == ZeroPoint::integer)
                        m_grid.setZero(row, group, m_bestParameters.zero[at]);
                    if (m_scheme.zeroPoint == ZeroPoint::minimum)
                        m_grid.setMinimum(row, group, m_bestParameters.minimum[at]);
                }
        m_tile.store(m_bestCodes);
        m_tile.measure();
        QL_CHECK(m_tile.update(context));
        return m_tile.objective();
    }

    GradientTile& m_tile;
    TileGrid& m_grid;
    const Scheme& m_scheme;
    const ElementCoder& m_coder;
    const StraightThroughSettings& m_settings;
    const Ends m_ends;
    const float m_tensorScale;
    const std::int64_t m_rows, m_cols;
    const bool m_learnsRanges, m_twoEnds;
    std::vector<float> m_v, m_restored;
    std::vector<std::uint8_t> m_codes, m_bestCodes;
    std::vector<double> m_best;  // objectives
    Parameters m_bestParameters; // as stored
    std::vector<float> m_unit;   // the mean step of a row
    // Of ranges: what they were (symmetric: the scale as stored), and the parameter that moves them.
    std::vector<float> m_firstHigh, m_firstLow, m_high, m_low;
    Adam m_weightSteps;
    RowAdam m_rowSteps;
    Adam m_rangeSteps;
};

} // namespace

Result<SweepResult> learnStraightThrough(const LayerUnderH& layer, const StraightThroughSettings& settings,
                                         const QuantizedTensor* start, bool fromCodes, std::int64_t firstRow,
                                         std::int64_t lastRow, const JobContext& context)
{
    return learnTiles(
        layer, settings.iterations, start, firstRow, lastRow,
        [&](GradientTile& tile, const std::function<void()>& iterationDone, const JobContext& its) -> Result<double> {
            return LearningTile(tile, layer, settings, fromCodes).run(iterationDone, its);
        },
        context);
}

} // namespace ql
