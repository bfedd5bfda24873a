// SPDX-License-Identifier: GPL-3.0-or-later
// dualbin (DB-LLM, Chen et al. 2024: flexible dual binarization): groups of 64 as two planes of zeros and ones with a
// scale each, ŵ = α1·w1 + α2·w2. Starts are the levels {−s, 0, s, 2s} of two bits, α1 = 2s and α2 = −s, for s = 0.3,
// 0.4 and 0.5 of the largest weight, and their mirror images; least squares and nearest levels take turns from each,
// the best is kept and its scales are rounded to f16. Weighted by importance. Bytes: 0–3 the scales, 4–11 the bits of
// w1, 12–19 those of w2: 2.5 bits a weight.
#include "core/formats/block_bytes.h"
#include "core/formats/plane_search.h"
#include "core/tensor/half.h"

#include <cmath>

namespace ql {

namespace {

constexpr int kGroup = 64;
constexpr int kPlaneBytes = kGroup / 8;
constexpr int kBytes = 4 + 2 * kPlaneBytes;
constexpr int kRounds = 40;

constexpr std::array<std::array<double, kMostPlanes>, 4> kPairs{{{0, 0}, {1, 0}, {0, 1}, {1, 1}}};

bool bitOf(const std::byte* plane, int index)
{
    return (static_cast<unsigned>(plane[index / 8]) >> (index % 8) & 1U) != 0;
}

struct Scales {
    float first = 0, second = 0;
    explicit Scales(const std::byte* block)
    {
        std::array<std::uint16_t, 2> bits;
        std::memcpy(bits.data(), block, sizeof bits);
        first = floatFromF16(bits[0]);
        second = floatFromF16(bits[1]);
    }
    float sum(bool w1, bool w2) const { return (w1 ? first : 0.0F) + (w2 ? second : 0.0F); }
};

void decodeGroup(const std::byte* block, float* out)
{
    const Scales scales(block);
    for (int e = 0; e < kGroup; ++e)
        out[e] = scales.sum(bitOf(block + 4, e), bitOf(block + 4 + kPlaneBytes, e));
}

void codeElement(std::byte* block, int element, const float* weight, const float*, float* restored)
{
    const Scales scales(block);
    const auto distance = [&](unsigned code) {
        return std::fabs(static_cast<double>(*weight) -
                         static_cast<double>(scales.sum((code & 1U) != 0, (code & 2U) != 0)));
    };
    unsigned best = 0;
    for (unsigned code = 1; code < 4; ++code)
        if (distance(code) < distance(best))
            best = code;
    for (unsigned p = 0; p < 2; ++p) {
        std::byte& to = block[4 + kPlaneBytes * static_cast<int>(p) + element / 8];
        to &= static_cast<std::byte>(~(1U << (element % 8)));
        putBits((best >> p & 1U) << (element % 8), to);
    }
    *restored = scales.sum((best & 1U) != 0, (best & 2U) != 0);
}

PlaneFit fitOf(const PlaneWeights& weights)
{
    PlaneFit best;
    nearestPlanes(weights, kPairs, 2, best);
    for (const double part : {0.3, 0.4, 0.5, -0.3, -0.4, -0.5}) {
        const double s = part * weights.largest;
        PlaneFit fit{.scale = {2 * s, -s}, .codes = {}};
        nearestPlanes(weights, kPairs, 2, fit);
        alternate(weights, kPairs, 2, kRounds, fit);
        if (fit.error < best.error)
            best = fit;
    }
    roundScales(weights, kPairs, 2, best);
    return best;
}

void searchGroups(const float* weights, const float* importance, int blocks, std::byte* out)
{
    for (int b = 0; b < blocks; ++b, weights += kGroup, out += kBytes) {
        const PlaneFit fit = fitOf(PlaneWeights(weights, importance ? importance + kGroup * b : nullptr, kGroup));
        std::fill(out, out + kBytes, std::byte{});
        for (int p = 0; p < 2; ++p)
            putF16(f16FromFloat(static_cast<float>(fit.scale[static_cast<std::size_t>(p)])), out + 2 * p);
        for (int e = 0; e < kGroup; ++e) {
            const auto& pair = kPairs[fit.codes[static_cast<std::size_t>(e)]];
            for (int p = 0; p < 2; ++p)
                if (pair[static_cast<std::size_t>(p)] != 0)
                    putBits(1U << (e % 8), out[4 + kPlaneBytes * p + e / 8]);
        }
    }
}

constexpr std::array kFormats{
    BlockFormat{.id = "dualbin",
                .title = "Dual binarization: two planes of bits with a scale each for 64 weights, 2.5 bits",
                .dtype = {},
                .elements = kGroup,
                .bytes = kBytes,
                .source = "Chen et al., DB-LLM, 2024, section 3.2",
                .layout =
                    "20 bytes for 64 weights: f16 a1, a2; 8 bytes of bits w1; 8 bytes of bits w2. weight = a1*w1 + "
                    "a2*w2",
                .decode = decodeGroup,
                .searchTile = searchGroups,
                .cellElements = 1,
                .codeCell = codeElement,
                .scaleCount = 2},
};

} // namespace

namespace blockformats {
extern const std::span<const BlockFormat> dual_binary;
const std::span<const BlockFormat> dual_binary = kFormats;
} // namespace blockformats

} // namespace ql
