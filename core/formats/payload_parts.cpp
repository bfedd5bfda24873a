// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/payload_parts.h"

#include "core/base/checked.h"
#include "core/formats/block_format.h"
#include "core/formats/matrix_format.h"

#include <algorithm>

namespace ql {

namespace {

constexpr std::int64_t kFloat16 = 16;

void addAdditions(const Additions& additions, std::int64_t rows, std::int64_t cols, std::span<PayloadPart, 6> parts)
{
    const std::int64_t slots = additions.columnSlots(rows, cols);
    parts[0] = {"weights of kept columns", rows * slots, kFloat16};
    parts[1] = {"indices of kept columns", slots, 32};
    const std::int64_t sparse = additions.sparseCount(rows, cols);
    parts[2] = {"sparse weights", sparse, kFloat16};
    parts[3] = {"columns of sparse weights", sparse, sparseIndexBits(cols)};
    parts[4] = {"starts of rows of sparse weights", sparse > 0 ? rows + 1 : 0, 32};
    parts[5] = {"low-rank factors", additions.factorRank(rows, cols) * (rows + cols), kFloat16};
}

} // namespace

std::array<PayloadPart, kCodeParts + 6> payloadParts(const Scheme& scheme, std::int64_t rows, std::int64_t cols)
{
    std::array<PayloadPart, kCodeParts + 6> parts;
    addAdditions(scheme.additions, rows, cols, std::span(parts).subspan<kCodeParts, 6>());
    if (const BlockFormat* block = findBlockFormat(scheme)) {
        parts[0] = {"blocks", rows * ceilDiv(cols, block->elements), block->bytes * 8};
        return parts;
    }
    if (const MatrixFormat* matrix = findMatrixFormat(scheme)) {
        std::ranges::copy(matrix->parts({rows, cols}), parts.begin());
        return parts;
    }
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
