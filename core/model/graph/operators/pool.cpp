// SPDX-License-Identifier: GPL-3.0-or-later
// The largest or the mean element under a window (window.h) of `kernel` elements: `kind` = "max" or "average". The mean
// is over the elements inside x, or with `count_pads` = 1 over those of the padding too. Without `kernel` the window is
// the whole plane. The gradient of max goes to the first of equals.
#include "core/model/graph/window.h"

#include <limits>

namespace ql::graph {

namespace {

struct Problem {
    Windows windows;
    bool isMax = false, countsPads = false;
    std::int64_t plane() const { return windows[0].in * windows[1].in; }
    std::int64_t places() const { return windows[0].out * windows[1].out; }
};

template<typename C>
Result<Problem> problemOf(const C& call)
{
    const Shape& shape = call.real(0).shape();
    const std::string_view kind = call.node.text("kind", "max");
    if (shape.size() < 3 || (kind != "max" && kind != "average"))
        return nodeError(call.node, "cannot pool " + formatShape(shape) + " by '" + std::string(kind) + "'");
    const auto* kernel = call.node.integers("kernel");
    QL_TRY(windows, windowsOf(call.node, shape, kernel ? *kernel : Shape(shape.begin() + 2, shape.end())));
    return Problem{windows, kind == "max", call.node.integer("count_pads", 0) != 0};
}

/// Calls visit(place, at) for every element inside x under every window of a plane, window by window.
template<typename Visit>
void forElements(const Problem& p, const Visit& visit)
{
    const auto& [rows, cols] = p.windows;
    for (std::int64_t place = 0; place < p.places(); ++place) {
        const std::int64_t oy = place / cols.out;
        const std::int64_t ox = place % cols.out;
        for (std::int64_t ky = rows.firstTap(oy); ky < rows.lastTap(oy); ++ky)
            for (std::int64_t kx = cols.firstTap(ox); kx < cols.lastTap(ox); ++kx)
                visit(place, rows.at(oy, ky) * cols.in + cols.at(ox, kx));
    }
}

/// How many elements each window averages.
std::vector<std::int64_t> countsOf(const Problem& p)
{
    std::vector<std::int64_t> counts(static_cast<std::size_t>(p.places()), 0);
    if (!p.countsPads) {
        forElements(p, [&](std::int64_t place, std::int64_t) { ++counts[static_cast<std::size_t>(place)]; });
        return counts;
    }
    const auto taps = [](const Window& w, std::int64_t o) { // that end in x or its padding
        return std::min(w.kernel, ceilDiv(w.in + w.before + w.behind - o * w.stride, w.dilation));
    };
    for (std::int64_t place = 0; place < p.places(); ++place)
        counts[static_cast<std::size_t>(place)] =
            taps(p.windows[0], place / p.windows[1].out) * taps(p.windows[1], place % p.windows[1].out);
    return counts;
}

/// Where the largest element of each window of a plane stands; −1 if all is padding.
template<typename T>
std::vector<std::int64_t> largestOf(const Problem& p, const T* x)
{
    std::vector<std::int64_t> best(static_cast<std::size_t>(p.places()), -1);
    forElements(p, [&](std::int64_t place, std::int64_t at) {
        std::int64_t& known = best[static_cast<std::size_t>(place)];
        if (known < 0 || x[at] > x[known])
            known = at;
    });
    return best;
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_TRY(p, problemOf(call));
    const Shape& shape = call.real(0).shape();
    T* y = call.make(0, windowedShape(shape, shape[1], p.windows));
    const auto counts = p.isMax ? std::vector<std::int64_t>() : countsOf(p);
    return parallelFor(call.context, shape[0] * shape[1], rowGrain(p.places() * p.windows[0].kernel),
                       [&](std::int64_t begin, std::int64_t end) {
                           for (std::int64_t plane = begin; plane < end; ++plane) {
                               const T* from = call.real(0).data() + plane * p.plane();
                               T* to = y + plane * p.places();
                               if (p.isMax) {
                                   for (const std::int64_t at : largestOf(p, from))
                                       *to++ = at < 0 ? -std::numeric_limits<T>::infinity() : from[at];
                                   continue;
                               }
                               std::fill_n(to, p.places(), T{0});
                               forElements(p, [&](std::int64_t place, std::int64_t at) { to[place] += from[at]; });
                               for (std::size_t place = 0; place < counts.size(); ++place)
                                   to[place] /= static_cast<T>(counts[place]);
                           }
                       });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    if (!call.wants(0))
        return {};
    QL_TRY(p, problemOf(call));
    const Array<T>& x = call.real(0);
    const T* dy = call.outputGradients[0].data();
    T* dx = call.makeZeros(0);
    const auto counts = p.isMax ? std::vector<std::int64_t>() : countsOf(p);
    return parallelFor(call.context, x.shape()[0] * x.shape()[1], rowGrain(p.places() * p.windows[0].kernel),
                       [&](std::int64_t begin, std::int64_t end) {
                           for (std::int64_t plane = begin; plane < end; ++plane) {
                               const T* from = dy + plane * p.places();
                               T* to = dx + plane * p.plane();
                               if (p.isMax) {
                                   for (const std::int64_t at : largestOf(p, x.data() + plane * p.plane())) {
                                       if (at >= 0)
                                           to[at] += *from;
                                       ++from;
                                   }
                                   continue;
                               }
                               forElements(p, [&](std::int64_t place, std::int64_t at) {
                                   to[at] += from[place] / static_cast<T>(counts[static_cast<std::size_t>(place)]);
                               });
                           }
                       });
}

} // namespace

QL_OPERATOR(pool, "Pooling")

} // namespace ql::graph
