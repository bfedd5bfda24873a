// SPDX-License-Identifier: GPL-3.0-or-later
// One number for all elements along `axes` (an attribute or integer input 1; none: all axes): `kind` is "mean", "sum",
// "max" or "min". The axes stay with size 1, unless `keep` is 0. Sums run in double, in order. The gradient of max and
// min goes to the first of equals.
#include "core/model/graph/indexing.h"
#include "core/model/graph/row_kernels.h"

namespace ql::graph {

namespace {

struct Reduction {
    Shape shape;
    std::vector<std::int64_t> kept;    // where the elements of each output begin
    std::vector<std::int64_t> reduced; // and where they stand behind that
};

/// Offsets of all elements of that shape.
std::vector<std::int64_t> offsetsOf(const Shape& shape, const Steps& steps)
{
    std::vector<std::int64_t> offsets;
    forRows<1>(shape, {&steps}, 0, RowCount(shape).rows, [&](std::int64_t, const auto& at, std::int64_t n) {
        for (std::int64_t c = 0; c < n; ++c)
            offsets.push_back(at[0] + c * lastOf(steps));
    });
    return offsets;
}

template<typename C>
Result<Reduction> reductionOf(const C& call)
{
    const Shape& shape = call.inputs[0]->shape();
    const auto axes = integersOf(call, "axes", 1).value_or(std::vector<std::int64_t>());
    std::vector<bool> isReduced(shape.size(), axes.empty());
    for (const std::int64_t a : axes) {
        QL_TRY(axis, axisOf(call.node, shape, a));
        isReduced[axis] = true;
    }
    const Steps steps = stepsOf(shape);
    Reduction reduction;
    Shape sizes[2];
    Steps sideSteps[2];
    for (std::size_t d = 0; d < shape.size(); ++d) {
        const std::size_t side = isReduced[d] ? 1 : 0;
        sizes[side].push_back(shape[d]);
        sideSteps[side].push_back(steps[d]);
        if (!isReduced[d] || call.node.integer("keep", 1) != 0)
            reduction.shape.push_back(isReduced[d] ? 1 : shape[d]);
    }
    reduction.kept = offsetsOf(sizes[0], sideSteps[0]);
    reduction.reduced = offsetsOf(sizes[1], sideSteps[1]);
    const std::string_view kind = call.node.text("kind", "mean");
    if (kind != "mean" && kind != "sum" && kind != "max" && kind != "min")
        return nodeError(call.node, "there is no reduction '" + std::string(kind) + "'");
    if (reduction.reduced.empty() && kind != "sum")
        return nodeError(call.node, "takes the " + std::string(kind) + " of no elements");
    return reduction;
}

/// Where the extreme of the elements stands.
template<typename U>
std::int64_t extremeOf(const std::vector<std::int64_t>& offsets, const U* from, bool largest)
{
    std::int64_t best = offsets.front();
    for (const std::int64_t offset : offsets)
        if (largest ? from[offset] > from[best] : from[offset] < from[best])
            best = offset;
    return best;
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_TRY(reduction, reductionOf(call));
    const std::string_view name = call.node.text("kind", "mean");
    const auto& offsets = reduction.reduced;
    return forEitherKind(call, 0, [&](auto kind) {
        const auto* x = (call.inputs[0]->*kind).data();
        using U = std::decay_t<decltype(*x)>;
        U* y = call.make(kind, 0, reduction.shape);
        return parallelFor(call.context, std::ssize(reduction.kept), rowGrain(std::ssize(offsets)),
                           [&](std::int64_t begin, std::int64_t end) {
                               for (std::int64_t o = begin; o < end; ++o) {
                                   const U* from = x + reduction.kept[static_cast<std::size_t>(o)];
                                   if (name == "max" || name == "min") {
                                       y[o] = from[extremeOf(offsets, from, name == "max")];
                                       continue;
                                   }
                                   std::conditional_t<std::is_integral_v<U>, U, double> sum = 0;
                                   for (const std::int64_t offset : offsets)
                                       sum = Plus()(sum, static_cast<decltype(sum)>(from[offset]));
                                   if (name == "mean")
                                       sum /= static_cast<decltype(sum)>(offsets.size());
                                   y[o] = static_cast<U>(sum);
                               }
                           });
    });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    if (!call.wants(0))
        return {};
    QL_TRY(reduction, reductionOf(call));
    const std::string_view name = call.node.text("kind", "mean");
    const auto& offsets = reduction.reduced;
    const T factor = name == "mean" ? T{1} / static_cast<T>(offsets.size()) : T{1};
    const T* x = call.real(0).data();
    const T* dy = call.outputGradients[0].data();
    T* dx = call.makeZeros(0);
    return parallelFor(call.context, std::ssize(reduction.kept), rowGrain(std::ssize(offsets)),
                       [&](std::int64_t begin, std::int64_t end) {
                           for (std::int64_t o = begin; o < end; ++o) {
                               const std::int64_t at = reduction.kept[static_cast<std::size_t>(o)];
                               if (name == "max" || name == "min")
                                   dx[at + extremeOf(offsets, x + at, name == "max")] = dy[o];
                               else
                                   for (const std::int64_t offset : offsets)
                                       dx[at + offset] = dy[o] * factor;
                           }
                       });
}

} // namespace

QL_OPERATOR(reduce, "Reduce", .kinds = "ei")

} // namespace ql::graph
