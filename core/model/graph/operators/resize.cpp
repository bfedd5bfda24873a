// SPDX-License-Identifier: GPL-3.0-or-later
// Another number of elements along every axis: `sizes` (or integer input 1), or `scales` (or real input 2). `kind` =
// "nearest" or "linear" (bilinear and so on: axis after axis). Element o of an axis comes from the place x that
// `coordinates` says, as in ONNX: "half_pixel" (o + ½)/s − ½; "pytorch_half_pixel" the same, 0 if there is but one
// element; "asymmetric" o/s; "align_corners" o·(in − 1)/(out − 1), where out is in·s by scales. Nearest rounds x by
// `rounding`: "round_prefer_floor", "round_prefer_ceil", "floor" or "ceil".
#include "core/model/graph/indexing.h"

#include <cmath>

namespace ql::graph {

namespace {

/// Each output of an axis is (1 − weight)·in[low] + weight·in[high].
struct Tap {
    std::int64_t low, high;
    double weight;
};
struct AxisTaps {
    std::size_t axis;
    std::int64_t size;
    std::unique_ptr<Tap[]> taps;
};

double placeOf(std::string_view coordinates, double o, double in, double out, double scale)
{
    if (coordinates == "asymmetric")
        return o / scale;
    if (coordinates == "align_corners")
        return out > 1 ? o * (in - 1) / (out - 1) : 0;
    if (coordinates == "pytorch_half_pixel" && out <= 1)
        return 0;
    return (o + 0.5) / scale - 0.5;
}

double rounded(std::string_view rounding, double x)
{
    if (rounding == "floor")
        return std::floor(x);
    if (rounding == "ceil")
        return std::ceil(x);
    return rounding == "round_prefer_ceil" ? std::floor(x + 0.5) : std::ceil(x - 0.5);
}

template<typename C>
std::optional<std::vector<double>> scalesOf(const C& call)
{
    if (const auto* scales = call.node.numbers("scales"))
        return *scales;
    if (!call.has(2) || !call.real(2))
        return std::nullopt;
    const auto& scales = call.real(2);
    return std::vector<double>(scales.data(), scales.data() + scales.numel());
}

/// For the axes that change, in order.
template<typename C>
Result<std::vector<AxisTaps>> tapsOf(const C& call)
{
    const Node& node = call.node;
    const Shape& shape = call.real(0).shape();
    const auto sizes = integersOf(call, "sizes", 1);
    const auto scales = scalesOf(call);
    const std::string_view kind = node.text("kind", "nearest");
    const std::string_view coordinates = node.text("coordinates", "half_pixel");
    const std::string_view rounding = node.text("rounding", "round_prefer_floor");
    const std::size_t given = sizes ? sizes->size() : scales ? scales->size() : 0;
    if (given != shape.size() || (kind != "nearest" && kind != "linear"))
        return nodeError(node, "cannot resize " + formatShape(shape) + " by '" + std::string(kind) +
                                   "' without a size or scale for each axis");
    std::vector<AxisTaps> all;
    Shape made = shape;
    for (std::size_t axis = 0; axis < shape.size(); ++axis) {
        const auto in = static_cast<double>(shape[axis]);
        const double out = sizes ? static_cast<double>((*sizes)[axis]) : std::floor(in * (*scales)[axis]);
        made[axis] = out >= 1 && out < static_cast<double>(kLimit) ? static_cast<std::int64_t>(out) : 0;
        if (made[axis] == 0 || shape[axis] < 1 || !isAddressable(made))
            return nodeError(node,
                             "cannot give axis " + std::to_string(axis) + " of " + formatShape(shape) + " that size");
        QL_CHECK(call.context.checkMemory(numel(made) * std::int64_t{sizeof(float)}, "a resized array"));
        const double scale = sizes ? out / in : (*scales)[axis];
        if (out == in && scale == 1)
            continue;
        const double whole = coordinates == "align_corners" && !sizes ? in * scale : out;
        AxisTaps taps{axis, made[axis], std::make_unique_for_overwrite<Tap[]>(static_cast<std::size_t>(made[axis]))};
        QL_CHECK(parallelFor(call.context, made[axis], kElementGrain, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t o = begin; o < end; ++o) {
                const double x = placeOf(coordinates, static_cast<double>(o), in, whole, scale);
                const double low = kind == "nearest" ? rounded(rounding, x) : std::floor(x);
                const auto inside = [&](double at) { return static_cast<std::int64_t>(std::clamp(at, 0.0, in - 1)); };
                taps.taps[static_cast<std::size_t>(o)] =
                    kind == "nearest" ? Tap{inside(low), inside(low), 0} : Tap{inside(low), inside(low + 1), x - low};
            }
        }));
        all.push_back(std::move(taps));
    }
    return all;
}

Shape resized(Shape shape, const AxisTaps& taps)
{
    shape[taps.axis] = taps.size;
    return shape;
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_TRY(all, tapsOf(call));
    Array<T> x = call.real(0);
    for (const AxisTaps& axis : all) {
        const AroundAxis around(x.shape(), axis.axis);
        Array<T> next(resized(x.shape(), axis));
        T* to = next.write();
        const std::int64_t n = axis.size;
        QL_CHECK(parallelFor(
            call.context, around.outer * n, rowGrain(around.inner), [&](std::int64_t begin, std::int64_t end) {
                for (std::int64_t row = begin; row < end; ++row) {
                    const Tap& tap = axis.taps[static_cast<std::size_t>(row % n)];
                    const auto weight = static_cast<T>(tap.weight);
                    const T* from = x.data() + row / n * around.size * around.inner;
                    for (std::int64_t c = 0; c < around.inner; ++c) {
                        const T low = from[tap.low * around.inner + c];
                        to[row * around.inner + c] =
                            weight == 0 ? low : low * (1 - weight) + from[tap.high * around.inner + c] * weight;
                    }
                }
            }));
        x = std::move(next);
    }
    call.outputs[0].real = std::move(x);
    return {};
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    if (!call.wants(0))
        return {};
    QL_TRY(all, tapsOf(call));
    std::vector<Shape> shapes{call.real(0).shape()};
    for (const AxisTaps& axis : all)
        shapes.push_back(resized(shapes.back(), axis));
    Array<T> dy = call.outputGradients[0];
    for (std::size_t i = all.size(); i-- > 0;) {
        const AroundAxis around(shapes[i], all[i].axis);
        Array<T> next = Array<T>::filled(shapes[i], T{0});
        T* to = next.write();
        const std::int64_t n = all[i].size;
        QL_CHECK(parallelFor(call.context, around.outer, 1, [&](std::int64_t outer, std::int64_t) {
            for (std::int64_t o = 0; o < n; ++o) {
                const Tap& tap = all[i].taps[static_cast<std::size_t>(o)];
                const auto weight = static_cast<T>(tap.weight);
                for (std::int64_t c = 0; c < around.inner; ++c) {
                    const T d = dy.data()[(outer * n + o) * around.inner + c];
                    to[(outer * around.size + tap.low) * around.inner + c] += d * (1 - weight);
                    to[(outer * around.size + tap.high) * around.inner + c] += d * weight;
                }
            }
        }));
        dy = std::move(next);
    }
    call.inputGradients[0] = std::move(dy);
    return {};
}

} // namespace

QL_OPERATOR(resize, "Resize", .kinds = "rir")

} // namespace ql::graph
