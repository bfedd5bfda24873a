// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/checkpoint/array_order.h"

#include "core/base/text.h"
#include "core/jobs/parallel.h"

#include <algorithm>
#include <cstring>
#include <new>

namespace ql {

namespace {

void copyElement(const std::byte* from, std::byte* to, const ArrayOrder& order)
{
    const auto size = static_cast<std::size_t>(order.elementBytes);
    std::memcpy(to, from, size);
    if (order.swapBytes > 1)
        for (std::byte* unit = to; unit < to + size; unit += order.swapBytes)
            std::reverse(unit, unit + order.swapBytes);
}

} // namespace

Result<std::shared_ptr<Buffer>> allocate(std::int64_t sizeBytes, const JobContext& context)
{
    QL_CHECK(context.checkMemory(sizeBytes, "the tensor"));
    try {
        return std::make_shared<Buffer>(sizeBytes);
    } catch (const std::bad_alloc&) {
        return Error{Errc::outOfMemory, "needs " + formatBytes(sizeBytes) + " of memory; close other programs", {}};
    }
}

Result<void> toNativeOrder(const std::byte* in, const Shape& shape, const ArrayOrder& order, std::byte* out,
                           const JobContext& context)
{
    const std::int64_t elements = numel(shape);
    const std::int64_t size = order.elementBytes;
    if (elements == 0)
        return {};
    if (!order.columns || shape.size() < 2)
        return parallelFor(context, elements, std::int64_t{1} << 18U, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t i = begin; i < end; ++i)
                copyElement(in + i * size, out + i * size, order);
        });

    // For each index of the middle dimensions a transposition of the first (fastest in the file) and the last (fastest
    // in memory), in patches that fit the cache.
    constexpr std::int64_t kRows = 64;
    constexpr std::int64_t kColumns = 1024;
    const std::int64_t rows = shape.front();
    const std::int64_t columns = shape.back();
    const std::int64_t middle = elements / rows / columns;
    const std::int64_t patchRows = ceilDiv(rows, kRows);
    const std::int64_t patchColumns = ceilDiv(columns, kColumns);
    const std::int64_t patches = patchRows * patchColumns;
    const auto patch = [&](std::int64_t task) {
        std::int64_t rest = task / patches; // row-major index of the middle dimensions
        std::int64_t inMiddle = 0;          // the same with the first of them fastest
        std::int64_t stride = middle;
        const std::int64_t outMiddle = rest;
        for (std::size_t d = shape.size() - 2; d >= 1; --d) {
            stride /= shape[d];
            inMiddle += rest % shape[d] * stride;
            rest /= shape[d];
        }
        const std::int64_t row0 = task % patches / patchColumns * kRows;
        const std::int64_t column0 = task % patches % patchColumns * kColumns;
        for (std::int64_t c = column0; c < std::min(columns, column0 + kColumns); ++c)
            for (std::int64_t r = row0; r < std::min(rows, row0 + kRows); ++r)
                copyElement(in + (r + rows * (inMiddle + middle * c)) * size,
                            out + ((r * middle + outMiddle) * columns + c) * size, order);
    };
    const std::int64_t patchElements = std::min(rows, kRows) * std::min(columns, kColumns);
    const std::int64_t grain = std::max<std::int64_t>(1, (std::int64_t{1} << 16U) / patchElements);
    return parallelFor(context, middle * patches, grain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t task = begin; task < end; ++task)
            patch(task);
    });
}

} // namespace ql
