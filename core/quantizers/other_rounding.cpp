// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/other_rounding.h"

#include "core/base/rng.h"
#include "core/formats/element_coder.h"
#include "core/formats/weight_tile.h"
#include "core/jobs/parallel.h"
#include "core/quantizers/unit_quantizer.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

/// Where a weight lies between two codes.
struct Neighbours {
    std::uint8_t low = 0, high = 0;
    double lowLevel = 0, highLevel = 0;
    double share = 0; // of the way from low to high, in [0, 1)
};

/// The codes of one scheme in the order of their levels.
class Levels {
public:
    explicit Levels(const Scheme& scheme) : m_coder(scheme), m_grid(scheme.element->grid) {}

    Neighbours about(float weight, const Affine& affine) const
    {
        return m_coder.kind == FormatKind::integer ? aboutInteger(weight, affine) : aboutLevel(weight, affine);
    }

private:
    Neighbours aboutInteger(float weight, const Affine& affine) const
    {
        const double step = static_cast<double>(affine.scale) * static_cast<double>(m_coder.step);
        const double rest = static_cast<double>(weight) - static_cast<double>(affine.minimum);
        const double at = std::clamp(rest / step, static_cast<double>(m_coder.low - affine.zero),
                                     static_cast<double>(m_coder.high - affine.zero));
        const double low = std::floor(at);
        const auto code = static_cast<int>(low) + affine.zero;
        return {.low = static_cast<std::uint8_t>(code),
                .high = static_cast<std::uint8_t>(std::min(code + 1, m_coder.high)),
                .lowLevel = low,
                .highLevel = low + 1,
                .share = at - low};
    }
    Neighbours aboutLevel(float weight, const Affine& affine) const
    {
        const double at =
            std::clamp(static_cast<double>(weight) / static_cast<double>(affine.scale),
                       static_cast<double>(m_grid.levels.front()), static_cast<double>(m_grid.levels.back()));
        const auto above = static_cast<std::size_t>(std::ranges::upper_bound(m_grid.levels, at) -
                                                    m_grid.levels.begin()); // the first is not above
        const std::size_t high = std::min(above, m_grid.levels.size() - 1);
        const auto lowLevel = static_cast<double>(m_grid.levels[above - 1]);
        const auto highLevel = static_cast<double>(m_grid.levels[high]);
        return {.low = m_grid.codes[above - 1],
                .high = m_grid.codes[high],
                .lowLevel = lowLevel,
                .highLevel = highLevel,
                .share = at > lowLevel ? (at - lowLevel) / (highLevel - lowLevel) : 0};
    }

    ElementCoder m_coder;
    const NumberFormat::Grid& m_grid;
};

std::uint8_t halfAway(const Neighbours& about, std::uint8_t nearest)
{
    if (about.share != 0.5)
        return about.share > 0.5 ? about.high : about.low;
    const double low = std::fabs(about.lowLevel);
    const double high = std::fabs(about.highLevel);
    return low == high ? nearest : low > high ? about.low : about.high;
}

/// Elements that share a scale: unit and the first element beyond them.
struct Stretch {
    std::int64_t unit = 0;
    std::int64_t end = 0;
};

Stretch stretchFrom(const Scheme& scheme, const MatrixShape& matrix, std::int64_t element)
{
    if (scheme.granularity == Granularity::tensor)
        return {.unit = 0, .end = matrix.rows * matrix.cols};
    const std::int64_t row = element / matrix.cols;
    const std::int64_t rowEnd = (row + 1) * matrix.cols;
    if (scheme.granularity == Granularity::channel)
        return {.unit = row, .end = rowEnd};
    const std::int64_t group = (element - row * matrix.cols) / scheme.groupSize;
    const std::int64_t start = row * matrix.cols + group * scheme.groupSize;
    return {.unit = row * scheme.groupsPerRow(matrix.cols) + group,
            .end = rowEnd - start > scheme.groupSize ? start + scheme.groupSize : rowEnd};
}

} // namespace

Result<void> roundOtherwise(QuantizedTensor& coded, const TensorView& weights, OtherRounding rounding,
                            std::uint64_t seed, const JobContext& context)
{
    const MatrixShape matrix = coded.matrix();
    const Levels levels(coded.scheme);
    const CounterRng chance(seed);
    return parallelFor(context, weights.numel(), kRunChunk, [&](std::int64_t begin, std::int64_t end) {
        WeightTile tile(weights);
        const float* w = tile.read(begin, end - begin);
        for (std::int64_t next = begin; next < end;) {
            const Stretch stretch = stretchFrom(coded.scheme, matrix, next);
            const auto unit = static_cast<std::size_t>(stretch.unit);
            const Affine affine{.scale = coded.scales[unit] * coded.tensorScale,
                                .zero = coded.zeroPoints.empty() ? 0 : coded.zeroPoints[unit],
                                .minimum = coded.minima.empty() ? 0 : coded.minima[unit]};
            const std::int64_t last = std::min(end, stretch.end);
            for (std::int64_t i = affine.scale == 0 ? last : next; i < last; ++i) {
                const float weight = w[i - begin];
                if (!std::isfinite(weight))
                    continue;
                const Neighbours about = levels.about(weight, affine);
                std::uint8_t& code = coded.codes.as<std::uint8_t>()[i];
                if (rounding == OtherRounding::halfAway)
                    code = halfAway(about, code);
                else
                    code = chance.uniform(static_cast<std::uint64_t>(i)) < about.share ? about.high : about.low;
            }
            next = last;
        }
    });
}

} // namespace ql
