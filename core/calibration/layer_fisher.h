// SPDX-License-Identifier: GPL-3.0-or-later
// The diagonal of the Fisher information of a layer's weights, F = E[(∂ ln p/∂w)²] per token: to second order, a change
// ΔW moves the model by ½·Σ F·ΔW² nats per token (Kullback-Leibler divergence of its predictions). Sums are kept as
// bf16, rounded up or down by chance so that sums of many batches have no bias.
#pragma once

#include "core/base/rng.h"
#include "core/jobs/job_context.h"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ql {

/// Where one segment of the graph uses the layer. Sums over windows of text whose labels were drawn from the model.
struct LayerFisher {
    std::string source; // names text and settings
    std::int64_t windows = 0;
    std::int64_t tokens = 0;
    std::int64_t rows = 0, columns = 0; // W[out, in·…]
    std::vector<std::uint16_t> sums;    // bf16: Σ over windows of (∂ Σ over tokens of ln p/∂w)²
    std::vector<double> outputSquares;  // Σ over tokens of (∂ Σ ln p/∂y)² of each output; only of linear layers

    /// Adds F of the weights [begin, begin + n), per token.
    void addPerToken(std::int64_t begin, std::int64_t n, double* to) const;

    std::vector<std::byte> encode() const;
    /// Nothing if the bytes are not what encode() wrote.
    static std::optional<LayerFisher> decode(std::span<const std::byte> bytes);
    /// All but sums and outputSquares, from the first kHeadBytes of what encode() wrote.
    static std::optional<LayerFisher> decodeHead(std::span<const std::byte> bytes);
    static constexpr std::size_t kHeadBytes = 1024;
};

/// Of a layer: what each segment that uses it adds. Uses are taken for independent, which leaves out how an embedding
/// that is also the output head acts on itself.
struct FisherDiagonal {
    std::vector<LayerFisher> uses; // one at least, all of one shape

    /// Windows of text behind it.
    std::int64_t windows() const;
    /// F of the weights [begin, begin + n), per token.
    void read(std::int64_t begin, std::int64_t n, double* out) const;
    /// Mean over tokens of the squared gradient of each output, summed over uses; empty if no use is linear.
    std::vector<double> outputMeanSquares() const;
};

/// The values as bf16: up with the probability that makes the mean exact, element i by 16 bits of chance's number i/4.
Result<std::vector<std::uint16_t>> roundedByChance(std::span<const float> values, const CounterRng& chance,
                                                   const JobContext& context);

} // namespace ql
