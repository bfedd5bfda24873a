// SPDX-License-Identifier: GPL-3.0-or-later
// A convolution over tokens for each channel by itself that sees no later token: x[batch, tokens, channels] and
// W[channels, 1, taps], optional b[channels]: y[t] = b + Σ_j W[j]·x[t − taps + 1 + j]. With a sequence state the last
// taps − 1 inputs are kept. Source: Mamba, Gu and Dao 2023.
#include "core/model/graph/operator.h"

namespace ql::graph {

namespace {

struct Sizes {
    std::int64_t batch, tokens, channels, taps;
};

template<typename C>
Result<Sizes> sizesOf(const C& call)
{
    const Shape& x = call.real(0).shape();
    const Shape& w = call.real(1).shape();
    if (x.size() != 3 || w.empty() || w.front() != x[2] || w.back() < 1 ||
        call.real(1).numel() != w.front() * w.back() || (call.has(2) && call.real(2).numel() != x[2]))
        return nodeError(call.node, "inputs " + formatShape(x) + " meet weights " + formatShape(w) +
                                        " or a bias of another length");
    return Sizes{x[0], x[1], x[2], w.back()};
}

/// Tap after tap: W[taps, channels].
template<typename T>
std::vector<T> tapsOf(const Array<T>& w, const Sizes& s)
{
    std::vector<T> taps(static_cast<std::size_t>(w.numel()));
    for (std::int64_t c = 0; c < s.channels; ++c)
        for (std::int64_t j = 0; j < s.taps; ++j)
            taps[static_cast<std::size_t>(j * s.channels + c)] = w.data()[c * s.taps + j];
    return taps;
}

/// The inputs behind those of the state, or behind zeros: [batch, taps − 1 + tokens, channels].
template<typename T>
Array<T> extended(const Array<T>& x, const Array<T>& before, const Sizes& s)
{
    Array<T> all({s.batch, s.taps - 1 + s.tokens, s.channels});
    T* to = all.write();
    const std::int64_t past = (s.taps - 1) * s.channels;
    const std::int64_t own = s.tokens * s.channels;
    for (std::int64_t b = 0; b < s.batch; ++b) {
        to = before ? std::copy_n(before.data() + b * past, past, to) : std::fill_n(to, past, T{0});
        to = std::copy_n(x.data() + b * own, own, to);
    }
    return all;
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_TRY(s, sizesOf(call));
    Array<T>* kept = call.state ? &call.state->recurrent[&call.node] : nullptr;
    const Array<T> x = extended(call.real(0), kept ? *kept : Array<T>(), s);
    const std::vector<T> taps = tapsOf(call.real(1), s);
    const std::int64_t length = s.taps - 1 + s.tokens;
    if (kept) {
        *kept = Array<T>({s.batch, s.taps - 1, s.channels});
        T* to = kept->write();
        for (std::int64_t b = 0; b < s.batch; ++b)
            to = std::copy_n(x.data() + (b * length + s.tokens) * s.channels, (s.taps - 1) * s.channels, to);
    }
    T* y = call.make(0, call.real(0).shape());
    return parallelFor(call.context, s.batch * s.tokens, rowGrain(s.channels * s.taps),
                       [&](std::int64_t begin, std::int64_t end) {
                           for (std::int64_t row = begin; row < end; ++row) {
                               T* to = y + row * s.channels;
                               if (call.has(2))
                                   std::copy_n(call.real(2).data(), s.channels, to);
                               else
                                   std::fill_n(to, s.channels, T{0});
                               const T* from = x.data() + (row / s.tokens * length + row % s.tokens) * s.channels;
                               for (std::int64_t i = 0; i < s.taps * s.channels; i += s.channels)
                                   for (std::int64_t c = 0; c < s.channels; ++c)
                                       to[c] += taps[static_cast<std::size_t>(i + c)] * from[i + c];
                           }
                       });
}

/// dx[t] = Σ_j W[j]·dy[t + taps − 1 − j], dW[j] = Σ_t dy[t]·x[t − taps + 1 + j], db = Σ dy.
template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    QL_TRY(s, sizesOf(call));
    const T* x = call.real(0).data();
    const T* w = call.real(1).data();
    const T* dy = call.outputGradients[0].data();
    T* dx = call.makeZeros(0);
    T* dw = call.wants(1) ? call.make(1) : nullptr;
    T* db = call.wants(2) ? call.make(2) : nullptr;
    return parallelFor(call.context, s.channels, 16, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t c = begin; c < end; ++c) {
            std::vector<double> sums(static_cast<std::size_t>(s.taps), 0.0);
            double sum = 0;
            for (std::int64_t row = 0; row < s.batch * s.tokens; ++row) {
                const T d = dy[row * s.channels + c];
                sum += static_cast<double>(d);
                for (std::int64_t j = std::max<std::int64_t>(0, s.taps - 1 - row % s.tokens); j < s.taps; ++j) {
                    const std::int64_t at = (row - s.taps + 1 + j) * s.channels + c;
                    sums[static_cast<std::size_t>(j)] += static_cast<double>(d) * static_cast<double>(x[at]);
                    if (dx)
                        dx[at] += d * w[c * s.taps + j];
                }
            }
            for (std::int64_t j = 0; j < s.taps && dw; ++j)
                dw[c * s.taps + j] = static_cast<T>(sums[static_cast<std::size_t>(j)]);
            if (db)
                db[c] = static_cast<T>(sum);
        }
    });
}

} // namespace

QL_OPERATOR(causal_conv, "Causal convolution", .required = 2, .weights = 1, .activations = 0)

} // namespace ql::graph
