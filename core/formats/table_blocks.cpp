// SPDX-License-Identifier: GPL-3.0-or-later
// Types whose four-bit codes stand for levels of a table: IQ4_NL (32 weights, an f16 scale), IQ4_XS (256 weights, units
// of 32 with six-bit scales) and MXFP4 (32 weights, a power of two). Byte offsets as in core/tensor/ggml_blocks.cpp.
// MXFP4's exponent is the best of four around the one that brings the largest weight to the largest level.
#include "core/formats/block_bytes.h"

#include <cmath>
#include <limits>

namespace ql {

namespace {

using std::byte;

constexpr std::array<float, 15> kE2m1Ascending{-12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12};
/// Code of each of them.
constexpr std::array<std::uint8_t, 15> kE2m1Codes{15, 14, 13, 12, 11, 10, 9, 0, 1, 2, 3, 4, 5, 6, 7};
static_assert([] {
    for (std::size_t i = 0; i < kE2m1Codes.size(); ++i)
        if (kE2m1DoubledLevels[kE2m1Codes[i]] != kE2m1Ascending[i])
            return false;
    return true;
}());

/// UnitLevels::table of ascending whole levels: what is nearest to the middle of each half step. Middles between levels
/// are ends of half steps.
template<std::size_t kCount>
constexpr auto nearestTable(const std::array<float, kCount>& levels)
{
    std::array<float, 512> table{};
    for (std::size_t i = 0; i < table.size(); ++i) {
        const float middle = levels[0] + static_cast<float>(i) / 2 + 0.25F;
        float nearest = levels[0];
        for (const float level : levels) {
            const float was = middle < nearest ? nearest - middle : middle - nearest;
            const float is = middle < level ? level - middle : middle - level;
            nearest = is < was ? level : nearest;
        }
        table[i] = nearest;
    }
    return table;
}
constexpr auto kIq4Table = nearestTable(kIq4Levels);
constexpr auto kE2m1Table = nearestTable(kE2m1Ascending);
constexpr UnitLevels kIq4{kIq4Levels.front(), kIq4Levels.back(), kIq4Table.data()};
constexpr UnitLevels kE2m1{-12, 12, kE2m1Table.data()};
constexpr ScaleStarts kIq4Starts{0.86F, 1.24F, 9, true};

/// Index of each whole level less the lowest.
template<std::size_t kCount>
constexpr auto indexTable(const std::array<float, kCount>& levels)
{
    std::array<std::uint8_t, 256> table{};
    for (std::size_t i = 0; i < kCount; ++i)
        table[static_cast<std::size_t>(levels[i] - levels[0])] = static_cast<std::uint8_t>(i);
    return table;
}
constexpr auto kIq4Indices = indexTable(kIq4Levels);
constexpr auto kE2m1Indices = indexTable(kE2m1Ascending);

/// Index of each level of a tile, in the order of the weights.
void indicesOf(const UnitTile& tile, const float* values, float lowest, const std::array<std::uint8_t, 256>& indices,
               BlockCodes& codes)
{
    const int length = tile.length();
    for (int u = 0; u < tile.units; ++u)
        for (int e = 0; e < length; ++e)
            codes[static_cast<std::size_t>(u * length + e)] =
                indices[static_cast<std::size_t>(static_cast<int>(values[e * tile.units + u] - lowest))];
}

/// 32 codes in 16 bytes, the second half in the upper nibbles.
void putNibbles(const std::uint8_t* codes, byte* to)
{
    for (int i = 0; i < 16; ++i)
        to[i] = static_cast<byte>(codes[i] | codes[16 + i] << 4);
}

void packIq4Nl(const byte* block, const std::uint8_t* codes, byte* out)
{
    std::memmove(out, block, 2);
    putNibbles(codes, out + 2);
}

void packIq4Xs(const byte* block, const std::uint8_t* codes, byte* out)
{
    std::memmove(out, block, 8);
    for (int u = 0; u < 8; ++u)
        putNibbles(codes + 32 * u, out + 8 + 16 * u);
}

void packMxfp4(const byte* block, const std::uint8_t* codes, byte* out)
{
    out[0] = block[0];
    std::array<std::uint8_t, 32> stored;
    for (std::size_t i = 0; i < stored.size(); ++i)
        stored[i] = kE2m1Codes[codes[i]];
    putNibbles(stored.data(), out + 1);
}

void searchIq4Nl(const float* weights, const float* importance, int blocks, byte* out)
{
    PreparedTile prepared;
    prepareTile(weights, importance, 32 * blocks, 8, NormOf::unit, prepared);
    PerUnit scales = searchScales(prepared, kIq4, kIq4Starts);
    for (std::size_t u = 0; u < 8; ++u)
        scales[u] = storableF16(scales[u], prepared.norm[u]);
    alignas(64) std::array<float, kTileWeights> values;
    nearestLevels(prepared.tile, kIq4, scales, nullptr, values.data()); // of the scale 0: the level 1
    BlockCodes codes;
    indicesOf(prepared.tile, values.data(), kIq4.low, kIq4Indices, codes);
    for (int b = 0; b < blocks; ++b) {
        const auto u = static_cast<std::size_t>(b);
        putF16(f16Bits(scales[u], prepared.norm[u]), out + 18 * b);
        putNibbles(codes.data() + 32 * b, out + 18 * b + 2);
    }
}

constexpr std::array kIq4Ends{-32.0F, -30.4F, 31.0F, 29.45F};

void searchIq4XsBlock(const float* weights, const float* importance, byte* out)
{
    PreparedTile prepared;
    prepareTile(weights, importance, kTileWeights, 8, NormOf::block, prepared);
    BlockScale found;
    if (!prepared.isZero)
        found = searchBlockScale(prepared, kIq4, searchScales(prepared, kIq4, kIq4Starts), -32, 31, kIq4Ends);
    alignas(64) std::array<float, kTileWeights> values;
    nearestLevels(prepared.tile, kIq4, found.unitScales(), nullptr, values.data());
    BlockCodes codes;
    indicesOf(prepared.tile, values.data(), kIq4.low, kIq4Indices, codes);
    std::fill(out, out + 8, byte{});
    putF16(f16Bits(found.scale, prepared.norm[0]), out);
    for (std::size_t u = 0; u < 8; ++u) {
        const auto number = static_cast<unsigned>(static_cast<int>(found.numbers[u] + 32));
        putBits((number & 15U) << (4 * (u % 2)), out[4 + u / 2]);
        putBits((number >> 4U) << (2 * (u % 4)), out[2 + u / 4]);
    }
    packIq4Xs(out, codes.data(), out);
}

void searchIq4Xs(const float* weights, const float* importance, int blocks, byte* out)
{
    for (int b = 0; b < blocks; ++b)
        searchIq4XsBlock(weights + kTileWeights * b, importance ? importance + kTileWeights * b : nullptr,
                         out + 136 * b);
}

void searchMxfp4(const float* weights, const float* importance, int blocks, byte* out)
{
    PreparedTile prepared;
    prepareTile(weights, importance, 32 * blocks, 8, NormOf::unit, prepared);
    std::array<int, 8> shift; // stored exponent = shift + that of prepared values
    for (std::size_t u = 0; u < 8; ++u)
        shift[u] = 128 - std::ilogb(prepared.norm[u]);
    BestScales found;
    found.error.fill(std::numeric_limits<float>::infinity());
    PerUnit scales{};
    for (const int exponent : {-3, -2, -4, -5}) { // x is below 2, levels up to 12; 12·2¹²⁴ is a float
        for (std::size_t u = 0; u < 8; ++u)
            scales[u] = std::ldexp(1.0F, std::clamp(shift[u] + exponent, 0, 252) - shift[u]);
        tryScales(prepared.tile, kE2m1, scales, found);
    }
    scales = found.scale;
    alignas(64) std::array<float, kTileWeights> values;
    nearestLevels(prepared.tile, kE2m1, scales, nullptr, values.data());
    BlockCodes codes;
    indicesOf(prepared.tile, values.data(), kE2m1.low, kE2m1Indices, codes);
    for (int b = 0; b < blocks; ++b) {
        const auto u = static_cast<std::size_t>(b);
        out[17 * b] = static_cast<byte>(shift[u] + std::ilogb(scales[u]));
        packMxfp4(out + 17 * b, codes.data() + 32 * b, out + 17 * b);
    }
}

constexpr std::array kFormats{
    BlockFormat{.id = "gguf:iq4_xs",
                .title = "GGUF IQ4_XS: 16 uneven levels, 32 weights share a 6-bit scale",
                .dtype = Dtype::iq4_xs,
                .elements = 256,
                .bytes = 136,
                .searchTile = searchIq4Xs,
                .levels = kIq4Levels,
                .affine = affineOfBlock<Dtype::iq4_xs, 256, 136, packIq4Xs, 8, -1>,
                .pack = packIq4Xs,
                .scaleCount = 1},
    BlockFormat{.id = "gguf:mxfp4",
                .title = "GGUF MXFP4: E2M1, 32 weights share a power of two",
                .dtype = Dtype::mxfp4,
                .elements = 32,
                .bytes = 17,
                .searchTile = searchMxfp4,
                .levels = kE2m1Ascending,
                .affine = affineOfBlock<Dtype::mxfp4, 32, 17, packMxfp4, 8, -1>,
                .pack = packMxfp4},
    BlockFormat{.id = "gguf:iq4_nl",
                .title = "GGUF IQ4_NL: 16 uneven levels, 32 weights share a scale",
                .dtype = Dtype::iq4_nl,
                .elements = 32,
                .bytes = 18,
                .searchTile = searchIq4Nl,
                .levels = kIq4Levels,
                .affine = affineOfBlock<Dtype::iq4_nl, 32, 18, packIq4Nl, 8, -1>,
                .pack = packIq4Nl,
                .scaleCount = 1},
};

} // namespace

namespace blockformats {
extern const std::span<const BlockFormat> table_blocks;
const std::span<const BlockFormat> table_blocks = kFormats;
} // namespace blockformats

} // namespace ql
