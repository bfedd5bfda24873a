// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/learned_rounding.h"

#include <algorithm>
#include <atomic>
#include <numbers>

namespace ql {

namespace {

constexpr std::int64_t kBlock = 64; // columns between two stop tests
constexpr float kZeta = 1.1F;
constexpr float kGamma = -0.1F;
constexpr double kWarmUp = 0.2; // of the iterations
constexpr double kFirstBeta = 20;
constexpr double kLastBeta = 2;

/// The finite levels of a scheme in ascending order, before its zero point.
std::vector<float> levelsOf(const Scheme& scheme, const ElementCoder& coder)
{
    if (coder.kind == FormatKind::integer) {
        std::vector<float> levels;
        for (int code = coder.low; code <= coder.high; ++code)
            levels.push_back(static_cast<float>(code) * coder.step);
        return levels;
    }
    const BlockFormat* block = findBlockFormat(scheme);
    return block ? std::vector<float>(block->levels.begin(), block->levels.end()) : scheme.element->grid.levels;
}

class RoundingTile {
public:
    RoundingTile(GradientTile& tile, const LayerUnderH& layer, const std::vector<float>& levels,
                 const RoundingSettings& settings)
        : m_tile(tile),
          m_coder(layer.coder),
          m_levels(levels),
          m_settings(settings),
          m_rows(tile.rows()),
          m_cols(tile.cols()),
          m_low(tile.weights().size()),
          m_high(m_low.size()),
          m_v(m_low.size()),
          m_sigma(m_low.size()),
          m_unit(static_cast<std::size_t>(m_rows)),
          m_adam(m_low.size())
    {}

    Result<double> run(const std::function<void()>& iterationDone, const JobContext& context)
    {
        QL_CHECK(findNeighbours(context));
        QL_CHECK(takeNearest(context));
        const auto warmUp = static_cast<std::int64_t>(kWarmUp * static_cast<double>(m_settings.iterations));
        for (std::int64_t i = 0; i < m_settings.iterations; ++i) {
            const double way = static_cast<double>(i - warmUp) / static_cast<double>(m_settings.iterations - warmUp);
            const double beta =
                kLastBeta + (kFirstBeta - kLastBeta) / 2 * (1 + std::cos(std::numbers::pi * std::max(way, 0.0)));
            QL_CHECK(forward(context));
            QL_CHECK(m_tile.update(context));
            QL_CHECK(
                backward(static_cast<float>(i < warmUp ? 0 : m_settings.lambda), static_cast<float>(beta), context));
            iterationDone();
        }
        return finish(context);
    }

    std::int64_t count() const { return m_count; }
    std::int64_t binary() const { return m_binary; }

private:
    template<typename Body>
    Result<void> everyWeight(const JobContext& context, const Body& body)
    {
        for (std::int64_t j = 0; j < m_cols; ++j) {
            if (j % kBlock == 0)
                QL_CHECK(context.checkStop());
            for (std::int64_t r = 0; r < m_rows; ++r)
                body(static_cast<std::size_t>(j * m_rows + r), static_cast<std::size_t>(r), j);
        }
        return {};
    }

    Result<void> findNeighbours(const JobContext& context)
    {
        std::vector<double> unit(m_unit.size());
        QL_CHECK(everyWeight(context, [&](std::size_t at, std::size_t r, std::int64_t j) {
            const Affine affine = m_tile.grid().affine(static_cast<std::int64_t>(r), j);
            const float w = m_tile.weights()[at];
            const auto zero = static_cast<float>(affine.zero);
            const auto restored = [&](float level) { return (level - zero) * affine.scale + affine.minimum; };
            if (affine.scale == 0) {
                m_low[at] = m_high[at] = affine.minimum;
                return;
            }
            const float place = (w - affine.minimum) / affine.scale + zero;
            const auto above = std::ranges::upper_bound(m_levels, place);
            m_low[at] = restored(above == m_levels.begin() ? m_levels.front() : above[-1]);
            m_high[at] = restored(above == m_levels.end() ? m_levels.back() : above[0]);
            const double gap = static_cast<double>(m_high[at]) - static_cast<double>(m_low[at]);
            unit[r] += gap * gap * static_cast<double>(m_tile.curvature(j));
            if (gap == 0)
                return;
            const double share = (static_cast<double>(w) - static_cast<double>(m_low[at])) / gap;
            const double sigma =
                (std::clamp(share, 0.0, 1.0) - static_cast<double>(kGamma)) / static_cast<double>(kZeta - kGamma);
            m_v[at] = static_cast<float>(std::log(sigma / (1 - sigma)));
        }));
        for (std::size_t r = 0; r < unit.size(); ++r)
            m_unit[r] = unit[r] > 0 ? static_cast<float>(unit[r] / static_cast<double>(m_cols)) : 1;
        return {};
    }

    /// The objectives of nearest rounding.
    Result<void> takeNearest(const JobContext& context)
    {
        QL_CHECK(everyWeight(context, [&](std::size_t at, std::size_t, std::int64_t) {
            m_tile.deltas()[at] = m_tile.weights()[at] - nearest(at);
        }));
        QL_CHECK(m_tile.update(context));
        m_nearest = m_tile.objectives();
        return {};
    }

    float nearest(std::size_t at) const
    {
        const float w = m_tile.weights()[at];
        return std::fabs(w - m_low[at]) <= std::fabs(w - m_high[at]) ? m_low[at] : m_high[at];
    }

    static float sigmoid(float v) { return 1 / (1 + std::exp(-v)); }
    static float stretched(float sigma) { return sigma * (kZeta - kGamma) + kGamma; }

    Result<void> forward(const JobContext& context)
    {
        return everyWeight(context, [&](std::size_t at, std::size_t, std::int64_t) {
            m_sigma[at] = sigmoid(m_v[at]);
            const float h = std::clamp(stretched(m_sigma[at]), 0.0F, 1.0F);
            m_tile.deltas()[at] = m_tile.weights()[at] - (m_low[at] + h * (m_high[at] - m_low[at]));
        });
    }

    Result<void> backward(float lambda, float beta, const JobContext& context)
    {
        m_adam.nextStep();
        const auto rate = static_cast<float>(m_settings.rate);
        return everyWeight(context, [&](std::size_t at, std::size_t r, std::int64_t) {
            const float gap = m_high[at] - m_low[at];
            const float sigma = m_sigma[at];
            const float h = stretched(sigma);
            float gradient = 0;
            if (gap != 0 && h > 0 && h < 1) {
                gradient = -2 * m_tile.slopes()[at] * gap / m_unit[r];
                const float side = 2 * h - 1;
                if (lambda > 0 && side != 0)
                    gradient -= std::copysign(2 * lambda * beta * std::pow(std::fabs(side), beta - 1), side);
                gradient *= sigma * (1 - sigma) * (kZeta - kGamma);
            }
            m_v[at] -= rate * m_adam.step(at, gradient);
        });
    }

    Result<double> finish(const JobContext& context)
    {
        QL_CHECK(everyWeight(context, [&](std::size_t at, std::size_t r, std::int64_t) {
            const float h = std::clamp(stretched(sigmoid(m_v[at])), 0.0F, 1.0F);
            if (m_high[at] != m_low[at] && static_cast<std::int64_t>(r) < m_tile.count()) {
                ++m_count;
                m_binary += h <= 1e-3F || h >= 1 - 1e-3F ? 1 : 0;
            }
            m_v[at] = h >= 0.5F ? m_high[at] : m_low[at]; // from now on the value
            m_tile.deltas()[at] = m_tile.weights()[at] - m_v[at];
        }));
        QL_CHECK(m_tile.update(context));
        const std::vector<double> reached = m_tile.objectives();
        std::vector<std::uint8_t> codes(m_v.size());
        std::vector<float> restored(static_cast<std::size_t>(m_rows));
        for (std::int64_t j = 0; j < m_cols; ++j) {
            if (j % kBlock == 0)
                QL_CHECK(context.checkStop());
            float* values = m_v.data() + j * m_rows;
            for (std::int64_t r = 0; r < m_rows; ++r)
                if (!(reached[static_cast<std::size_t>(r)] < m_nearest[static_cast<std::size_t>(r)]))
                    values[r] = nearest(static_cast<std::size_t>(j * m_rows + r));
            encodeColumn(m_coder, m_tile.grid().column(j), values, m_rows, codes.data() + j * m_rows, restored.data());
        }
        m_tile.store(codes);
        m_tile.measure();
        QL_CHECK(m_tile.update(context));
        return m_tile.objective();
    }

    GradientTile& m_tile;
    const ElementCoder& m_coder;
    const std::vector<float>& m_levels;
    const RoundingSettings& m_settings;
    const std::int64_t m_rows, m_cols;
    std::vector<float> m_low, m_high; // the neighbours
    std::vector<float> m_v, m_sigma;  // V; σ(V) as of the last forward()
    std::vector<float> m_unit;
    std::vector<double> m_nearest;
    Adam m_adam;
    std::int64_t m_count = 0, m_binary = 0;
};

} // namespace

Result<LearnedRounding> learnRounding(const LayerUnderH& layer, const RoundingSettings& settings,
                                      const QuantizedTensor* start, std::int64_t firstRow, std::int64_t lastRow,
                                      const JobContext& context)
{
    const std::vector<float> levels = levelsOf(layer.task.scheme, layer.coder);
    std::atomic<std::int64_t> count = 0;
    std::atomic<std::int64_t> binary = 0;
    QL_TRY(objectives, learnTiles(
                           layer, settings.iterations, start, firstRow, lastRow,
                           [&](GradientTile& tile, const std::function<void()>& iterationDone,
                               const JobContext& its) -> Result<double> {
                               RoundingTile rounding(tile, layer, levels, settings);
                               QL_TRY(reached, rounding.run(iterationDone, its));
                               count += rounding.count();
                               binary += rounding.binary();
                               return reached;
                           },
                           context));
    return LearnedRounding{objectives, count, binary};
}

} // namespace ql
