// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/unfolded_inputs.h"

#include "core/model/graph/convolution.h"

#include <algorithm>

namespace ql {

namespace {

using graph::Array;
using graph::Node;

constexpr std::int64_t kPieceElements = 1 << 22;
constexpr std::int64_t kPieceRows = 256; // a multiple of what statistics sum in float
constexpr std::int64_t kTaskRows = 64;

/// Writes the rows of the places [first, last) of image `image`, full of zeros before.
using FillRows = std::function<void(std::int64_t image, std::int64_t first, std::int64_t last, float* rows)>;

struct Unfolding {
    std::int64_t images = 0, places = 0, width = 0;
    FillRows fill;
};

Result<Unfolding> ofConvolution(const Node& node, const Shape& weights, const Array<float>& x)
{
    QL_TRY(c, graph::Convolution::of(node, x.shape(), weights));
    const std::int64_t channels = c.groups * c.in;
    const std::int64_t width = channels * c.taps();
    return Unfolding{
        c.batch, c.places(), width,
        [c = c, channels, width, &x](std::int64_t image, std::int64_t first, std::int64_t last, float* rows) {
            const float* from = x.data() + image * channels * c.plane();
            c.forRuns(channels, first, last,
                      [&](std::int64_t line, std::int64_t place, std::int64_t at, std::int64_t step, std::int64_t n) {
                          for (std::int64_t i = 0; i < n; ++i)
                              rows[(place + i) * width + line] = from[at + i * step];
                      });
        }};
}

/// Over tokens, x[batch, tokens, channels]: each channel sees its own last taps.
Result<Unfolding> ofCausal(const Node& node, const Shape& weights, const Array<float>& x)
{
    const Shape& shape = x.shape();
    if (shape.size() != 3 || weights.empty() || weights.front() != shape[2])
        return graph::nodeError(node, "inputs " + formatShape(shape) + " meet weights " + formatShape(weights));
    const std::int64_t tokens = shape[1];
    const std::int64_t channels = shape[2];
    const std::int64_t taps = weights.back();
    return Unfolding{shape[0], tokens, channels * taps,
                     [=, &x](std::int64_t image, std::int64_t first, std::int64_t last, float* rows) {
                         for (std::int64_t t = first; t < last; ++t, rows += channels * taps)
                             for (std::int64_t j = std::max<std::int64_t>(0, taps - 1 - t); j < taps; ++j) {
                                 const float* from = x.data() + (image * tokens + t - taps + 1 + j) * channels;
                                 for (std::int64_t c = 0; c < channels; ++c)
                                     rows[c * taps + j] = from[c];
                             }
                     }};
}

} // namespace

std::int64_t convolutionGroups(const Node& node, const Shape& weights)
{
    return node.op->id == "conv" ? node.integer("groups", 1) : node.op->id == "causal_conv" ? weights.front() : 0;
}

Result<void> forUnfoldedInputs(const Node& node, const Shape& weights, const Array<float>& x,
                               const std::function<Result<void>(const Array<float>& rows)>& take,
                               const JobContext& context)
{
    QL_TRY(unfolding, node.op->id == "conv" ? ofConvolution(node, weights, x) : ofCausal(node, weights, x));
    const Unfolding& u = unfolding;
    const std::int64_t piece = std::max<std::int64_t>(1, kPieceElements / u.width / kPieceRows) * kPieceRows;
    const std::int64_t all = u.images * u.places;
    for (std::int64_t begin = 0; begin < all; begin += piece) {
        Array<float> rows({std::min(piece, all - begin), u.width});
        float* to = rows.write();
        QL_CHECK(parallelFor(context, rows.rows(), kTaskRows, [&](std::int64_t from, std::int64_t end) {
            std::fill(to + from * u.width, to + end * u.width, 0.0F);
            while (from < end) { // up to the end of an image
                const std::int64_t image = (begin + from) / u.places;
                const std::int64_t first = (begin + from) % u.places;
                const std::int64_t last = std::min(u.places, first + end - from);
                u.fill(image, first, last, to + from * u.width);
                from += last - first;
            }
        }));
        QL_CHECK(take(rows));
    }
    return {};
}

} // namespace ql
