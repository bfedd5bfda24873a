// SPDX-License-Identifier: GPL-3.0-or-later
// The Gram matrix of a layer's inputs with each token as heavy as the loss feels it: G = Σ_t c_t·x_t·x_tᵀ, c_t the mean
// over the layer's outputs of (∂ Σ ln p/∂y_t)², labels drawn from the model. With the gradients of a token's outputs
// taken for uncorrelated and alike, a change ΔW moves the model by ½·tr(ΔW·G·ΔWᵀ) nats: XᵀX says how far outputs move,
// G which tokens' outputs must not. Layers that share an input differ in c. And the Gram matrix of those gradients,
// S = Σ_t g_t·g_tᵀ, g_t = ∂ Σ ln p/∂y_t: which changes of outputs the loss does not tell apart, so that the rows of ΔW
// can make up for each other: ½·tr(S·ΔW·G·ΔWᵀ)·out/tr(S) nats. Sums are in double while windows go by and rounded to
// float after each batch. Source: Martens and Grosse, Optimizing neural networks with Kronecker-factored approximate
// curvature, ICML 2015, section 3, without the assumption that gradients and inputs are independent.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ql {

/// Where one segment of the graph multiplies by the layer. Sums over windows of text, of G or, with outputs in place of
/// inputs, of S.
struct LayerLossGram {
    std::string source; // names text and settings
    std::int64_t windows = 0;
    std::int64_t tokens = 0;
    std::int64_t in = 0;
    std::int64_t parts = 1;  // equal ranges of the layer's rows that see inputs of their own: experts of a stack
    std::vector<float> sums; // of each part the lower half of G by rows, [parts, in·(in + 1)/2]

    static std::int64_t halfSize(std::int64_t in) { return in * (in + 1) / 2; }

    std::vector<std::byte> encode() const;
    /// Nothing if the bytes are not what encode() wrote.
    static std::optional<LayerLossGram> decode(std::span<const std::byte> bytes);
    /// All but the sums, from the first kHeadBytes of what encode() wrote.
    static std::optional<LayerLossGram> decodeHead(std::span<const std::byte> bytes);
    static constexpr std::size_t kHeadBytes = 1024;
};

} // namespace ql
