// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/checkpoint/stored_type.h"

#include "core/jobs/parallel.h"
#include "core/tensor/half.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

namespace ql {

namespace {
constexpr std::int64_t kGrain = 1 << 16; // elements
}

Result<TensorData> asStored(const TensorInfo& tensor, TensorData data, const JobContext& context)
{
    const Dtype dtype = tensor.dtype;
    const bool isPlain = dtype == Dtype::bf16 || dtype == Dtype::f16 || dtype == Dtype::f32 || dtype == Dtype::f64;
    if (data.view.dtype == dtype || !isPlain) // others are never computed
        return data;
    const std::int64_t n = data.view.numel();
    const std::int64_t bytes = info(dtype).blockBytes;
    QL_CHECK(context.checkMemory(n * bytes, "rounded weights"));
    const auto buffer = std::make_shared<Buffer>(n * bytes);
    std::atomic<bool> overflows = false;
    QL_CHECK(parallelFor(context, n, kGrain, [&](std::int64_t begin, std::int64_t end) {
        std::byte* const out = buffer->data() + begin * bytes;
        if (dtype == Dtype::f64)
            return decode(data.view.dtype, data.view.data, begin, end - begin, reinterpret_cast<double*>(out));
        if (dtype == Dtype::f32)
            return decode(data.view.dtype, data.view.data, begin, end - begin, reinterpret_cast<float*>(out));
        std::vector<float> values(static_cast<std::size_t>(end - begin));
        decode(data.view.dtype, data.view.data, begin, end - begin, values.data());
        auto* const bits = reinterpret_cast<std::uint16_t*>(out);
        for (std::size_t i = 0; i < values.size(); ++i) {
            bits[i] = dtype == Dtype::bf16 ? bf16FromFloat(values[i]) : f16FromFloat(values[i]);
            const float rounded = dtype == Dtype::bf16 ? floatFromBf16(bits[i]) : floatFromF16(bits[i]);
            if (std::isinf(rounded) && !std::isinf(values[i]))
                overflows = true;
        }
    }));
    if (overflows)
        return refused("holds values after the transform that " + std::string(info(dtype).word) +
                           " cannot; take a milder transform, or a checkpoint in bf16",
                       tensor.name);
    return TensorData{{dtype, data.view.shape, buffer->data()}, buffer};
}

Result<TensorData> loadAsStored(const Checkpoint& checkpoint, std::int64_t tensor, const JobContext& context)
{
    QL_TRY(data, checkpoint.load(tensor, context));
    return asStored(checkpoint.tensors()[static_cast<std::size_t>(tensor)], std::move(data), context);
}

std::string variantOf(const Checkpoint& checkpoint)
{
    const auto entries = checkpoint.metadata();
    const auto found = std::ranges::find(entries, kVariantKey, &std::pair<std::string, std::string>::first);
    return found == entries.end() ? std::string() : found->second;
}

} // namespace ql
