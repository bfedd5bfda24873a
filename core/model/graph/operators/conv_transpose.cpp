// SPDX-License-Identifier: GPL-3.0-or-later
// Transposed convolution in one or two dimensions: x[batch, in, …] and W[in, out/groups, …], optional b[out], give
// y[batch, out, …], the gradient that a convolution by W from y to x (operator conv, with the same strides, dilations,
// pads and groups) has with respect to y when x is the gradient of its output. An axis of n elements becomes
// (n − 1)·stride + (kernel − 1)·dilation + 1 − pads + `output_padding`; or `output_shape`, with pads that make it so,
// of which `auto_pad` = "same_upper" puts the odd one behind and anything else before. Source: Dumoulin and Visin 2016,
// section 4.
#include "core/model/graph/row_kernels.h"
#include "core/model/graph/window.h"

namespace ql::graph {

namespace {

using Integers = std::vector<std::int64_t>;

/// The convolution from y to x, and the shape of y.
struct Transposed {
    Node conv;
    Shape shape;
};

std::int64_t entry(const Integers* values, std::size_t i, std::int64_t fallback)
{
    return values && i < values->size() ? (*values)[i] : fallback;
}

template<typename C>
Result<Transposed> transposedOf(const C& call)
{
    const Node& node = call.node;
    const Shape& x = call.real(0).shape();
    const Shape& w = call.real(1).shape();
    const std::int64_t groups = node.integer("groups", 1);
    const auto out = w.size() > 1 ? mulChecked(w[1], groups) : std::nullopt;
    const std::size_t axes = x.size() < 3 ? 0 : x.size() - 2;
    if (axes < 1 || axes > 2 || w.size() != x.size() || groups < 1 || w[0] != x[1] || w[0] % groups != 0 || !out ||
        (call.has(2) && call.real(2).numel() != *out))
        return nodeError(node, "inputs " + formatShape(x) + " meet weights " + formatShape(w) + " in " +
                                   std::to_string(groups) + " groups, or a bias of another length");
    Transposed made{{findOperator("conv"), node.name, {}, {}, node.attributes}, {x[0], *out}};
    Integers pads(2 * axes, 0);
    for (std::size_t d = 0; d < axes; ++d) {
        const std::int64_t stride = entry(node.integers("strides"), d, 1);
        const std::int64_t dilation = entry(node.integers("dilations"), d, 1);
        const std::int64_t padding = entry(node.integers("output_padding"), d, 0);
        if (std::min({stride, dilation, x[d + 2], w[d + 2]}) < 1 || padding < 0 ||
            std::max({stride, dilation, x[d + 2], w[d + 2], padding}) >= kLimit)
            return nodeError(node, "has a size, stride or dilation that cannot be");
        // Both products are below 2⁶², their sum is a number.
        const std::int64_t whole = (x[d + 2] - 1) * stride + (w[d + 2] - 1) * dilation + 1 + padding;
        const std::string_view autoPad = node.text("auto_pad", "");
        const Integers* wanted = node.integers("output_shape");
        if (wanted || autoPad.starts_with("same")) {
            const std::int64_t size = wanted ? entry(wanted, d, 0) : x[d + 2] * stride;
            const std::int64_t all = std::max<std::int64_t>(0, whole - size);
            pads[d] = autoPad == "same_upper" ? all / 2 : all - all / 2;
            pads[axes + d] = all - pads[d];
            made.shape.push_back(size);
        } else {
            pads[d] = entry(node.integers("pads"), d, 0);
            pads[axes + d] = entry(node.integers("pads"), axes + d, 0);
            if (std::min(pads[d], pads[axes + d]) < 0 || std::max(pads[d], pads[axes + d]) >= kLimit)
                return nodeError(node, "has a padding that cannot be");
            made.shape.push_back(whole - pads[d] - pads[axes + d]);
        }
        if (made.shape.back() < 1 || made.shape.back() >= kLimit)
            return nodeError(node, "cannot make axis " + std::to_string(d + 2) + " of " + formatShape(x) + " one of " +
                                       std::to_string(made.shape.back()));
    }
    made.conv.attributes["pads"] = std::move(pads);
    made.conv.attributes.erase("auto_pad");
    QL_TRY(windows, windowsOf(made.conv, made.shape, {w.begin() + 2, w.end()}));
    if (windowedShape(made.shape, x[1], windows) != x)
        return nodeError(node, "cannot have an output of " + formatShape(made.shape) + " from " + formatShape(x));
    return made;
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_TRY(made, transposedOf(call));
    call.make(0, made.shape); // of which the convolution reads the shape
    const std::array<const Value<T>*, 2> inputs{&call.outputs[0], call.inputs[1]};
    const Array<T> x = call.real(0);
    const std::array wanted{true, false};
    std::array<Array<T>, 2> gradients;
    GradientCall<T> transposed{made.conv, inputs, {}, {&x, 1}, wanted, gradients, call.context};
    QL_CHECK(gradientOf<T>(*made.conv.op)(transposed));
    if (call.has(2)) {
        const T* bias = call.real(2).data();
        const std::int64_t channels = made.shape[1];
        const std::int64_t plane = std::max<std::int64_t>(1, numel(made.shape) / (made.shape[0] * channels));
        T* to = gradients[0].write();
        QL_CHECK(parallelFor(call.context, made.shape[0] * channels, rowGrain(plane),
                             [&](std::int64_t begin, std::int64_t end) {
                                 for (std::int64_t p = begin; p < end; ++p)
                                     scaleRow(to + p * plane, plane, T{1}, bias[p % channels], to + p * plane);
                             }));
    }
    call.outputs[0].real = std::move(gradients[0]);
    return {};
}

/// dX is the convolution of dY by W, dW the convolution's own gradient.
template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    QL_TRY(made, transposedOf(call));
    Value<T> dy;
    dy.real = call.outputGradients[0];
    const std::array<const Value<T>*, 2> inputs{&dy, call.inputs[1]};
    if (call.wants(0)) {
        Value<T> dx;
        Call<T> conv{made.conv, inputs, {&dx, 1}, call.context};
        QL_CHECK(forwardOf<T>(*made.conv.op)(conv));
        call.inputGradients[0] = std::move(dx.real);
    }
    if (call.wants(1)) {
        const Array<T> x = call.real(0);
        const std::array wanted{false, true};
        std::array<Array<T>, 2> gradients;
        GradientCall<T> conv{made.conv, inputs, {}, {&x, 1}, wanted, gradients, call.context};
        QL_CHECK(gradientOf<T>(*made.conv.op)(conv));
        call.inputGradients[1] = std::move(gradients[1]);
    }
    if (call.wants(2)) {
        T* db = call.make(2);
        const std::int64_t channels = made.shape[1];
        const std::int64_t plane = numel(made.shape) / std::max<std::int64_t>(1, made.shape[0] * channels);
        QL_CHECK(parallelFor(call.context, channels, 1, [&](std::int64_t c, std::int64_t) {
            double sum = 0;
            for (std::int64_t b = 0; b < made.shape[0]; ++b)
                for (std::int64_t i = 0; i < plane; ++i)
                    sum += static_cast<double>(dy.real.data()[(b * channels + c) * plane + i]);
            db[c] = static_cast<T>(sum);
        }));
    }
    return {};
}

} // namespace

QL_OPERATOR(conv_transpose, "Transposed convolution", .required = 2)

} // namespace ql::graph
