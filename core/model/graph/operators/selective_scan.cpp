// SPDX-License-Identifier: GPL-3.0-or-later
// The recurrence of Mamba: u and Δ[batch, tokens, channels] (Δ > 0), A[channels, states], B and C[batch, tokens,
// states] and optional D[channels] give, per channel, h_t = exp(Δ_t·A)·h_{t−1} + Δ_t·u_t·B_t and y_t = C_t·h_t + D·u_t.
// With a sequence state the last h is kept, else h begins at 0. Source: Gu and Dao 2023, section 3.
#include "core/model/graph/operator.h"
#include "core/model/graph/vector_math.h"

namespace ql::graph {

namespace {

constexpr std::int64_t kChannels = 16; // of a task
constexpr std::int64_t kTokens = 64;   // whose exponentials are computed at once

template<typename T>
struct Problem {
    const T *u, *delta, *a, *b, *c, *d;
    std::int64_t batch, tokens, channels, states;
    std::int64_t inner(std::int64_t batchIndex, std::int64_t t) const { return (batchIndex * tokens + t) * states; }
    std::int64_t outer(std::int64_t batchIndex, std::int64_t t) const { return (batchIndex * tokens + t) * channels; }
};

template<typename T, typename C>
Result<Problem<T>> problemOf(const C& call)
{
    const Shape& u = call.real(0).shape();
    const Shape& a = call.real(2).shape();
    const bool fits = u.size() == 3 && call.real(1).shape() == u && a.size() == 2 && a[0] == u[2] &&
                      call.real(3).shape() == Shape{u[0], u[1], a[1]} && call.real(4).shape() == call.real(3).shape() &&
                      (!call.has(5) || call.real(5).numel() == u[2]);
    if (!fits) {
        std::string shapes;
        for (const auto* input : call.inputs)
            shapes += (shapes.empty() ? "" : ", ") + (input ? formatShape(input->shape()) : std::string("none"));
        return nodeError(call.node, "cannot scan u, Δ, A, B, C and D of shapes " + shapes);
    }
    return Problem<T>{call.real(0).data(),
                      call.real(1).data(),
                      call.real(2).data(),
                      call.real(3).data(),
                      call.real(4).data(),
                      call.has(5) ? call.real(5).data() : nullptr,
                      u[0],
                      u[1],
                      u[2],
                      a[1]};
}

/// exp(Δ·A) of one channel for tokens [first, last): [tokens, states].
template<typename T>
void decays(const Problem<T>& p, std::int64_t batch, std::int64_t channel, std::int64_t first, std::int64_t last,
            T* out)
{
    T* to = out;
    for (std::int64_t t = first; t < last; ++t)
        for (std::int64_t n = 0; n < p.states; ++n)
            *to++ = p.delta[p.outer(batch, t) + channel] * p.a[channel * p.states + n];
    activate(Activation::exp, out, to - out, out);
}

/// h_{t−1} becomes h_t.
template<typename T>
void step(const Problem<T>& p, std::int64_t batch, std::int64_t t, std::int64_t channel, const T* decay, T* h)
{
    const std::int64_t at = p.outer(batch, t) + channel;
    const T drive = p.delta[at] * p.u[at];
    const T* b = p.b + p.inner(batch, t);
    for (std::int64_t n = 0; n < p.states; ++n)
        h[n] = decay[n] * h[n] + drive * b[n];
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_TRY(p, problemOf<T>(call));
    Array<T> states;
    if (call.state)
        states = std::move(call.state->recurrent[&call.node]);
    if (!states)
        states = Array<T>::filled({p.batch, p.channels, p.states}, T{0});
    T* h = states.write();
    T* y = call.make(0, call.real(0).shape());
    const std::int64_t parts = ceilDiv(p.channels, kChannels);
    QL_CHECK(parallelFor(call.context, p.batch * parts, 1, [&](std::int64_t task, std::int64_t) {
        const std::int64_t batch = task / parts;
        const std::int64_t begin = task % parts * kChannels;
        const std::int64_t end = std::min(p.channels, begin + kChannels);
        std::vector<T> decay(static_cast<std::size_t>(kTokens * p.states));
        for (std::int64_t first = 0; first < p.tokens; first += kTokens)
            for (std::int64_t channel = begin; channel < end; ++channel) {
                const std::int64_t last = std::min(p.tokens, first + kTokens);
                T* own = h + (batch * p.channels + channel) * p.states;
                decays(p, batch, channel, first, last, decay.data());
                for (std::int64_t t = first; t < last; ++t) {
                    step(p, batch, t, channel, decay.data() + (t - first) * p.states, own);
                    const std::int64_t at = p.outer(batch, t) + channel;
                    T sum = p.d ? p.d[channel] * p.u[at] : T{0};
                    for (std::int64_t n = 0; n < p.states; ++n)
                        sum += own[n] * p.c[p.inner(batch, t) + n];
                    y[at] = sum;
                }
            }
    }));
    if (call.state)
        call.state->recurrent[&call.node] = std::move(states);
    return {};
}

template<typename T>
struct Sums {
    T *u = nullptr, *delta = nullptr, *a = nullptr, *d = nullptr;
    std::vector<T> b, c; // [parts, batch, tokens, states]
};

/// One channel of one sequence, backwards through time: with g the gradient of h_t, g += dy·C_t; dB_t += g·Δ·u,
/// dA += g·Δ·exp(ΔA)·h_{t−1}, dΔ = Σ g·(A·exp(ΔA)·h_{t−1} + u·B), du = Δ·Σ g·B + D·dy; then g becomes g·exp(ΔA).
template<typename T>
void backThrough(const Problem<T>& p, std::int64_t batch, std::int64_t channel, const T* dy, T* dB, T* dC,
                 const Sums<T>& to)
{
    const std::int64_t n = p.states;
    std::vector<T> h(static_cast<std::size_t>((p.tokens + 1) * n), T{0}); // h_{-1}, h_0, …
    std::vector<T> decay(static_cast<std::size_t>(p.tokens * n));
    std::vector<T> g(static_cast<std::size_t>(n), T{0});
    decays(p, batch, channel, 0, p.tokens, decay.data());
    for (std::int64_t t = 0; t < p.tokens; ++t) {
        std::copy_n(h.data() + t * n, n, h.data() + (t + 1) * n);
        step(p, batch, t, channel, decay.data() + t * n, h.data() + (t + 1) * n);
    }
    for (std::int64_t t = p.tokens; t-- > 0;) {
        const std::int64_t at = p.outer(batch, t) + channel;
        const std::int64_t in = p.inner(batch, t);
        const T* before = h.data() + t * n;
        const T delta = p.delta[at];
        T dDelta = 0;
        T drive = 0; // Σ g·B
        for (std::int64_t i = 0; i < n; ++i) {
            T& own = g[static_cast<std::size_t>(i)];
            const T kept = decay[static_cast<std::size_t>(t * n + i)];
            own += dy[at] * p.c[in + i];
            dC[in + i] += dy[at] * before[n + i];
            dB[in + i] += own * delta * p.u[at];
            drive += own * p.b[in + i];
            dDelta += own * p.a[channel * n + i] * kept * before[i];
            if (to.a)
                to.a[channel * n + i] += own * delta * kept * before[i];
            own *= kept;
        }
        if (to.delta)
            to.delta[at] = dDelta + drive * p.u[at];
        if (to.u)
            to.u[at] = drive * delta + (p.d ? p.d[channel] * dy[at] : 0);
        if (to.d)
            to.d[channel] += dy[at] * p.u[at];
    }
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    QL_TRY(p, problemOf<T>(call));
    const T* dy = call.outputGradients[0].data();
    // B and C belong to all channels: each part of channels has sums of its own, added up in order.
    const std::int64_t parts = ceilDiv(p.channels, kChannels);
    const std::int64_t shared = call.real(3).numel();
    Sums<T> to{call.makeZeros(0), call.makeZeros(1), call.makeZeros(2), call.makeZeros(5), {}, {}};
    to.b.assign(static_cast<std::size_t>(parts * shared), T{0});
    to.c.assign(static_cast<std::size_t>(parts * shared), T{0});
    QL_CHECK(parallelFor(call.context, parts, 1, [&](std::int64_t part, std::int64_t) {
        for (std::int64_t channel = part * kChannels; channel < std::min(p.channels, (part + 1) * kChannels); ++channel)
            for (std::int64_t batch = 0; batch < p.batch && !call.context.stopRequested(); ++batch)
                backThrough(p, batch, channel, dy, to.b.data() + part * shared, to.c.data() + part * shared, to);
    }));
    const auto merge = [&](T* sum, const std::vector<T>& all) {
        for (std::int64_t i = 0; sum && i < parts * shared; ++i)
            sum[i % shared] += all[static_cast<std::size_t>(i)];
    };
    merge(call.makeZeros(3), to.b);
    merge(call.makeZeros(4), to.c);
    return {};
}

} // namespace

QL_OPERATOR(selective_scan, "Selective scan", .required = 5)

} // namespace ql::graph
