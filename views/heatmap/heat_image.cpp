// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/heatmap/heat_image.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace ql::views {

namespace {

constexpr std::size_t kTableSize = 1U << 15U; // sign dropped
constexpr int kTableShift = 16;
constexpr std::int32_t kMagnitudeMask = 0x7fffffff;
constexpr double kReadsPerFrame = 6e6; // texels; more would pass the frame's budget

/// Bit patterns of non-negative floats order like the floats.
std::int32_t magnitudeBits(float x)
{
    return std::bit_cast<std::int32_t>(x) & kMagnitudeMask;
}

/// Texels a pixel shows. Several cells to the pixel: all it touches; otherwise the one under its centre, which is hit
/// because a cell is then at least a pixel wide.
void texelRange(double origin, double cellsPerPixel, int pixel, std::int64_t cells, int shift, std::int32_t& first,
                std::int32_t& last)
{
    double from = origin + (pixel + 0.5) * cellsPerPixel;
    double to = from;
    if (cellsPerPixel > 1) {
        from = origin + pixel * cellsPerPixel;
        to = std::ceil(from + cellsPerPixel) - 1;
    }
    const auto cellOf = [cells](double x) {
        return static_cast<std::int64_t>(std::clamp(std::floor(x), 0.0, static_cast<double>(cells - 1)));
    };
    first = static_cast<std::int32_t>(cellOf(from) >> shift);
    last = static_cast<std::int32_t>(std::max(cellOf(from), cellOf(to)) >> shift);
}

} // namespace

double HeatScale::position(double magnitude) const
{
    if (!(high > low))
        return magnitude >= high ? 1 : 0;
    if (!logarithmic)
        return std::clamp((magnitude - low) / (high - low), 0.0, 1.0);
    if (magnitude <= low || low <= 0)
        return magnitude >= high ? 1 : 0;
    return std::clamp(std::log(magnitude / low) / std::log(high / low), 0.0, 1.0);
}

QRgb HeatScale::color(double magnitude) const
{
    if (!std::isfinite(magnitude))
        return kNonFiniteColor;
    return magnitude == 0 ? kZeroColor : colorAt(map, position(magnitude));
}

void HeatImage::setPyramid(std::shared_ptr<const OutlierPyramid> pyramid)
{
    m_pyramid = std::move(pyramid);
    m_valid = false;
}

void HeatImage::setScale(const HeatScale& scale)
{
    if (scale == m_scale && !m_table.empty())
        return;
    m_scale = scale;
    m_valid = false;
    m_table.resize(kTableSize);
    for (std::size_t i = 0; i < kTableSize; ++i) {
        const float low = std::bit_cast<float>(static_cast<std::uint32_t>(i) << kTableShift);
        // The step's middle; the first step holds zero and magnitudes below 1e-40.
        const float middle = std::bit_cast<float>((static_cast<std::uint32_t>(i) << kTableShift) | 0x8000U);
        m_table[i] =
            i == 0 ? kZeroColor : m_scale.color(std::isfinite(low) ? static_cast<double>(middle) : double{INFINITY});
    }
}

HeatImage::Level HeatImage::chooseLevel(double cellsPerPixelX, double cellsPerPixelY, QSize pixels) const
{
    const OutlierPyramid& p = *m_pyramid;
    const double finest = std::min(cellsPerPixelX, cellsPerPixelY);
    int shift = finest > 1 ? static_cast<int>(std::ceil(std::log2(finest))) : 0;
    const double cells = cellsPerPixelX * pixels.width() * cellsPerPixelY * pixels.height();
    while (cells / std::exp2(2 * shift) > kReadsPerFrame)
        ++shift;
    if (p.values.empty())
        shift = std::max(shift, 1);
    shift = std::min(shift, static_cast<int>(p.levels.size()));
    if (shift == 0)
        return {p.values.data(), p.rows, p.cols, 0};
    const PyramidLevel& level = p.levels[static_cast<std::size_t>(shift - 1)];
    return {level.maxAbs.data(), level.rows, level.cols, shift};
}

const QImage& HeatImage::render(const CellRect& part, QSize pixels)
{
    if (!m_pyramid || m_pyramid->rows <= 0 || m_pyramid->cols <= 0 || pixels.isEmpty() || part.w <= 0 || part.h <= 0) {
        m_image = QImage();
        m_valid = false;
        return m_image;
    }
    if (m_image.size() != pixels) {
        m_image = QImage(pixels, QImage::Format_RGB32); // reused: a fresh one per frame costs more than the colouring
        m_valid = false;
    }
    if (m_valid && part == m_part)
        return m_image;
    if (m_table.empty())
        setScale(m_scale);
    m_part = part;
    m_valid = true;

    const int width = pixels.width();
    const double stepX = part.w / width;
    const double stepY = part.h / pixels.height();
    const Level level = chooseLevel(stepX, stepY, pixels);
    m_firstCol.resize(static_cast<std::size_t>(width));
    m_lastCol.resize(static_cast<std::size_t>(width));
    std::int32_t most = 0; // texels a pixel spans beyond its first
    for (int x = 0; x < width; ++x) {
        const auto i = static_cast<std::size_t>(x);
        texelRange(part.x, stepX, x, m_pyramid->cols, level.shift, m_firstCol[i], m_lastCol[i]);
        most = std::max(most, m_lastCol[i] - m_firstCol[i]);
    }
    const auto begin = static_cast<std::size_t>(m_firstCol.front());
    const auto end = static_cast<std::size_t>(m_lastCol.back()) + 1;
    m_row.resize(static_cast<std::size_t>(level.cols));

    std::int32_t previousFirst = -1;
    std::int32_t previousLast = -1;
    for (int y = 0; y < pixels.height(); ++y) {
        auto* line = reinterpret_cast<QRgb*>(m_image.scanLine(y));
        std::int32_t first = 0;
        std::int32_t last = 0;
        texelRange(part.y, stepY, y, m_pyramid->rows, level.shift, first, last);
        if (first == previousFirst && last == previousLast) {
            std::memcpy(line, m_image.constScanLine(y - 1), static_cast<std::size_t>(width) * sizeof(QRgb));
            continue;
        }
        previousFirst = first;
        previousLast = last;
        const float* source = level.data + static_cast<std::ptrdiff_t>(first) * level.cols;
        std::int32_t* row = m_row.data();
        for (std::size_t c = begin; c < end; ++c)
            row[c] = magnitudeBits(source[c]);
        for (std::int32_t r = first + 1; r <= last; ++r) {
            source += level.cols;
            for (std::size_t c = begin; c < end; ++c)
                row[c] = std::max(row[c], magnitudeBits(source[c]));
        }
        const std::int32_t* from = m_firstCol.data();
        const std::int32_t* to = m_lastCol.data();
        if (most == 0) {
            for (int x = 0; x < width; ++x)
                line[x] = m_table[static_cast<std::size_t>(row[from[x]] >> kTableShift)];
        } else if (most == 1) {
            for (int x = 0; x < width; ++x)
                line[x] = m_table[static_cast<std::size_t>(std::max(row[from[x]], row[to[x]]) >> kTableShift)];
        } else {
            for (int x = 0; x < width; ++x) {
                std::int32_t largest = row[from[x]];
                for (std::int32_t c = from[x] + 1; c <= to[x]; ++c)
                    largest = std::max(largest, row[c]);
                line[x] = m_table[static_cast<std::size_t>(largest >> kTableShift)];
            }
        }
    }
    return m_image;
}

} // namespace ql::views
