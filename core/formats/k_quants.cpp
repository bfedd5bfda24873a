// SPDX-License-Identifier: GPL-3.0-or-later
// Q2_K … Q6_K: blocks of 256 whose units of 16 or 32 have whole-number scales, and minima in Q2_K, Q4_K and Q5_K, of
// f16 block scales. Byte offsets as in core/tensor/ggml_blocks.cpp. The search is that of unit_search.h: each unit's
// least squares first, then the numbers and the block's scales together.
#include "core/formats/block_bytes.h"

namespace ql {

namespace {

using std::byte;

template<std::size_t kCount, int kLow>
constexpr auto wholeLevels()
{
    std::array<float, kCount> levels{};
    for (std::size_t i = 0; i < kCount; ++i)
        levels[i] = static_cast<float>(kLow + static_cast<int>(i));
    return levels;
}

// Codes into their places.

/// One byte for each i below 32: kBits bits, from the bit `drop` on, of kParts codes a stride apart.
template<int kParts, int kBits>
void putRuns(const std::uint8_t* codes, int stride, unsigned drop, byte* to)
{
    constexpr unsigned kMask = (1U << kBits) - 1;
    for (int i = 0; i < 32; ++i) {
        unsigned bits = 0;
        for (int part = 0; part < kParts; ++part)
            bits |= (static_cast<unsigned>(codes[stride * part + i]) >> drop & kMask) << (kBits * part);
        to[i] = static_cast<byte>(bits);
    }
}

void putLowPairs(const std::uint8_t* codes, byte* to)
{
    for (int half = 0; half < 2; ++half) // four weights a byte, 32 apart
        putRuns<4, 2>(codes + 128 * half, 32, 0, to + 32 * half);
}

void putLowNibbles(const std::uint8_t* codes, byte* to)
{
    for (int part = 0; part < 4; ++part)
        putRuns<2, 4>(codes + 64 * part, 32, 0, to + 32 * part);
}

void putQ2(const std::uint8_t* codes, byte* block)
{
    putLowPairs(codes, block + 16);
}

void putQ3(const std::uint8_t* codes, byte* block)
{
    putLowPairs(codes, block + 32);
    putRuns<8, 1>(codes, 32, 2, block);
}

void putQ4(const std::uint8_t* codes, byte* block)
{
    putLowNibbles(codes, block + 16);
}

void putQ5(const std::uint8_t* codes, byte* block)
{
    putLowNibbles(codes, block + 48);
    putRuns<8, 1>(codes, 32, 4, block + 16);
}

void putQ6(const std::uint8_t* codes, byte* block)
{
    for (int half = 0; half < 2; ++half) {
        putRuns<2, 4>(codes + 128 * half, 64, 0, block + 64 * half);
        putRuns<2, 4>(codes + 128 * half + 32, 64, 0, block + 64 * half + 32);
        putRuns<4, 2>(codes + 128 * half, 32, 4, block + 128 + 32 * half);
    }
}

template<void (*kPut)(const std::uint8_t*, byte*), int kBytes>
void packBlock(const byte* block, const std::uint8_t* codes, byte* out)
{
    if (block != out)
        std::memcpy(out, block, kBytes);
    kPut(codes, out);
}

// Unit scales into theirs.

using Numbers = std::array<unsigned, kMostUnits>;

Numbers wholeNumbers(const PerUnit& numbers, float low = 0)
{
    Numbers whole{};
    for (std::size_t u = 0; u < kMostUnits; ++u)
        whole[u] = static_cast<unsigned>(static_cast<int>(numbers[u] - low));
    return whole;
}

void putScalesQ2(const BlockAffine& found, byte* block)
{
    const Numbers scales = wholeNumbers(found.scales);
    const Numbers minima = wholeNumbers(found.minima);
    for (std::size_t u = 0; u < 16; ++u)
        block[u] = static_cast<byte>(scales[u] | minima[u] << 4U);
}

/// Six bits each: Q4_K and Q5_K keep the upper two of the last four scales and minima with the first four.
void putScalesQ45(const BlockAffine& found, byte* block)
{
    const Numbers scales = wholeNumbers(found.scales);
    const Numbers minima = wholeNumbers(found.minima);
    for (std::size_t u = 0; u < 4; ++u) {
        block[4 + u] = static_cast<byte>(scales[u] | (scales[u + 4] >> 4U) << 6U);
        block[8 + u] = static_cast<byte>(minima[u] | (minima[u + 4] >> 4U) << 6U);
        block[12 + u] = static_cast<byte>((scales[u + 4] & 15U) | (minima[u + 4] & 15U) << 4U);
    }
}

void putScalesQ3(const BlockScale& found, byte* block)
{
    std::fill(block + 96, block + 108, byte{});
    const Numbers numbers = wholeNumbers(found.numbers, -32);
    for (std::size_t u = 0; u < 16; ++u) {
        putBits((numbers[u] & 15U) << (4 * (u / 8)), block[96 + u % 8]);
        putBits((numbers[u] >> 4U) << (2 * (u / 4)), block[104 + u % 4]);
    }
}

void putScalesQ6(const BlockScale& found, byte* block)
{
    for (std::size_t u = 0; u < 16; ++u)
        block[192 + u] = static_cast<byte>(static_cast<std::int8_t>(found.numbers[u]));
}

// Searches.

/// What a type with minima is.
struct AffineType {
    int units;
    int highest;    // code
    int mostNumber; // of unit scales and minima
    int scaleAt, minimumAt, bytes;
    void (*putScales)(const BlockAffine&, byte*);
    void (*putCodes)(const std::uint8_t*, byte*);
};

void searchAffineType(const AffineType& type, std::span<const float> cuts, std::span<const float> factors,
                      const float* weights, const float* importance, byte* out)
{
    std::fill(out, out + type.bytes, byte{});
    PreparedTile prepared;
    prepareTile(weights, importance, kTileWeights, type.units, NormOf::block, prepared);
    if (prepared.isZero)
        return;
    const auto highest = static_cast<float>(type.highest);
    const UnitAffines wanted = searchAffines(prepared, highest, cuts, true);
    const BlockAffine found = searchBlockAffine(prepared, highest, wanted, type.mostNumber, factors);
    const UnitAffines stored = found.unitAffines();
    alignas(64) std::array<float, kTileWeights> levels;
    nearestLevels(prepared.tile, {0, highest}, stored.scale, &stored.offset, levels.data());
    BlockCodes codes;
    codesOf(prepared.tile, levels.data(), 0, codes);
    putF16(f16Bits(found.scale, prepared.norm[0]), out + type.scaleAt);
    putF16(f16Bits(found.minimum, prepared.norm[0]), out + type.minimumAt);
    type.putScales(found, out);
    type.putCodes(codes.data(), out);
}

struct ScaleType {
    UnitLevels levels;
    ScaleStarts starts;
    int leastNumber, mostNumber; // of unit scales
    std::span<const float> ends; // of the largest unit scale, at the start
    int scaleAt, bytes;
    void (*putScales)(const BlockScale&, byte*);
    void (*putCodes)(const std::uint8_t*, byte*);
};

void searchScaleType(const ScaleType& type, const float* weights, const float* importance, byte* out)
{
    std::fill(out, out + type.bytes, byte{});
    PreparedTile prepared;
    prepareTile(weights, importance, kTileWeights, 16, NormOf::block, prepared);
    BlockScale found; // of zeros: numbers 0, and codes of the level 0
    if (!prepared.isZero) {
        const PerUnit wanted = searchScales(prepared, type.levels, type.starts);
        found = searchBlockScale(prepared, type.levels, wanted, type.leastNumber, type.mostNumber, type.ends);
    }
    alignas(64) std::array<float, kTileWeights> levels;
    nearestLevels(prepared.tile, type.levels, found.unitScales(), nullptr, levels.data());
    BlockCodes codes;
    codesOf(prepared.tile, levels.data(), type.levels.low, codes);
    putF16(f16Bits(found.scale, prepared.norm[0]), out + type.scaleAt);
    type.putScales(found, out);
    type.putCodes(codes.data(), out);
}

constexpr AffineType kQ2{16, 3, 15, 80, 82, 84, putScalesQ2, putQ2};
constexpr AffineType kQ4{8, 15, 63, 0, 2, 144, putScalesQ45, putQ4};
constexpr AffineType kQ5{8, 31, 63, 0, 2, 176, putScalesQ45, putQ5};
// The largest unit scale is the last number on one side, or on the other, or near them.
constexpr std::array kEnds3{-32.0F, -30.4F, 31.0F, 29.45F};
constexpr std::array kEnds6{-128.0F, 127.0F};
const ScaleType kQ3{{-4, 3}, {0.6F, 1.4F, 12, true}, -32, 31, kEnds3, 108, 110, putScalesQ3, putQ3};
const ScaleType kQ6{{-32, 31}, {0.82F, 1.06F, 9, false, 2}, -128, 127, kEnds6, 208, 210, putScalesQ6, putQ6};

constexpr std::array kCuts2{-0.1F, 0.0F, 0.1F, 0.2F};
constexpr std::array kCuts4{-0.02F, 0.02F, 0.06F};
constexpr std::array kCuts5{-0.014F, 0.016F};
constexpr std::array kFactors2{1.0F, 1.06F, 0.94F};
constexpr std::array kFactors45{1.0F};

template<const AffineType& kType, const auto& kCuts, const auto& kFactors>
void searchAffineTile(const float* weights, const float* importance, int blocks, byte* out)
{
    for (int b = 0; b < blocks; ++b)
        searchAffineType(kType, kCuts, kFactors, weights + kTileWeights * b,
                         importance ? importance + kTileWeights * b : nullptr, out + kType.bytes * b);
}

template<const ScaleType& kType>
void searchScaleTile(const float* weights, const float* importance, int blocks, byte* out)
{
    for (int b = 0; b < blocks; ++b)
        searchScaleType(kType, weights + kTileWeights * b, importance ? importance + kTileWeights * b : nullptr,
                        out + kType.bytes * b);
}

constexpr auto kLevels2 = wholeLevels<4, 0>();
constexpr auto kLevels3 = wholeLevels<8, -4>();
constexpr auto kLevels4 = wholeLevels<16, 0>();
constexpr auto kLevels5 = wholeLevels<32, 0>();
constexpr auto kLevels6 = wholeLevels<64, -32>();

/// kLevelOne: code of the level 1; kMinimumAt: see affineOfBlock.
template<Dtype kType, int kBytes, auto kPut, std::uint8_t kLevelOne, int kMinimumAt>
constexpr BlockFormat kFormat(std::string_view id, std::string_view title,
                              void (*search)(const float*, const float*, int, byte*), std::span<const float> levels,
                              int scaleAt)
{
    constexpr auto kPack = packBlock<kPut, kBytes>;
    return {.id = id,
            .title = title,
            .dtype = kType,
            .elements = 256,
            .bytes = kBytes,
            .searchTile = search,
            .levels = levels,
            .affine = affineOfBlock<kType, 256, kBytes, kPack, kLevelOne, kMinimumAt>,
            .pack = kPack,
            .scaleAt = scaleAt,
            .scaleCount = kMinimumAt < 0 ? 1 : 2};
}

const std::array kFormats{
    kFormat<Dtype::q2_k, 84, putQ2, 1, 82>("gguf:q2_k", "GGUF Q2_K: 16 weights share a 4-bit scale and minimum",
                                           searchAffineTile<kQ2, kCuts2, kFactors2>, kLevels2, kQ2.scaleAt),
    kFormat<Dtype::q3_k, 110, putQ3, 5, -1>("gguf:q3_k", "GGUF Q3_K: 16 weights share a 6-bit scale",
                                            searchScaleTile<kQ3>, kLevels3, 108),
    kFormat<Dtype::q4_k, 144, putQ4, 1, 2>("gguf:q4_k", "GGUF Q4_K: 32 weights share a 6-bit scale and minimum",
                                           searchAffineTile<kQ4, kCuts4, kFactors45>, kLevels4, kQ4.scaleAt),
    kFormat<Dtype::q5_k, 176, putQ5, 1, 2>("gguf:q5_k", "GGUF Q5_K: 32 weights share a 6-bit scale and minimum",
                                           searchAffineTile<kQ5, kCuts5, kFactors45>, kLevels5, kQ5.scaleAt),
    kFormat<Dtype::q6_k, 210, putQ6, 33, -1>("gguf:q6_k", "GGUF Q6_K: 16 weights share an 8-bit scale",
                                             searchScaleTile<kQ6>, kLevels6, 208),
};

} // namespace

namespace blockformats {
extern const std::span<const BlockFormat> k_quants;
const std::span<const BlockFormat> k_quants = kFormats;
} // namespace blockformats

} // namespace ql
