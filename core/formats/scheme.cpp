// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/scheme.h"

#include "core/base/checked.h"
#include "core/formats/payload_parts.h"

#include <cmath>

namespace ql {

Scheme Scheme::base() const
{
    Scheme base = *this;
    base.additions = {};
    return base;
}

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
           a.scale == b.scale && a.scaleGiven == b.scaleGiven && a.additions == b.additions;
}

std::int64_t payloadBits(const Scheme& scheme, std::int64_t rows, std::int64_t cols, double bitsPerElementKept)
{
    if (scheme.isKeep())
        return std::llround(bitsPerElementKept * static_cast<double>(rows * cols));
    std::int64_t bits = 0;
    for (const PayloadPart& part : payloadParts(scheme, rows, cols))
        bits += part.bits();
    return bits;
}

} // namespace ql
