// SPDX-License-Identifier: GPL-3.0-or-later
// TQ1_0 and TQ2_0: 256 weights of −d, 0 or d. With the k largest magnitudes at ±d the best d is Σ i·|w| / Σ i over them
// and takes (Σ i·|w|)² / Σ i off the error (i: importance); the search tries every k, so up to the rounding of d to f16
// it is exact. Byte offsets as in core/tensor/ggml_blocks.cpp.
#include "core/formats/block_bytes.h"

#include <bit>
#include <cmath>
#include <limits>

namespace ql {

namespace {

using std::byte;

constexpr std::array<float, 3> kLevels{-1, 0, 1};

void packTq2(const byte* block, const std::uint8_t* codes, byte* out)
{
    std::memmove(out + 64, block + 64, 2);
    std::fill(out, out + 64, byte{});
    for (int e = 0; e < 256; ++e)
        putBits(static_cast<unsigned>(codes[e]) << (2 * (e % 128 / 32)), out[32 * (e / 128) + e % 32]);
}

/// Five trits, `stride` codes apart, as a fraction of 256 that their digits in base 3 round up to.
byte fiveTrits(const std::uint8_t* codes, int stride, int count)
{
    unsigned digits = 0;
    for (int n = 0; n < 5; ++n)
        digits = 3 * digits + (n < count ? codes[n * stride] : 0U);
    return static_cast<byte>((digits * 256 + 242) / 243);
}

void packTq1(const byte* block, const std::uint8_t* codes, byte* out)
{
    std::memmove(out + 52, block + 52, 2);
    for (int i = 0; i < 32; ++i)
        out[i] = fiveTrits(codes + i, 32, 5);
    for (int i = 0; i < 16; ++i)
        out[32 + i] = fiveTrits(codes + 160 + i, 16, 5);
    for (int i = 0; i < 4; ++i)
        out[48 + i] = fiveTrits(codes + 240 + i, 4, 4);
}

struct Weight {
    std::uint32_t key; // falls as the size grows
    float size, importance;
};
using Weights = std::array<Weight, kTileWeights>;

/// Ascending by key, byte by byte from the last; equal keys keep their order.
void sortByKey(Weights& weights)
{
    std::array<std::array<std::uint16_t, 256>, 4> places{};
    for (const Weight& w : weights)
        for (unsigned digit = 0; digit < 4; ++digit)
            ++places[digit][w.key >> (8 * digit) & 255U];
    Weights other;
    Weights* from = &weights;
    Weights* to = &other;
    for (unsigned digit = 0; digit < 4; ++digit) {
        unsigned place = 0;
        for (std::uint16_t& count : places[digit]) {
            const unsigned next = place + count;
            count = static_cast<std::uint16_t>(place);
            place = next;
        }
        for (const Weight& w : *from)
            (*to)[places[digit][w.key >> (8 * digit) & 255U]++] = w;
        std::swap(from, to);
    }
}

/// The best d of prepared values.
float searchScale(const UnitTile& tile)
{
    Weights sorted;
    for (std::size_t i = 0; i < sorted.size(); ++i) {
        const float size = std::fabs(tile.x[i]);
        sorted[i] = {~std::bit_cast<std::uint32_t>(size), size, tile.importance[i]};
    }
    sortByKey(sorted);
    double product = 0;
    double importance = 0;
    double best = 0;
    double scale = 0;
    for (const Weight& w : sorted) {
        product += static_cast<double>(w.importance) * static_cast<double>(w.size);
        importance += static_cast<double>(w.importance);
        if (importance > 0 && product * product > best * importance) {
            best = product * product / importance;
            scale = product / importance;
        }
    }
    return static_cast<float>(scale);
}

template<int kBytes, int kScaleAt, auto kPack>
void searchTile(const float* weights, const float* importance, int blocks, byte* out)
{
    PreparedTile prepared;
    BlockCodes codes;
    for (int b = 0; b < blocks; ++b, weights += kTileWeights, out += kBytes) {
        prepareTile(weights, importance ? importance + kTileWeights * b : nullptr, kTileWeights, 8, NormOf::block,
                    prepared);
        const float scale = storableF16(searchScale(prepared.tile), prepared.norm[0]);
        const float threshold = scale == 0 ? std::numeric_limits<float>::infinity() : scale / 2;
        const int length = prepared.tile.length();
        for (int u = 0; u < prepared.tile.units; ++u)
            for (int e = 0; e < length; ++e) {
                const float x = prepared.tile.x[static_cast<std::size_t>(e * prepared.tile.units + u)];
                codes[static_cast<std::size_t>(u * length + e)] =
                    static_cast<std::uint8_t>(1 + (x > threshold ? 1 : 0) - (x < -threshold ? 1 : 0));
            }
        putF16(f16Bits(scale, prepared.norm[0]), out + kScaleAt);
        kPack(out, codes.data(), out);
    }
}

constexpr std::array kFormats{
    BlockFormat{.id = "gguf:tq1_0",
                .title = "GGUF TQ1_0: ternary, 256 weights share a scale, 1.69 bits",
                .dtype = Dtype::tq1_0,
                .elements = 256,
                .bytes = 54,
                .searchTile = searchTile<54, 52, packTq1>,
                .levels = kLevels,
                .affine = affineOfBlock<Dtype::tq1_0, 256, 54, packTq1, 2, -1>,
                .pack = packTq1,
                .scaleAt = 52,
                .scaleCount = 1},
    BlockFormat{.id = "gguf:tq2_0",
                .title = "GGUF TQ2_0: ternary, 256 weights share a scale, 2.06 bits",
                .dtype = Dtype::tq2_0,
                .elements = 256,
                .bytes = 66,
                .searchTile = searchTile<66, 64, packTq2>,
                .levels = kLevels,
                .affine = affineOfBlock<Dtype::tq2_0, 256, 66, packTq2, 2, -1>,
                .pack = packTq2,
                .scaleAt = 64,
                .scaleCount = 1},
};

} // namespace

namespace blockformats {
extern const std::span<const BlockFormat> ternary;
const std::span<const BlockFormat> ternary = kFormats;
} // namespace blockformats

} // namespace ql
