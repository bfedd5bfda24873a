// SPDX-License-Identifier: GPL-3.0-or-later
// Elementwise functions of two arrays whose shapes agree as in NumPy: dimensions are aligned at the end, and one of
// size 1 repeats.
#pragma once

#include "core/model/graph/operator.h"

namespace ql::graph {

/// The joint shape, and what one step along each of its dimensions is in the elements of a and of b (0: repeats).
struct Broadcast {
    Shape shape;
    std::vector<std::int64_t> aStep, bStep;

    /// Nothing if the shapes do not agree.
    static std::optional<Broadcast> of(const Shape& a, const Shape& b)
    {
        Broadcast joint;
        const std::size_t rank = std::max(a.size(), b.size());
        joint.shape.resize(rank);
        joint.aStep.assign(rank, 0);
        joint.bStep.assign(rank, 0);
        std::int64_t aSize = 1;
        std::int64_t bSize = 1;
        for (std::size_t i = 1; i <= rank; ++i) {
            const std::int64_t da = i <= a.size() ? a[a.size() - i] : 1;
            const std::int64_t db = i <= b.size() ? b[b.size() - i] : 1;
            if (da != db && da != 1 && db != 1)
                return std::nullopt;
            joint.shape[rank - i] = da == 1 ? db : da;
            joint.aStep[rank - i] = da == 1 ? 0 : aSize;
            joint.bStep[rank - i] = db == 1 ? 0 : bSize;
            aSize *= da;
            bSize *= db;
        }
        return joint;
    }

    /// Calls visit(i, a, b, n) for runs of n elements along the last dimension that begin at i of the joint array and
    /// at a and b of the two; a and b move on by the last of aStep and bStep. Covers rows [begin, end).
    template<typename Visit>
    void forRows(std::int64_t begin, std::int64_t end, const Visit& visit) const
    {
        const std::int64_t n = shape.empty() ? 1 : shape.back();
        for (std::int64_t row = begin; row < end; ++row) {
            std::int64_t a = 0;
            std::int64_t b = 0;
            std::int64_t rest = row;
            for (std::size_t d = shape.empty() ? 0 : shape.size() - 1; d-- > 0;) {
                a += rest % shape[d] * aStep[d];
                b += rest % shape[d] * bStep[d];
                rest /= shape[d];
            }
            visit(row * n, a, b, n);
        }
    }
    std::int64_t rows() const { return shape.empty() ? 1 : shape.back() > 0 ? ql::numel(shape) / shape.back() : 0; }
    std::int64_t aLast() const { return aStep.empty() ? 0 : aStep.back(); }
    std::int64_t bLast() const { return bStep.empty() ? 0 : bStep.back(); }
};

/// out = f(a, b), element by element.
template<typename T, typename F>
Result<void> forwardBroadcast(Call<T>& call, const F& f)
{
    const Array<T>& a = call.real(0);
    const Array<T>& b = call.real(1);
    const auto joint = Broadcast::of(a.shape(), b.shape());
    if (!joint)
        return nodeError(call.node,
                         "shapes " + formatShape(a.shape()) + " and " + formatShape(b.shape()) + " do not agree");
    T* out = call.make(0, joint->shape);
    const std::int64_t n = joint->shape.empty() ? 1 : joint->shape.back();
    return parallelFor(call.context, joint->rows(), rowGrain(n), [&](std::int64_t begin, std::int64_t end) {
        joint->forRows(begin, end, [&](std::int64_t i, std::int64_t ai, std::int64_t bi, std::int64_t count) {
            for (std::int64_t c = 0; c < count; ++c)
                out[i + c] = f(a.data()[ai + c * joint->aLast()], b.data()[bi + c * joint->bLast()]);
        });
    });
}

/// da = Σ dy·fa(a, b) and db = Σ dy·fb(a, b) over the places where an element repeats.
template<typename T, typename Fa, typename Fb>
Result<void> gradientBroadcast(GradientCall<T>& call, const Fa& fa, const Fb& fb)
{
    const Array<T>& a = call.real(0);
    const Array<T>& b = call.real(1);
    const T* dy = call.outputGradients[0].data();
    const auto joint = Broadcast::of(a.shape(), b.shape()).value();
    T* da = call.wants(0) ? call.make(0) : nullptr;
    T* db = call.wants(1) ? call.make(1) : nullptr;
    if (da)
        std::fill_n(da, a.numel(), T{0});
    if (db)
        std::fill_n(db, b.numel(), T{0});
    const auto rows = [&](std::int64_t begin, std::int64_t end) {
        joint.forRows(begin, end, [&](std::int64_t i, std::int64_t ai, std::int64_t bi, std::int64_t count) {
            for (std::int64_t c = 0; c < count; ++c) {
                const std::int64_t ac = ai + c * joint.aLast();
                const std::int64_t bc = bi + c * joint.bLast();
                if (da)
                    da[ac] += dy[i + c] * fa(a.data()[ac], b.data()[bc]);
                if (db)
                    db[bc] += dy[i + c] * fb(a.data()[ac], b.data()[bc]);
            }
        });
    };
    if (a.shape() != b.shape()) { // sums run over the rows, in order
        rows(0, joint.rows());
        return call.context.checkStop();
    }
    return parallelFor(call.context, joint.rows(), rowGrain(a.width()), rows);
}

} // namespace ql::graph
