// SPDX-License-Identifier: GPL-3.0-or-later
// Windows that slide over the last one or two dimensions of x[batch, channels, …], for convolutions and pooling. The
// node's `strides`, `dilations` and `pads` (before each dimension, then behind) default to 1, 1 and 0; `auto_pad` =
// "same_upper" or "same_lower" chooses pads so that out = ⌈in / stride⌉; `ceil` = 1 rounds the number of windows up
// (none begins in the padding behind). One dimension is two, the first of size 1.
#pragma once

#include "core/model/graph/indexing.h"

namespace ql::graph {

struct Window {
    std::int64_t in = 1, out = 1, kernel = 1, stride = 1, dilation = 1, before = 0, behind = 0;
    /// The input that tap k of window o sees; outside [0, in) in the padding.
    std::int64_t at(std::int64_t o, std::int64_t k) const { return o * stride - before + k * dilation; }
    /// The taps of window o that lie inside: [first, last).
    std::int64_t firstTap(std::int64_t o) const
    {
        const std::int64_t need = before - o * stride;
        return need > 0 ? std::min(kernel, ceilDiv(need, dilation)) : 0;
    }
    std::int64_t lastTap(std::int64_t o) const
    {
        const std::int64_t room = in + before - o * stride;
        return room > 0 ? std::clamp(ceilDiv(room, dilation), firstTap(o), kernel) : firstTap(o);
    }
    /// The windows whose tap k lies inside: [first, last).
    std::int64_t firstInside(std::int64_t k) const
    {
        const std::int64_t need = before - k * dilation;
        return need > 0 ? std::min(out, ceilDiv(need, stride)) : 0;
    }
    std::int64_t lastInside(std::int64_t k) const
    {
        const std::int64_t room = in + before - k * dilation;
        return room > 0 ? std::clamp(ceilDiv(room, stride), firstInside(k), out) : firstInside(k);
    }
};

using Windows = std::array<Window, 2>; // rows, columns

/// For an input [batch, channels, …] and the sizes of the kernel.
inline Result<Windows> windowsOf(const Node& node, const Shape& shape, const std::vector<std::int64_t>& kernel)
{
    const std::size_t rank = kernel.size();
    const auto* strides = node.integers("strides");
    const auto* dilations = node.integers("dilations");
    const auto* pads = node.integers("pads");
    if (rank < 1 || rank > 2 || shape.size() != rank + 2 || (strides && strides->size() != rank) ||
        (dilations && dilations->size() != rank) || (pads && pads->size() != 2 * rank))
        return nodeError(node, "cannot slide a window " + formatShape(kernel) + " over " + formatShape(shape));
    const std::string_view autoPad = node.text("auto_pad", "");
    Windows windows;
    for (std::size_t d = 0; d < rank; ++d) {
        Window& w = windows[d + 2 - rank];
        w = {.in = shape[d + 2],
             .kernel = kernel[d],
             .stride = strides ? (*strides)[d] : 1,
             .dilation = dilations ? (*dilations)[d] : 1,
             .before = pads ? (*pads)[d] : 0,
             .behind = pads ? (*pads)[rank + d] : 0};
        const std::int64_t most = std::max({w.kernel, w.stride, w.dilation, w.before, w.behind});
        if (std::min({w.kernel, w.stride, w.dilation}) < 1 || std::min(w.before, w.behind) < 0 || most >= kLimit)
            return nodeError(node, "has a window of a size, stride, dilation or padding that cannot be");
        const std::int64_t reach = (w.kernel - 1) * w.dilation + 1;
        if (autoPad == "same_upper" || autoPad == "same_lower") {
            const std::int64_t all = std::max<std::int64_t>(0, (ceilDiv(w.in, w.stride) - 1) * w.stride + reach - w.in);
            w.before = (all + (autoPad == "same_lower" ? 1 : 0)) / 2;
            w.behind = all - w.before;
        }
        const std::int64_t room = w.in + w.before + w.behind - reach;
        if (room < 0 || w.in < 1)
            return nodeError(node, "has a window that reaches over " + std::to_string(reach) + " elements of " +
                                       std::to_string(w.in + w.before + w.behind));
        w.out = room / w.stride + 1;
        if (node.integer("ceil", 0) != 0 && room % w.stride != 0 && w.out * w.stride < w.in + w.before)
            ++w.out;
    }
    if (windows[0].out * windows[1].out >= kLimit)
        return nodeError(node, "has more than 2³¹ windows");
    return windows;
}

/// [batch, channels, …] behind the windows.
inline Shape windowedShape(const Shape& shape, std::int64_t channels, const Windows& windows)
{
    Shape out{shape[0], channels};
    for (std::size_t d = 4 - shape.size(); d < 2; ++d)
        out.push_back(windows[d].out);
    return out;
}

} // namespace ql::graph
