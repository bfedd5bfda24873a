// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/element_coder.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace ql {

namespace {

/// The least float that is coded above code i of a codebook: beyond the middle, or on it if the tie goes up.
float thresholdAbove(float level, float next, bool tieGoesUp)
{
    const double middle = (static_cast<double>(level) + static_cast<double>(next)) / 2;
    const auto threshold = static_cast<float>(middle);
    const auto exact = static_cast<double>(threshold);
    return exact < middle || (exact == middle && !tieGoesUp)
               ? std::nextafter(threshold, std::numeric_limits<float>::infinity())
               : threshold;
}

} // namespace

ElementCoder::ElementCoder(const Scheme& scheme) : kind(scheme.element->kind), bits(scheme.element->bits)
{
    const NumberFormat& format = *scheme.element;
    minLevel = format.grid.levels.empty() ? 0 : format.grid.levels.front();
    maxLevel = format.maxLevel;
    unsignedCodes = scheme.zeroPoint == ZeroPoint::minimum;
    switch (kind) {
    case FormatKind::integer: {
        const int half = 1 << (bits - 1);
        low = unsignedCodes ? 0 : scheme.restricted ? 1 - half : -half;
        high = unsignedCodes ? 2 * half - 1 : half - 1;
        step = format.levels[1];
        break;
    }
    case FormatKind::minifloat:
        mantissaBits = format.mantissaBits;
        bias = (1 << (format.exponentBits - 1)) - 1;
        smallestNormal = std::ldexp(1.0F, 1 - bias);
        magic = std::ldexp(1.0F, 24 - bias - mantissaBits);
        for (int code = 0; code < 1 << (bits - 1); ++code) {
            const float level = format.levels[static_cast<std::size_t>(code)];
            if (std::isfinite(level))
                lastFinite = code;
            if (std::isinf(level))
                infinite = code;
        }
        break;
    case FormatKind::codebook:
        takeLevels(format.grid.levels, format.grid.codes);
        break;
    case FormatKind::cast:
    case FormatKind::keep:
    case FormatKind::packed: // coded by block
        break;
    }
}

void ElementCoder::takeLevels(std::span<const float> ascending, std::span<const std::uint8_t> codesOfThem)
{
    levelCount = static_cast<int>(ascending.size());
    thresholds.fill(std::numeric_limits<float>::quiet_NaN());
    for (std::size_t i = 0; i < ascending.size(); ++i) {
        codes[i] = codesOfThem[i];
        inOrder = inOrder && codesOfThem[i] == i;
        levels[codesOfThem[i]] = ascending[i];
        if (i + 1 < ascending.size())
            thresholds[i] = thresholdAbove(ascending[i], ascending[i + 1], codesOfThem[i] % 2 != 0);
    }
}

ElementCoder ElementCoder::steps(int count)
{
    ElementCoder coder(FormatKind::integer);
    coder.high = count - 1;
    coder.unsignedCodes = true;
    return coder;
}

ElementCoder ElementCoder::codebook(std::span<const float> levels)
{
    ElementCoder coder(FormatKind::codebook);
    coder.minLevel = levels.front();
    coder.maxLevel = levels.back();
    std::array<std::uint8_t, 256> inOrder;
    std::iota(inOrder.begin(), inOrder.end(), std::uint8_t{0});
    coder.takeLevels(levels, std::span(inOrder).first(levels.size()));
    return coder;
}

RoughBounds::RoughBounds(const ElementCoder& coder, std::int64_t n, std::int64_t runLength, float absMax)
    : m_step(static_cast<double>(coder.step)),
      m_levels(coder.kind == FormatKind::integer
                   ? static_cast<double>(1 << coder.bits)
                   : static_cast<double>(std::max(std::fabs(coder.minLevel), coder.maxLevel))),
      m_absMax(static_cast<double>(absMax)),
      // The distance |w − ŵ| of one weight, of values up to `reach`. Where both ways choose one level, its products,
      // sums and differences are rounded to float: at most 2⁻²²·reach apart. Where they choose neighbours, the
      // quotients lie on two sides of the middle and at most 3·2⁻²⁴ of themselves apart, so the distances differ by at
      // most 2⁻²¹·reach more. As vectors of n distances their lengths are at most √n times that apart.
      m_apart(std::sqrt(static_cast<double>(n)) * 0x1p-20),
      // A rough sum: 16 partial sums of squares in float.
      m_rounding(static_cast<double>(runLength / 16 + 16) * 0x1p-23)
{}

ErrorBounds RoughBounds::of(const Affine& affine, double roughError) const
{
    const double step = std::fabs(static_cast<double>(affine.scale)) * m_step;
    const double reach = m_absMax + std::fabs(static_cast<double>(affine.minimum)) + m_levels * step;
    // Beyond these, products and squares could overflow or vanish.
    if (!(step > 0x1p-40) || !(reach < 0x1p60) || !std::isfinite(roughError))
        return {0, std::numeric_limits<double>::infinity()};
    const double length = std::sqrt(roughError);
    const double least = std::max(0.0, length * (1 - m_rounding) - m_apart * reach);
    const double most = length * (1 + m_rounding) + m_apart * reach;
    constexpr double kDoubles = 1e-9; // what sums in double lose, generously
    return {least * least * (1 - kDoubles), most * most * (1 + kDoubles)};
}

void RunRange::merge(const RunRange& other)
{
    allFinite = allFinite && other.allFinite;
    if (!other.any)
        return;
    min = any ? std::min(min, other.min) : other.min;
    max = any ? std::max(max, other.max) : other.max;
    absMax = std::max(absMax, other.absMax);
    any = true;
}

} // namespace ql
