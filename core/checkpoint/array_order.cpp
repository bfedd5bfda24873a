// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/checkpoint/array_order.h"

#include "core/base/text.h"
#include "core/jobs/parallel.h"
#include "core/tensor/permute.h"

#include <algorithm>
#include <new>
#include <numeric>

namespace ql {

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
    // The first index running fastest is the row-major order of the reversed shape.
    const Shape stored = order.columns ? Shape(shape.rbegin(), shape.rend()) : shape;
    std::vector<std::int64_t> axes(shape.size());
    std::iota(axes.begin(), axes.end(), std::int64_t{0});
    if (order.columns)
        std::ranges::reverse(axes);
    QL_CHECK(permuteAxes(in, stored, axes, order.elementBytes, out, context));
    if (order.swapBytes == 1)
        return {};
    const std::int64_t units = numel(shape) * order.elementBytes / order.swapBytes;
    return parallelFor(context, units, std::int64_t{1} << 18U, [&](std::int64_t begin, std::int64_t end) {
        for (std::byte* unit = out + begin * order.swapBytes; unit < out + end * order.swapBytes;
             unit += order.swapBytes)
            std::reverse(unit, unit + order.swapBytes);
    });
}

} // namespace ql
