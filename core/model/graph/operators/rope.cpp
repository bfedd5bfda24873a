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

/// What position 1 turns each pair by, in radians.
template<typename C>
std::vector<double> frequenciesOf(const C& call, const Layout& layout, std::int64_t end)
{
    const Node& node = call.node;
    const auto rotary = static_cast<double>(layout.rotary);
    const std::int64_t context = node.integer("context", 0);
    const bool isLong = context > 0 && end > context;
    const std::size_t input = isLong && call.has(2) ? 2 : 1;
    double theta = node.number("theta", 10000);
    if (const double dynamic = node.number("dynamic", 0); dynamic > 0 && isLong && layout.rotary > 2)
        theta *= std::pow(dynamic * static_cast<double>(end) / static_cast<double>(context) - dynamic + 1,
                          rotary / (rotary - 2));
    std::vector<double> frequencies;
    for (std::int64_t i = 0; i < layout.rotary / 2; ++i) {
        frequencies.push_back(std::pow(theta, -2 * static_cast<double>(i) / rotary));
        if (call.has(input))
            frequencies.back() /= static_cast<double>(call.real(input).data()[i]);
    }
    return frequencies;
}

/// Turns x forward, or back (sign −1); its first token stands at that position.
template<typename T, typename C>
Result<void> turn(const C& call, const Array<T>& x, std::int64_t position, T sign, T* y)
{
    QL_TRY(layout, layoutOf(call));
    const std::vector<double> frequencies = frequenciesOf(call, layout, position + layout.tokens);
    const double scale = call.node.number("scale", 1);
    const std::int64_t width = layout.heads * layout.headSize;
    const std::int64_t half = layout.rotary / 2;
    return parallelFor(call.context, x.rows(), rowGrain(width), [&](std::int64_t begin, std::int64_t end) {
        std::vector<T> cos(frequencies.size());
        std::vector<T> sin(frequencies.size());
        const Rotation<T> rotation{cos.data(), sin.data(), sign, layout.interleaved ? 0 : half};
        for (std::int64_t r = begin; r < end; ++r) {
            for (std::size_t i = 0; i < frequencies.size(); ++i) {
                const double angle = static_cast<double>(position + r % layout.tokens) * frequencies[i];
                cos[i] = static_cast<T>(std::cos(angle) * scale);
                sin[i] = static_cast<T>(std::sin(angle) * scale);
            }
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
    const Array<T>& x = call.real(0);
    return turn(call, x, call.state ? call.state->position : 0, T{1}, call.make(0, x.shape()));
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    return call.wants(0) ? turn(call, call.outputGradients[0], 0, T{-1}, call.make(0)) : Result<void>();
}

} // namespace

QL_OPERATOR(rope, "Rotary embedding")

} // namespace ql::graph
