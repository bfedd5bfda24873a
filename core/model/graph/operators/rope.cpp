// SPDX-License-Identifier: GPL-3.0-or-later
// Rotary position embedding of x[batch, tokens, heads·head_size]: in every head, pairs (a, b) of the first `rotary`
// features turn by the angle position · theta^(−2i/rotary) / factors[i]:  a' = (a·cos − b·sin)·scale,
// b' = (b·cos + a·sin)·scale.  Pairing "halves": features i and i + rotary/2 (transformers); "interleaved": 2i and 2i+1
// (GGUF's llama). Optional input 1: factors[rotary/2], which stretch single frequencies (Llama 3, LongRoPE, YaRN). In
// sequences longer than `context`, optional input 2 takes their place (LongRoPE), and with `dynamic` s theta becomes
// theta·(s·tokens/context − s + 1)^(rotary/(rotary − 2)) (dynamic NTK). Sources: Su et al. 2021; transformers,
// modeling_rope_utils.py.
#include "core/model/graph/operator.h"
#include "core/model/graph/row_kernels.h"

#include <cmath>

namespace ql::graph {

namespace {

struct Layout {
    std::int64_t tokens, headSize, heads, rotary;
    bool interleaved;
};

template<typename C>
Result<Layout> layoutOf(const C& call)
{
    const Shape& shape = call.real(0).shape();
    const Node& node = call.node;
    Layout layout{};
    layout.headSize = node.integer("head_size", 0);
    layout.rotary = node.integer("rotary", layout.headSize);
    layout.interleaved = node.text("pairing", "halves") == "interleaved";
    if (shape.size() != 3 || layout.headSize < 1 || shape[2] % layout.headSize != 0 || layout.rotary < 0 ||
        layout.rotary > layout.headSize || layout.rotary % 2 != 0)
        return nodeError(node, "cannot turn " + formatShape(shape) + " in heads of " + std::to_string(layout.headSize) +
                                   ", " + std::to_string(layout.rotary) + " of it rotary");
    layout.tokens = shape[1];
    layout.heads = shape[2] / layout.headSize;
    for (const std::size_t i : {1U, 2U})
        if (call.has(i) && call.real(i).numel() != layout.rotary / 2)
            return nodeError(node, "has " + std::to_string(call.real(i).numel()) + " factors for " +
                                       std::to_string(layout.rotary / 2) + " frequencies");
    return layout;
}

/// Cosines and sines [tokens, rotary / 2], times scale.
template<typename T>
struct Table {
    std::vector<T> cos, sin;
    template<typename C>
    Table(const C& call, const Layout& layout, std::int64_t firstPosition)
    {
        const Node& node = call.node;
        const auto rotary = static_cast<double>(layout.rotary);
        const std::int64_t end = firstPosition + layout.tokens;
        const std::int64_t context = node.integer("context", 0);
        const bool isLong = context > 0 && end > context;
        const std::size_t input = isLong && call.has(2) ? 2 : 1;
        const T* factors = call.has(input) ? call.real(input).data() : nullptr;
        double theta = node.number("theta", 10000);
        if (const double dynamic = node.number("dynamic", 0); dynamic > 0 && isLong && layout.rotary > 2)
            theta *= std::pow(dynamic * static_cast<double>(end) / static_cast<double>(context) - dynamic + 1,
                              rotary / (rotary - 2));
        const double scale = node.number("scale", 1);
        for (std::int64_t t = firstPosition; t < end; ++t)
            for (std::int64_t i = 0; i < layout.rotary / 2; ++i) {
                double frequency = std::pow(theta, -2 * static_cast<double>(i) / rotary);
                if (factors)
                    frequency /= static_cast<double>(factors[i]);
                const double angle = static_cast<double>(t) * frequency;
                cos.push_back(static_cast<T>(std::cos(angle) * scale));
                sin.push_back(static_cast<T>(std::sin(angle) * scale));
            }
    }
};

/// Turns forward, or back (sign −1).
template<typename T>
Result<void> turn(const Array<T>& x, const Layout& layout, const Table<T>& table, T sign, T* y,
                  const JobContext& context)
{
    const std::int64_t width = layout.heads * layout.headSize;
    const std::int64_t half = layout.rotary / 2;
    return parallelFor(context, x.rows(), rowGrain(width), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t r = begin; r < end; ++r) {
            const std::int64_t at = r % layout.tokens * half;
            const Rotation<T> rotation{table.cos.data() + at, table.sin.data() + at, sign,
                                       layout.interleaved ? 0 : half};
            for (std::int64_t h = 0; h < layout.heads; ++h) {
                const T* from = x.data() + r * width + h * layout.headSize;
                T* to = y + r * width + h * layout.headSize;
                rotatePairs(from, half, rotation, to);
                std::copy(from + layout.rotary, from + layout.headSize, to + layout.rotary);
            }
        }
    });
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_TRY(layout, layoutOf(call));
    const Table<T> table(call, layout, call.state ? call.state->position : 0);
    return turn(call.real(0), layout, table, T{1}, call.make(0, call.real(0).shape()), call.context);
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    if (!call.wants(0))
        return {};
    QL_TRY(layout, layoutOf(call));
    const Table<T> table(call, layout, 0);
    return turn(call.outputGradients[0], layout, table, T{-1}, call.make(0), call.context);
}

} // namespace

QL_OPERATOR(rope, "Rotary embedding")

} // namespace ql::graph
