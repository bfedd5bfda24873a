// SPDX-License-Identifier: GPL-3.0-or-later
// BitMoD (Chen et al., HPCA 2025): groups of 128 with the levels of a sign-magnitude float, whose code of −0 means one
// of four special values, chosen for each group.
//   bitmod3  {0, ±1, ±2, ±4}                        and 3, −3, 6 or −6
//   bitmod4  {0, ±1, ±2, ±3, ±4, ±6, ±8, ±12}       and 10, −10, 16 or −16
// Scale max|w| over the largest level, at least 10⁻⁵ and at most 10⁴, rounded to f16; nearest level, ties to the lower;
// of the four the one with the least Σ importance·(w − ŵ)², the first of equals. The scale is the paper's: importances
// choose among the four only.
// Bytes: 0–1 the scale, 2 the special value's number, then codes of 3 or 4 bits, the lowest bits first: 3.19 or 4.19
// bits a weight (the paper's selector of 2 bits fills a byte here).
#include "core/formats/bitmod_grid.h"
#include "core/formats/block_bytes.h"
#include "core/formats/plane_search.h"
#include "core/tensor/half.h"

#include <cmath>

namespace ql {

namespace {

constexpr int kGroup = 128;
constexpr int kHead = 3;

template<int kBits>
struct Grid : BitmodGrid<kBits> {
    static constexpr int kBytes = kHead + kGroup * kBits / 8;
};

unsigned bitsAt(const std::byte* codes, int bits, int element)
{
    const auto at = static_cast<unsigned>(element * bits);
    unsigned two = static_cast<unsigned>(codes[at / 8]) >> (at % 8);
    if (at % 8 + static_cast<unsigned>(bits) > 8)
        two |= static_cast<unsigned>(codes[at / 8 + 1]) << (8 - at % 8);
    return two & ((1U << bits) - 1);
}

void putBitsAt(unsigned code, int bits, int element, std::byte* codes)
{
    const unsigned changed = code ^ bitsAt(codes, bits, element);
    const auto at = static_cast<unsigned>(element * bits);
    codes[at / 8] ^= static_cast<std::byte>(changed << (at % 8) & 255U);
    if (at % 8 + static_cast<unsigned>(bits) > 8)
        codes[at / 8 + 1] ^= static_cast<std::byte>(changed >> (8 - at % 8));
}

template<int kBits>
void decodeGroup(const std::byte* block, float* out)
{
    std::uint16_t bits = 0;
    std::memcpy(&bits, block, sizeof bits);
    const float scale = floatFromF16(bits);
    const unsigned special = static_cast<unsigned>(block[2]) & 3U;
    for (int e = 0; e < kGroup; ++e)
        out[e] = Grid<kBits>::level(special, bitsAt(block + kHead, kBits, e)) * scale;
}

/// A group coded with one of the special values.
template<int kBits>
struct Coded {
    std::uint16_t scaleBits = 0;
    std::array<std::uint8_t, kGroup> codes{};
    double error = 0;

    Coded(const PlaneWeights& weights, unsigned special)
    {
        const auto wanted = static_cast<float>(weights.largest) / Grid<kBits>::largest(special);
        scaleBits = f16FromFloat(std::clamp(wanted, 1e-5F, 1e4F));
        const auto scale = static_cast<double>(floatFromF16(scaleBits));
        constexpr unsigned kCodes = 1U << kBits;
        std::array<std::pair<double, std::uint8_t>, kCodes> ascending;
        for (unsigned code = 0; code < kCodes; ++code)
            ascending[code] = {static_cast<double>(Grid<kBits>::level(special, code)), static_cast<std::uint8_t>(code)};
        std::ranges::sort(ascending);
        for (std::size_t i = 0; i < kGroup; ++i) {
            double least = std::fabs(weights.x[i] - ascending[0].first * scale);
            codes[i] = ascending[0].second;
            for (std::size_t k = 1; k < kCodes; ++k) { // strictly nearer: a tie stays with the lower
                const double distance = std::fabs(weights.x[i] - ascending[k].first * scale);
                if (distance < least) {
                    least = distance;
                    codes[i] = ascending[k].second;
                }
            }
            error += weights.importance[i] * least * least;
        }
    }
};

template<int kBits>
void searchGroups(const float* weights, const float* importance, int blocks, std::byte* out)
{
    constexpr int kBytes = Grid<kBits>::kBytes;
    for (int b = 0; b < blocks; ++b, weights += kGroup, out += kBytes) {
        const PlaneWeights prepared(weights, importance ? importance + kGroup * b : nullptr, kGroup);
        Coded<kBits> best(prepared, 0);
        unsigned chosen = 0;
        for (unsigned special = 1; special < 4; ++special)
            if (const Coded<kBits> tried(prepared, special); tried.error < best.error) {
                best = tried;
                chosen = special;
            }
        std::fill(out, out + kBytes, std::byte{});
        putF16(best.scaleBits, out);
        out[2] = static_cast<std::byte>(chosen);
        for (int e = 0; e < kGroup; ++e)
            putBitsAt(best.codes[static_cast<std::size_t>(e)], kBits, e, out + kHead);
    }
}

template<int kBits>
void codeElement(std::byte* block, int element, const float* weight, const float*, float* restored)
{
    std::uint16_t bits = 0;
    std::memcpy(&bits, block, sizeof bits);
    const float scale = floatFromF16(bits);
    const unsigned special = static_cast<unsigned>(block[2]) & 3U;
    const auto distance = [&](unsigned code) {
        return std::fabs(static_cast<double>(*weight) - static_cast<double>(Grid<kBits>::level(special, code) * scale));
    };
    unsigned best = 0;
    for (unsigned code = 1; code < 1U << kBits; ++code)
        if (distance(code) < distance(best))
            best = code;
    putBitsAt(best, kBits, element, block + kHead);
    *restored = Grid<kBits>::level(special, best) * scale;
}

constexpr std::array kFormats{
    BlockFormat{.id = "bitmod3",
                .title = "BitMoD, 3 bits: one of four special values for 128 weights, 3.19 bits",
                .dtype = {},
                .elements = kGroup,
                .bytes = Grid<3>::kBytes,
                .source = "Chen et al., BitMoD, HPCA 2025, section III",
                .layout =
                    "51 bytes for 128 weights: f16 s; u8 k; 3 bits a code c. weight = v*s with v = {0,1,2,4}[c] for "
                    "c < 4, {3,-3,6,-6}[k] for c = 4, else -{0,1,2,4}[c-4]",
                .decode = decodeGroup<3>,
                .searchTile = searchGroups<3>,
                .cellElements = 1,
                .codeCell = codeElement<3>,
                .scaleCount = 1},
    BlockFormat{.id = "bitmod4",
                .title = "BitMoD, 4 bits: one of four special values for 128 weights, 4.19 bits",
                .dtype = {},
                .elements = kGroup,
                .bytes = Grid<4>::kBytes,
                .source = "Chen et al., BitMoD, HPCA 2025, section III",
                .layout =
                    "67 bytes for 128 weights: f16 s; u8 k; 4 bits a code c. weight = v*s with v = "
                    "{0,1,2,3,4,6,8,12}[c] for c < 8, {10,-10,16,-16}[k] for c = 8, else -{0,1,2,3,4,6,8,12}[c-8]",
                .decode = decodeGroup<4>,
                .searchTile = searchGroups<4>,
                .cellElements = 1,
                .codeCell = codeElement<4>,
                .scaleCount = 1},
};

} // namespace

namespace blockformats {
extern const std::span<const BlockFormat> bitmod;
const std::span<const BlockFormat> bitmod = kFormats;
} // namespace blockformats

} // namespace ql
