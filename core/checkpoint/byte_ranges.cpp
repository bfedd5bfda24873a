// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/checkpoint/byte_ranges.h"

#include "core/base/text.h"

#include <algorithm>
#include <tuple>

namespace ql {

Result<void> checkByteRanges(std::span<const TensorInfo> tensors, std::int64_t begin, std::int64_t end,
                             std::int64_t slackBytes, const std::string& where, std::vector<Warning>& warnings)
{
    std::vector<const TensorInfo*> sorted;
    sorted.reserve(tensors.size());
    for (const TensorInfo& tensor : tensors) {
        const auto last = addChecked(tensor.offset, tensor.sizeBytes);
        if (tensor.offset < begin || tensor.sizeBytes < 0 || !last || *last > end)
            return badInput("the tensor '" + printable(tensor.name) + "' (" + formatBytes(tensor.sizeBytes) +
                                ") lies outside the file's data; the file is truncated or damaged, get it again",
                            where);
        if (tensor.sizeBytes > 0)
            sorted.push_back(&tensor);
    }
    std::ranges::sort(sorted, {}, [](const TensorInfo* t) { return std::tuple(t->offset, t->sizeBytes); });

    std::int64_t covered = begin;
    std::int64_t unused = 0;
    std::int64_t shared = 0;
    const TensorInfo* previous = nullptr;
    const TensorInfo* firstShared = nullptr;
    for (const TensorInfo* tensor : sorted) {
        if (previous && tensor->offset == previous->offset && tensor->sizeBytes == previous->sizeBytes) {
            if (shared++ == 0)
                firstShared = tensor;
            continue;
        }
        if (tensor->offset < covered)
            return badInput("the tensors '" + printable(previous->name) + "' and '" + printable(tensor->name) +
                                "' overlap in the file; it is damaged, get it again",
                            where);
        const std::int64_t gap = tensor->offset - covered;
        unused += gap >= slackBytes ? gap : 0;
        covered = tensor->offset + tensor->sizeBytes;
        previous = tensor;
    }
    unused += end - covered >= slackBytes ? end - covered : 0;
    if (shared > 0)
        warnings.push_back({where, std::to_string(shared) +
                                       " tensor(s) share their bytes with another (first: " + firstShared->name + ")"});
    if (unused > 0)
        warnings.push_back({where, formatBytes(unused) + " of the file belong to no tensor"});
    return {};
}

} // namespace ql
