// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/payload_parts.h"

#include "core/base/checked.h"
#include "core/formats/block_format.h"

namespace ql {

std::array<PayloadPart, 5> payloadParts(const Scheme& scheme, std::int64_t rows, std::int64_t cols)
{
    if (const BlockFormat* block = findBlockFormat(scheme))
        return {{{"blocks", rows * ceilDiv(cols, block->elements), block->bytes * 8}, {}, {}, {}, {}}};
    std::array<PayloadPart, 5> parts;
    parts[0] = {"codes", rows * cols, scheme.element->bits};
    if (scheme.isCast())
        return parts;
    const std::int64_t scales = scheme.scaleCount(rows, cols);
    parts[1] = {"scales", scales, scaleBits(scheme.scale)};
    if (scheme.zeroPoint == ZeroPoint::integer)
        parts[2] = {"zero points", scales, scheme.element->bits};
    if (scheme.zeroPoint == ZeroPoint::minimum)
        parts[2] = {"minima", scales, scaleBits(scheme.scale)};
    if (scheme.scale == ScaleCoding::ue4m3)
        parts[3] = {"scale of the tensor", scales > 0 ? 1 : 0, 32};
    if (scheme.element->sharedBits > 0)
        parts[4] = {"levels of the codebook", scales > 0 ? 1 : 0, scheme.element->sharedBits};
    return parts;
}

} // namespace ql
