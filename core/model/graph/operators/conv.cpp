// SPDX-License-Identifier: GPL-3.0-or-later
// Convolution in one or two dimensions (cross-correlation, as everywhere in the field): x[batch, in, …] and
// W[out, in/groups, …], optional b[out], give y[batch, out, …]; window.h has strides, dilations and padding. Per tile
// of places, W times a matrix of columns [in/groups · taps, places] copied from x.
#include "core/base/matrix_product.h"
#include "core/model/graph/convolution.h"

namespace ql::graph {

namespace {

constexpr std::int64_t kTileElements = 1 << 18; // of columns: 1 MiB of floats
constexpr std::int64_t kChannels = 16;          // of the input a task of the gradient works on

/// The columns of `channels` channels of x for places [first, last).
template<typename T>
void fillColumns(const Convolution& p, const T* x, std::int64_t channels, std::int64_t first, std::int64_t last,
                 T* columns)
{
    std::fill_n(columns, channels * p.taps() * (last - first), T{0});
    p.forRuns(channels, first, last,
              [&](std::int64_t line, std::int64_t place, std::int64_t at, std::int64_t step, std::int64_t n) {
                  T* to = columns + line * (last - first) + place;
                  if (step == 1)
                      std::copy_n(x + at, n, to);
                  else
                      for (std::int64_t i = 0; i < n; ++i)
                          to[i] = x[at + i * step];
              });
}

/// How many places a tile has.
std::int64_t tileOf(const Convolution& p, std::int64_t channels)
{
    return std::clamp<std::int64_t>(kTileElements / std::max<std::int64_t>(1, channels * p.taps()), 16, 4096);
}

template<typename C>
Result<Convolution> problemOf(const C& call)
{
    QL_TRY(problem, Convolution::of(call.node, call.real(0).shape(), call.real(1).shape()));
    if (call.has(2) && call.real(2).numel() != problem.groups * problem.out)
        return nodeError(call.node, "has " + std::to_string(problem.groups * problem.out) +
                                        " outputs and a bias of another length");
    return problem;
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_TRY(p, problemOf(call));
    const Array<T>& x = call.real(0);
    const T* w = call.real(1).data();
    T* y = call.make(0, windowedShape(x.shape(), p.groups * p.out, p.windows));
    const std::int64_t size = tileOf(p, p.in);
    const std::int64_t tiles = ceilDiv(p.places(), size);
    return parallelFor(call.context, p.batch * p.groups * tiles, 1, [&](std::int64_t task, std::int64_t) {
        const std::int64_t part = task / tiles; // batch · groups
        const std::int64_t group = part % p.groups;
        const std::int64_t first = task % tiles * size;
        const std::int64_t last = std::min(p.places(), first + size);
        std::vector<T> columns(static_cast<std::size_t>(p.depth() * (last - first)));
        fillColumns(p, x.data() + part * p.in * p.plane(), p.in, first, last, columns.data());
        T* to = y + part * p.out * p.places() + first;
        for (std::int64_t o = 0; o < p.out && call.has(2); ++o)
            std::fill_n(to + o * p.places(), last - first, call.real(2).data()[group * p.out + o]);
        multiply(MatrixProduct<T>{.rows = p.out,
                                  .cols = last - first,
                                  .depth = p.depth(),
                                  .a = w + group * p.out * p.depth(),
                                  .aStride = p.depth(),
                                  .b = columns.data(),
                                  .bStride = last - first,
                                  .c = to,
                                  .cStride = p.places(),
                                  .beta = call.has(2) ? T{1} : T{0}});
    });
}

/// Per tile of places dW += dY·columnsᵀ, and dX += what the columns Wᵀ·dY were copied from. A task has some input
/// channels of a group to itself, over batch and places in order.
template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    QL_TRY(p, problemOf(call));
    const T* x = call.real(0).data();
    const T* w = call.real(1).data();
    const T* dy = call.outputGradients[0].data();
    T* dx = call.makeZeros(0);
    T* dw = call.makeZeros(1);
    const std::int64_t parts = ceilDiv(p.in, kChannels);
    const auto task = [&](std::int64_t index, std::int64_t) {
        const std::int64_t group = index / parts;
        const std::int64_t channel = index % parts * kChannels;
        const std::int64_t channels = std::min(kChannels, p.in - channel);
        const std::int64_t lines = channels * p.taps();
        const std::int64_t size = tileOf(p, channels);
        const std::int64_t weightsAt = group * p.out * p.depth() + channel * p.taps();
        std::vector<T> columns(static_cast<std::size_t>(lines * std::min(size, p.places())));
        for (std::int64_t b = 0; b < p.batch; ++b)
            for (std::int64_t first = 0; first < p.places() && !call.context.stopRequested(); first += size) {
                const std::int64_t last = std::min(p.places(), first + size);
                const std::int64_t planes = ((b * p.groups + group) * p.in + channel) * p.plane();
                const T* from = dy + (b * p.groups + group) * p.out * p.places() + first;
                if (dw) {
                    fillColumns(p, x + planes, channels, first, last, columns.data());
                    multiply(MatrixProduct<T>{.rows = p.out,
                                              .cols = lines,
                                              .depth = last - first,
                                              .a = from,
                                              .aStride = p.places(),
                                              .b = columns.data(),
                                              .bStride = last - first,
                                              .bTransposed = true,
                                              .c = dw + weightsAt,
                                              .cStride = p.depth(),
                                              .beta = 1});
                }
                if (dx) {
                    multiply(MatrixProduct<T>{.rows = lines,
                                              .cols = last - first,
                                              .depth = p.out,
                                              .a = w + weightsAt,
                                              .aStride = p.depth(),
                                              .aTransposed = true,
                                              .b = from,
                                              .bStride = p.places(),
                                              .c = columns.data(),
                                              .cStride = last - first});
                    p.forRuns(
                        channels, first, last,
                        [&](std::int64_t line, std::int64_t place, std::int64_t at, std::int64_t step, std::int64_t n) {
                            const T* column = columns.data() + line * (last - first) + place;
                            for (std::int64_t i = 0; i < n; ++i)
                                dx[planes + at + i * step] += column[i];
                        });
                }
            }
    };
    if (dx || dw)
        QL_CHECK(parallelFor(call.context, p.groups * parts, 1, task));
    if (call.wants(2)) {
        T* db = call.make(2);
        for (std::int64_t o = 0; o < p.groups * p.out; ++o) {
            double sum = 0;
            for (std::int64_t b = 0; b < p.batch; ++b)
                for (std::int64_t i = 0; i < p.places(); ++i)
                    sum += static_cast<double>(dy[(b * p.groups * p.out + o) * p.places() + i]);
            db[o] = static_cast<T>(sum);
        }
    }
    return call.context.checkStop();
}

} // namespace

QL_OPERATOR(conv, "Convolution", .required = 2, .weights = 1, .activations = 0)

} // namespace ql::graph
