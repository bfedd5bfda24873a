// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/element_coder.h"

#include <algorithm>
#include <cmath>
#include <limits>

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
        levelCount = static_cast<int>(format.levels.size());
        std::copy(format.levels.begin(), format.levels.end(), levels.begin());
        for (std::size_t i = 0; i + 1 < format.levels.size(); ++i)
            thresholds[i] = thresholdAbove(levels[i], levels[i + 1], i % 2 != 0);
        break;
    case FormatKind::cast:
    case FormatKind::keep:
        break;
    }
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
