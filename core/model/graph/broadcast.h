// SPDX-License-Identifier: GPL-3.0-or-later
// Elementwise functions of two arrays whose shapes agree as in NumPy.
#pragma once

#include "core/model/graph/indexing.h"

namespace ql::graph {

/// The joint shape of two arrays and their steps along it.
struct Broadcast {
    Shape shape;
    Steps aStep, bStep;

    template<typename C>
    static Result<Broadcast> of(const C& call)
    {
        const Shape& a = call.inputs[0]->shape();
        const Shape& b = call.inputs[1]->shape();
        const auto joint = broadcastShape(a, b);
        if (!joint || static_cast<bool>(call.real(0)) != static_cast<bool>(call.real(1)))
            return nodeError(call.node, "shapes " + formatShape(a) + " and " + formatShape(b) +
                                            " do not agree, or one holds integers and the other does not");
        return Broadcast{*joint, broadcastSteps(a, *joint), broadcastSteps(b, *joint)};
    }

    /// Calls visit(i, a, b, n) for runs of n elements along the last dimension that begin at i of the joint array and
    /// at a and b of the two; a and b move on by the last of aStep and bStep. Covers rows [begin, end).
    template<typename Visit>
    void forRows(std::int64_t begin, std::int64_t end, const Visit& visit) const
    {
        graph::forRows<2>(shape, {&aStep, &bStep}, begin, end,
                          [&](std::int64_t i, const auto& at, std::int64_t n) { visit(i, at[0], at[1], n); });
    }
    RowCount count() const { return RowCount(shape); }
};

/// out[i] = f(a[i·aStep], b[i·bStep]); operators overload it where there is a vector kernel.
template<typename F, typename T, typename U>
void applyRow(const F& f, const T* a, std::int64_t aStep, const T* b, std::int64_t bStep, std::int64_t n, U* out)
{
    for (std::int64_t c = 0; c < n; ++c)
        out[c] = static_cast<U>(f(a[c * aStep], b[c * bStep]));
}

/// out = f(a, b), element by element, real numbers or integers.
template<typename T, typename F>
Result<void> forwardBroadcast(Call<T>& call, const F& f)
{
    QL_TRY(joint, Broadcast::of(call));
    return forEitherKind(call, 0, [&](auto kind) {
        const auto* a = (call.inputs[0]->*kind).data();
        const auto* b = (call.inputs[1]->*kind).data();
        auto* out = call.make(kind, 0, joint.shape);
        const RowCount count = joint.count();
        return parallelFor(call.context, count.rows, rowGrain(count.n), [&](std::int64_t begin, std::int64_t end) {
            joint.forRows(begin, end, [&](std::int64_t i, std::int64_t ai, std::int64_t bi, std::int64_t n) {
                applyRow(f, a + ai, lastOf(joint.aStep), b + bi, lastOf(joint.bStep), n, out + i);
            });
        });
    });
}

/// An error if integers are divided by zero.
template<typename T>
Result<void> checkDivisor(const Call<T>& call)
{
    const Array<std::int64_t>& divisor = call.integers(1);
    if (std::find(divisor.data(), divisor.data() + divisor.numel(), 0) != divisor.data() + divisor.numel())
        return nodeError(call.node, "divides integers by zero");
    return {};
}

/// da = Σ dy·fa(a, b) and db = Σ dy·fb(a, b) over the places where an element repeats.
template<typename T, typename Fa, typename Fb>
Result<void> gradientBroadcast(GradientCall<T>& call, const Fa& fa, const Fb& fb)
{
    const Array<T>& a = call.real(0);
    const Array<T>& b = call.real(1);
    const T* dy = call.outputGradients[0].data();
    QL_TRY(joint, Broadcast::of(call));
    T* da = call.makeZeros(0);
    T* db = call.makeZeros(1);
    const auto rows = [&](std::int64_t begin, std::int64_t end) {
        joint.forRows(begin, end, [&](std::int64_t i, std::int64_t ai, std::int64_t bi, std::int64_t n) {
            for (std::int64_t c = 0; c < n; ++c) {
                const std::int64_t ac = ai + c * lastOf(joint.aStep);
                const std::int64_t bc = bi + c * lastOf(joint.bStep);
                if (da)
                    da[ac] += dy[i + c] * fa(a.data()[ac], b.data()[bc]);
                if (db)
                    db[bc] += dy[i + c] * fb(a.data()[ac], b.data()[bc]);
            }
        });
    };
    const RowCount count = joint.count();
    if (a.shape() != b.shape()) { // sums run over the rows, in order
        rows(0, count.rows);
        return call.context.checkStop();
    }
    return parallelFor(call.context, count.rows, rowGrain(count.n), rows);
}

} // namespace ql::graph
