// SPDX-License-Identifier: GPL-3.0-or-later
// Scaled dot-product attention of q[batch, n, heads·d], k[batch, m, kv_heads·d], v[batch, m, kv_heads·e], giving
// [batch, n, heads·e]: per head softmax(cap(scale·Q·Kᵀ) + mask)·V. Query heads share key-value heads in equal groups.
// `scale` defaults to 1/√d. `causal` hides later tokens, `window` those more than window − 1 back (to both sides if not
// causal); `softcap` c bounds scores by c·tanh(s/c). Optional input 3: an additive mask that broadcasts to
// [batch, heads, n, m], or integers [batch, m] that are 0 where a key is padding, which nobody sees. With a sequence
// state keys and values of earlier tokens are kept and m grows. Scores exist for one tile of queries of one head at a
// time. Sources: Vaswani et al. 2017; Ainslie et al. 2023.
#include "core/base/matrix_product.h"
#include "core/model/graph/indexing.h"
#include "core/model/graph/row_kernels.h"
#include "core/model/graph/vector_math.h"

#include <cmath>
#include <limits>

namespace ql::graph {

namespace {

constexpr std::int64_t kQueries = 128; // in a tile

template<typename T>
struct Problem {
    const Node* node = nullptr;
    Array<T> q, k, v, mask;
    std::int64_t batch = 0, n = 0, m = 0, heads = 0, group = 0, d = 0, e = 0;
    std::int64_t past = 0; // keys before the first query
    std::int64_t room = 0; // rows of k and v, of which m are there
    std::int64_t window = 0;
    bool causal = false;
    T scale = 1, softcap = 0;
    Steps maskSteps;

    std::int64_t kvHeads() const { return heads / group; }
    std::int64_t tiles() const { return ceilDiv(n, kQueries); }
    const T* query(std::int64_t b, std::int64_t h, std::int64_t i) const { return q.data() + at(b, n, i, heads, h, d); }
    const T* key(std::int64_t b, std::int64_t h, std::int64_t j) const
    {
        return k.data() + at(b, room, j, kvHeads(), h / group, d);
    }
    const T* value(std::int64_t b, std::int64_t h, std::int64_t j) const
    {
        return v.data() + at(b, room, j, kvHeads(), h / group, e);
    }
    static std::int64_t at(std::int64_t b, std::int64_t tokens, std::int64_t token, std::int64_t allHeads,
                           std::int64_t head, std::int64_t size)
    {
        return ((b * tokens + token) * allHeads + head) * size;
    }
    /// Keys [first, last) that query i may see.
    std::int64_t firstKey(std::int64_t i) const
    {
        return window > 0 ? std::max<std::int64_t>(0, past + i - window + 1) : 0;
    }
    std::int64_t lastKey(std::int64_t i) const
    {
        if (causal)
            return std::min(m, past + i + 1);
        return window > 0 ? std::min(m, past + i + window) : m;
    }
};

/// The additive mask [batch, 1, 1, m] that hides padding; none if nothing is hidden.
template<typename T>
Array<T> paddingMask(const Array<std::int64_t>& isToken)
{
    const std::int64_t* begin = isToken.data();
    const std::int64_t* end = begin + isToken.numel();
    if (isToken.shape().size() != 2 || std::find(begin, end, 0) == end)
        return {};
    Array<T> mask({isToken.shape()[0], 1, 1, isToken.shape()[1]});
    std::transform(begin, end, mask.write(),
                   [](std::int64_t token) { return token != 0 ? T{0} : std::numeric_limits<T>::lowest() / 2; });
    return mask;
}

template<typename T, typename C>
Result<Problem<T>> problemOf(const C& call)
{
    Problem<T> p;
    const Node& node = call.node;
    p.node = &node;
    p.q = call.real(0);
    p.k = call.real(1);
    p.v = call.real(2);
    p.heads = node.integer("heads", 1);
    const std::int64_t kvHeads = node.integer("kv_heads", p.heads);
    const Shape& q = p.q.shape();
    const Shape& k = p.k.shape();
    const Shape& v = p.v.shape();
    const bool fits = q.size() == 3 && k.size() == 3 && v.size() == 3 && q[0] == k[0] && k[0] == v[0] && k[1] == v[1] &&
                      p.heads >= 1 && kvHeads >= 1 && p.heads % kvHeads == 0 && q[2] % p.heads == 0 &&
                      k[2] % kvHeads == 0 && v[2] % kvHeads == 0 && q[2] / p.heads == k[2] / kvHeads;
    if (!fits)
        return nodeError(node, std::to_string(p.heads) + " heads over " + std::to_string(kvHeads) + " do not fit q " +
                                   formatShape(q) + ", k " + formatShape(k) + ", v " + formatShape(v));
    p.batch = q[0];
    p.n = q[1];
    p.m = p.room = k[1];
    p.group = p.heads / kvHeads;
    p.d = q[2] / p.heads;
    p.e = v[2] / kvHeads;
    p.causal = node.integer("causal", 0) != 0;
    p.window = node.integer("window", 0);
    p.scale = static_cast<T>(node.number("scale", 1 / std::sqrt(static_cast<double>(p.d))));
    p.softcap = static_cast<T>(node.number("softcap", 0));
    if (call.has(3))
        p.mask = call.real(3) ? call.real(3) : paddingMask<T>(call.integers(3));
    if (p.mask) {
        const Shape scores{p.batch, p.heads, p.n, p.m};
        if (broadcastShape(p.mask.shape(), scores) != scores)
            return nodeError(node,
                             "a mask " + formatShape(p.mask.shape()) + " does not fit scores " + formatShape(scores));
        p.maskSteps = broadcastSteps(p.mask.shape(), scores);
    }
    return p;
}

/// Queries [first, last) of one head and the keys [keyFirst, keyLast) that any of them sees.
struct Tile {
    std::int64_t b, h, first, last, keyFirst, keyLast;
    std::int64_t queries() const { return last - first; }
    std::int64_t keys() const { return keyLast - keyFirst; }
};

template<typename T>
Tile tileOf(const Problem<T>& p, std::int64_t b, std::int64_t h, std::int64_t index)
{
    const std::int64_t first = index * kQueries;
    const std::int64_t last = std::min(p.n, first + kQueries);
    return {b, h, first, last, p.firstKey(first), p.lastKey(last - 1)};
}

/// Probabilities [queries, keys] of a tile; `capped`, if given, gets the derivative of the cap.
template<typename T>
void probabilities(const Problem<T>& p, const Tile& t, T* out, T* capped = nullptr)
{
    multiply(MatrixProduct<T>{.rows = t.queries(),
                              .cols = t.keys(),
                              .depth = p.d,
                              .a = p.query(t.b, t.h, t.first),
                              .aStride = p.heads * p.d,
                              .b = p.key(t.b, t.h, t.keyFirst),
                              .bStride = p.kvHeads() * p.d,
                              .bTransposed = true,
                              .c = out,
                              .cStride = t.keys(),
                              .alpha = p.scale});
    for (std::int64_t i = t.first; i < t.last; ++i) {
        T* row = out + (i - t.first) * t.keys();
        const std::int64_t begin = p.firstKey(i) - t.keyFirst;
        const std::int64_t end = p.lastKey(i) - t.keyFirst;
        if (p.softcap > 0) {
            softcap(row + begin, end - begin, p.softcap, row + begin);
            for (std::int64_t j = begin; j < end && capped; ++j) {
                const T bounded = row[j] / p.softcap;
                capped[(i - t.first) * t.keys() + j] = 1 - bounded * bounded;
            }
        }
        if (p.mask) {
            const T* mask = p.mask.data() + t.b * p.maskSteps[0] + t.h * p.maskSteps[1] + i * p.maskSteps[2];
            for (std::int64_t j = begin; j < end; ++j)
                row[j] += mask[(t.keyFirst + j) * p.maskSteps[3]];
        }
        std::fill(row, row + begin, T{0});
        softmax(row + begin, end - begin);
        std::fill(row + end, row + t.keys(), T{0});
    }
}

/// Puts rows [batch, n, features] behind the first `kept` ones of each sequence. Where there is no room for them, twice
/// as much is made, up to the rows expected in the end, so that a long text is not copied once for every token.
template<typename T>
void append(Array<T>& rows, std::int64_t kept, const Array<T>& more, std::int64_t expected)
{
    if (kept == 0) {
        rows = more;
        return;
    }
    const Shape& added = more.shape();
    const std::int64_t needed = kept + added[1];
    const auto copy = [&](const Array<T>& from, std::int64_t count, std::int64_t at) {
        T* to = rows.write();
        for (std::int64_t b = 0; b < added[0]; ++b)
            std::copy_n(from.data() + b * from.shape()[1] * added[2], count * added[2],
                        to + (b * rows.shape()[1] + at) * added[2]);
    };
    if (rows.shape()[1] < needed) {
        const std::int64_t twice = 2 * needed;
        const Array<T> before =
            std::exchange(rows, Array<T>({added[0], expected >= needed ? std::min(twice, expected) : twice, added[2]}));
        copy(before, kept, 0);
    }
    copy(more, added[1], kept);
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_TRY(p, problemOf<T>(call));
    if (call.state) {
        auto& kept = call.state->attention[&call.node];
        p.past = kept.tokens;
        append(kept.keys, p.past, p.k, call.state->expected);
        append(kept.values, p.past, p.v, call.state->expected);
        p.k = kept.keys;
        p.v = kept.values;
        p.room = p.k.shape()[1];
        p.m = kept.tokens = p.past + p.m;
    }
    T* out = call.make(0, {p.batch, p.n, p.heads * p.e});
    return parallelFor(call.context, p.batch * p.heads * p.tiles(), 1, [&](std::int64_t task, std::int64_t) {
        const Tile t = tileOf(p, task / p.tiles() / p.heads, task / p.tiles() % p.heads, task % p.tiles());
        Array<T> scores({t.queries(), t.keys()});
        probabilities(p, t, scores.write());
        multiply(MatrixProduct<T>{.rows = t.queries(),
                                  .cols = p.e,
                                  .depth = t.keys(),
                                  .a = scores.data(),
                                  .aStride = t.keys(),
                                  .b = p.value(t.b, t.h, t.keyFirst),
                                  .bStride = p.kvHeads() * p.e,
                                  .c = out + p.at(t.b, p.n, t.first, p.heads, t.h, p.e),
                                  .cStride = p.heads * p.e});
    });
}

/// Per tile, with probabilities P and dO the gradient of the output:
/// dV += Pᵀ·dO, dS = P ∘ (dO·Vᵀ − rowsum(dO ∘ O)), dQ = scale·dS·K, dK += scale·dSᵀ·Q.
template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    QL_TRY(p, problemOf<T>(call));
    const T* dOut = call.outputGradients[0].data();
    const T* out = call.output(0).data();
    T* dq = call.wants(0) ? call.make(0) : nullptr;
    T* dk = call.makeZeros(1);
    T* dv = call.makeZeros(2);
    const std::int64_t outStride = p.heads * p.e;
    // One task per key-value head: its sums run over queries and heads in order.
    return parallelFor(call.context, p.batch * p.kvHeads(), 1, [&](std::int64_t task, std::int64_t) {
        const std::int64_t b = task / p.kvHeads();
        const std::int64_t kvHead = task % p.kvHeads();
        for (std::int64_t i = 0; i < p.group * p.tiles() && !call.context.stopRequested(); ++i) {
            const Tile t = tileOf(p, b, kvHead * p.group + i / p.tiles(), i % p.tiles());
            const Shape shape{t.queries(), t.keys()};
            Array<T> probability(shape);
            Array<T> capped = p.softcap > 0 ? Array<T>::filled(shape, T{0}) : Array<T>();
            probabilities(p, t, probability.write(), capped ? capped.write() : nullptr);
            const std::int64_t at = p.at(b, p.n, t.first, p.heads, t.h, p.e);
            if (dv)
                multiply(MatrixProduct<T>{.rows = t.keys(),
                                          .cols = p.e,
                                          .depth = t.queries(),
                                          .a = probability.data(),
                                          .aStride = t.keys(),
                                          .aTransposed = true,
                                          .b = dOut + at,
                                          .bStride = outStride,
                                          .c = dv + p.at(b, p.m, t.keyFirst, p.kvHeads(), kvHead, p.e),
                                          .cStride = p.kvHeads() * p.e,
                                          .beta = 1});
            Array<T> dScores(shape);
            T* ds = dScores.write();
            multiply(MatrixProduct<T>{.rows = t.queries(),
                                      .cols = t.keys(),
                                      .depth = p.e,
                                      .a = dOut + at,
                                      .aStride = outStride,
                                      .b = p.value(b, t.h, t.keyFirst),
                                      .bStride = p.kvHeads() * p.e,
                                      .bTransposed = true,
                                      .c = ds,
                                      .cStride = t.keys()});
            for (std::int64_t r = 0; r < t.queries(); ++r) {
                const auto inner = static_cast<T>(dot(dOut + at + r * outStride, out + at + r * outStride, p.e));
                for (std::int64_t j = r * t.keys(); j < (r + 1) * t.keys(); ++j)
                    ds[j] = probability.data()[j] * (ds[j] - inner) * (capped ? capped.data()[j] : T{1});
            }
            if (dq)
                multiply(MatrixProduct<T>{.rows = t.queries(),
                                          .cols = p.d,
                                          .depth = t.keys(),
                                          .a = ds,
                                          .aStride = t.keys(),
                                          .b = p.key(b, t.h, t.keyFirst),
                                          .bStride = p.kvHeads() * p.d,
                                          .c = dq + p.at(b, p.n, t.first, p.heads, t.h, p.d),
                                          .cStride = p.heads * p.d,
                                          .alpha = p.scale});
            if (dk)
                multiply(MatrixProduct<T>{.rows = t.keys(),
                                          .cols = p.d,
                                          .depth = t.queries(),
                                          .a = ds,
                                          .aStride = t.keys(),
                                          .aTransposed = true,
                                          .b = p.query(b, t.h, t.first),
                                          .bStride = p.heads * p.d,
                                          .c = dk + p.at(b, p.m, t.keyFirst, p.kvHeads(), kvHead, p.d),
                                          .cStride = p.kvHeads() * p.d,
                                          .alpha = p.scale,
                                          .beta = 1});
        }
    });
}

} // namespace

QL_OPERATOR(attention, "Attention", .required = 3, .kinds = "rrre", .keys = 1, .values = 2)

} // namespace ql::graph
