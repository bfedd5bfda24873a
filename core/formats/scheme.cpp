// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/scheme.h"

#include "core/base/checked.h"
#include "core/formats/block_format.h"

#include <cmath>

namespace ql {

std::int64_t Scheme::groupsPerRow(std::int64_t cols) const
{
    return granularity == Granularity::group ? ceilDiv(cols, groupSize) : 1;
}

std::int64_t Scheme::scaleCount(std::int64_t rows, std::int64_t cols) const
{
    if (isCast() || isKeep() || isPacked() || rows == 0 || cols == 0)
        return 0;
    return granularity == Granularity::tensor ? 1 : rows * groupsPerRow(cols);
}

bool operator==(const Scheme& a, const Scheme& b)
{
    return a.element->id == b.element->id && a.name == b.name && a.granularity == b.granularity &&
           a.groupSize == b.groupSize && a.zeroPoint == b.zeroPoint && a.restricted == b.restricted &&
           a.scale == b.scale && a.scaleGiven == b.scaleGiven;
}

std::int64_t payloadBits(const Scheme& scheme, std::int64_t rows, std::int64_t cols, double bitsPerElementKept)
{
    const std::int64_t elements = rows * cols;
    if (scheme.isKeep())
        return std::llround(bitsPerElementKept * static_cast<double>(elements));
    if (const BlockFormat* block = findBlockFormat(scheme))
        return rows * ceilDiv(cols, block->elements) * block->bytes * 8;
    std::int64_t perScale = scaleBits(scheme.scale);
    if (scheme.zeroPoint == ZeroPoint::integer)
        perScale += scheme.element->bits;
    if (scheme.zeroPoint == ZeroPoint::minimum)
        perScale += scaleBits(scheme.scale);
    const std::int64_t scales = scheme.scaleCount(rows, cols);
    const std::int64_t tensorScale = scheme.scale == ScaleCoding::ue4m3 && scales > 0 ? 32 : 0;
    return elements * scheme.element->bits + scales * perScale + tensorScale;
}

} // namespace ql
