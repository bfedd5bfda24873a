// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/name_rules.h"

#include <numeric>
#include <utility>

namespace ql {

namespace {

/// Stored as [groups, in, out, k…], it becomes [groups · out, in, k…].
void swapInEachGroup(Layer& layer, Shape seenAs)
{
    layer.shape = seenAs;
    layer.shape[2] = seenAs[1];
    layer.shape[1] = seenAs[0] * seenAs[2];
    layer.shape.erase(layer.shape.begin());
    std::vector<std::int64_t> axes(seenAs.size());
    std::iota(axes.begin(), axes.end(), std::int64_t{0});
    std::swap(axes[1], axes[2]);
    if (seenAs[0] == 1) { // said without the axis of groups
        seenAs.erase(seenAs.begin());
        axes.erase(axes.begin());
        for (std::int64_t& axis : axes)
            --axis;
    }
    layer.stored = {std::move(seenAs), std::move(axes)};
}

} // namespace

void storedAsInOut(Layer& layer)
{
    if (layer.numel() == 0)
        return;
    const std::int64_t out = layer.shape.back();
    const std::int64_t in = layer.shape[layer.shape.size() - 2];
    swapInEachGroup(layer, {layer.numel() / (in * out), in, out});
}

void describeUse(const TensorUse& use, Layer& layer)
{
    using Operation = TensorUse::Operation;
    if (layer.op == Operator::other || layer.shape.size() < 2 || layer.numel() == 0)
        return;
    switch (use.operation) {
    case Operation::none:
        break;
    case Operation::product:
        layer.op = Operator::linear;
        if (use.inOut)
            storedAsInOut(layer);
        break;
    case Operation::convolution:
        layer.op = Operator::convolution;
        break;
    case Operation::transposedConvolution:
        layer.op = Operator::convolution;
        if (const std::int64_t groups = use.groups; groups > 0 && layer.shape[0] % groups == 0) {
            Shape seenAs = layer.shape; // [in, out/groups, k…]
            seenAs[0] /= groups;
            seenAs.insert(seenAs.begin(), groups);
            swapInEachGroup(layer, std::move(seenAs));
        }
        break;
    case Operation::lookup:
        layer.op = Operator::embedding;
        break;
    }
}

} // namespace ql
