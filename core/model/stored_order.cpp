// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/stored_order.h"

#include "core/checkpoint/array_order.h"
#include "core/jobs/parallel.h"
#include "core/tensor/permute.h"

namespace ql {

namespace {

/// Elements that share bytes cannot be moved one by one.
Result<TensorData> asFloat32(const TensorView& view, const JobContext& context)
{
    const std::int64_t block = info(view.dtype).blockElements;
    QL_TRY(buffer, allocate(view.numel() * 4, context));
    QL_CHECK(parallelFor(context, view.numel(), block << 14U, [&](std::int64_t begin, std::int64_t end) {
        decode(view.dtype, view.data, begin, end - begin, buffer->as<float>() + begin);
    }));
    return TensorData{{Dtype::f32, view.shape, buffer->data()}, buffer};
}

} // namespace

Result<TensorData> toLayerOrder(const Layer& layer, TensorData stored, const JobContext& context)
{
    if (!layer.stored.moves()) {
        stored.view.shape = layer.shape;
        return stored;
    }
    if (info(stored.view.dtype).blockElements > 1) {
        QL_TRY(decoded, asFloat32(stored.view, context));
        stored = std::move(decoded);
    }
    const std::int64_t elementBytes = info(stored.view.dtype).blockBytes;
    QL_TRY(moved, allocate(stored.view.numel() * elementBytes, context));
    QL_CHECK(
        permuteAxes(stored.view.data, layer.stored.seenAs, layer.stored.axes, elementBytes, moved->data(), context));
    return TensorData{{stored.view.dtype, layer.shape, moved->data()}, moved};
}

Result<Buffer> toStoredOrder(const Layer& layer, Buffer values, const JobContext& context)
{
    const auto& [seenAs, axes] = layer.stored;
    if (!layer.stored.moves() || layer.numel() == 0)
        return values;
    Shape shape;
    std::vector<std::int64_t> back(axes.size());
    for (std::size_t d = 0; d < axes.size(); ++d) {
        shape.push_back(seenAs[static_cast<std::size_t>(axes[d])]);
        back[static_cast<std::size_t>(axes[d])] = static_cast<std::int64_t>(d);
    }
    QL_CHECK(context.checkMemory(values.sizeBytes(), "weights in the order of the checkpoint"));
    Buffer moved(values.sizeBytes());
    QL_CHECK(permuteAxes(values.data(), shape, back, values.sizeBytes() / layer.numel(), moved.data(), context));
    return moved;
}

} // namespace ql
