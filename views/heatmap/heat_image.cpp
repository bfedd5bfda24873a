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
constexpr std::int32_t kFewTexels = 7; // of a pixel: loops of so few turns, never the same number, cost most of a frame

/// The table's step for |x|. Bit patterns of non-negative floats order like the floats, so steps do too.
std::int16_t stepOf(float x)
{
    return static_cast<std::int16_t>((std::bit_cast<std::int32_t>(x) & kMagnitudeMask) >> kTableShift);
}

/// The largest k with 2^k ≤ n.
int powerOf(std::int32_t n)
{
    return static_cast<int>(std::bit_width(static_cast<std::uint32_t>(n))) - 1;
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
    placeColumns(level, width, stepX);
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
        reduceRows(level, first, last);
        colour(line, width);
    }
    return m_image;
}

void HeatImage::placeColumns(const Level& level, int width, double cellsPerPixel)
{
    m_first.resize(static_cast<std::size_t>(width));
    m_last.resize(static_cast<std::size_t>(width));
    std::int32_t most = 1;
    for (int x = 0; x < width; ++x) {
        const auto i = static_cast<std::size_t>(x);
        texelRange(m_part.x, cellsPerPixel, x, m_pyramid->cols, level.shift, m_first[i], m_last[i]);
        most = std::max(most, m_last[i] - m_first[i] + 1);
    }
    m_firstTexel = m_first.front();
    m_texels = m_last.back() - m_firstTexel + 1;
    m_windowSizes = most <= kFewTexels ? powerOf(most) + 1 : 0;
    for (std::size_t i = 0; i < m_first.size(); ++i) {
        m_first[i] -= m_firstTexel;
        m_last[i] -= m_firstTexel;
        if (m_windowSizes == 0)
            continue;
        const int power = powerOf(m_last[i] - m_first[i] + 1);
        m_first[i] += power * m_texels;
        m_last[i] += power * m_texels + 1 - (1 << power);
    }
    m_maxima.resize(static_cast<std::size_t>(m_texels) * static_cast<std::size_t>(std::max(1, m_windowSizes)));
}

void HeatImage::reduceRows(const Level& level, std::int32_t first, std::int32_t last)
{
    const float* source = level.data + first * level.cols + m_firstTexel;
    std::int16_t* maxima = m_maxima.data();
    for (std::int32_t c = 0; c < m_texels; ++c)
        maxima[c] = stepOf(source[c]);
    for (std::int32_t row = first + 1; row <= last; ++row) {
        source += level.cols;
        for (std::int32_t c = 0; c < m_texels; ++c)
            maxima[c] = std::max(maxima[c], stepOf(source[c]));
    }
    for (int power = 1; power < m_windowSizes; ++power) {
        const std::int32_t half = 1 << (power - 1);
        const std::int16_t* halves = maxima;
        maxima += m_texels;
        for (std::int32_t c = 0; c <= m_texels - 2 * half; ++c)
            maxima[c] = std::max(halves[c], halves[c + half]);
    }
}

void HeatImage::colour(QRgb* line, int width) const
{
    const std::int16_t* maxima = m_maxima.data();
    const std::int32_t* first = m_first.data();
    const std::int32_t* last = m_last.data();
    const QRgb* table = m_table.data();
    if (m_windowSizes > 0) {
        for (int x = 0; x < width; ++x)
            line[x] = table[std::max(maxima[first[x]], maxima[last[x]])];
        return;
    }
    for (int x = 0; x < width; ++x) {
        std::int16_t largest = 0;
        for (std::int32_t c = first[x]; c <= last[x]; ++c)
            largest = std::max(largest, maxima[c]);
        line[x] = table[largest];
    }
}

} // namespace ql::views
