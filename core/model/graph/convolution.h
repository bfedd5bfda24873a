// SPDX-License-Identifier: GPL-3.0-or-later
// A convolution as a product: which element of x[batch, channels, …] each tap of W[out, in/groups, …] meets at each
// place of the output.
#pragma once

#include "core/model/graph/window.h"

namespace ql::graph {

struct Convolution {
    Windows windows;
    std::int64_t batch = 0, groups = 0, in = 0, out = 0; // channels of one group

    /// An error if the shapes do not fit each other and the node's attributes (window.h; `groups`).
    static Result<Convolution> of(const Node& node, const Shape& x, const Shape& w)
    {
        Convolution c;
        c.groups = node.integer("groups", 1);
        if (x.size() < 3 || w.size() != x.size() || c.groups < 1 || mulChecked(w[1], c.groups) != x[1] ||
            w[0] % c.groups != 0)
            return nodeError(node, "inputs " + formatShape(x) + " meet weights " + formatShape(w) + " in " +
                                       std::to_string(c.groups) + " groups");
        QL_TRY(windows, windowsOf(node, x, {w.begin() + 2, w.end()}));
        c.windows = windows;
        c.batch = x[0];
        c.in = w[1];
        c.out = w[0] / c.groups;
        return c;
    }

    std::int64_t taps() const { return windows[0].kernel * windows[1].kernel; }
    std::int64_t places() const { return windows[0].out * windows[1].out; }
    std::int64_t plane() const { return windows[0].in * windows[1].in; }
    std::int64_t depth() const { return in * taps(); }

    /// Calls visit(line, place, at, step, n) for each run of n places from first + place on, before last, whose inputs
    /// lie at at, at + step, … of the plane of channel 0. A line is channel · taps + tap; what lies in the padding is
    /// left out.
    template<typename Visit>
    void forRuns(std::int64_t channels, std::int64_t first, std::int64_t last, const Visit& visit) const
    {
        const auto& [rows, cols] = windows;
        for (std::int64_t line = 0; line < channels * taps(); ++line) {
            const std::int64_t kx = line % cols.kernel;
            const std::int64_t ky = line / cols.kernel % rows.kernel;
            const std::int64_t channel = line / taps();
            for (std::int64_t oy = first / cols.out; oy * cols.out < last; ++oy) {
                const std::int64_t y = rows.at(oy, ky);
                const std::int64_t begin = std::max(cols.firstInside(kx), first - oy * cols.out);
                const std::int64_t end = std::min(cols.lastInside(kx), last - oy * cols.out);
                if (y >= 0 && y < rows.in && begin < end)
                    visit(line, oy * cols.out + begin - first, channel * plane() + y * cols.in + cols.at(begin, kx),
                          cols.stride, end - begin);
            }
        }
    }
};

} // namespace ql::graph
