// SPDX-License-Identifier: GPL-3.0-or-later
// ptqtp (PTQTP, 2025): groups of 128 as two ternary planes with a scale each, ŵ = α1·t1 + α2·t2. From t1 = t2 = sign(w)
// least squares of the scales (ridge 10⁻⁸, raised where the planes are nearly equal) and the nearest of the nine pairs
// take turns until no scale moves by more than 10⁻⁴ of the weights' root mean square, at most 50 times. Where
// importances differ the same goes on under them from there, while the error falls. Then the scales are rounded to f16.
// Bytes: 0–3 the scales, then 52 of five trits each, the lowest first, t + 1 as digits of base 3: the 128 of t1, then
// those of t2. 3.5 bits a weight.
#include "core/formats/block_bytes.h"
#include "core/formats/plane_search.h"
#include "core/tensor/half.h"

#include <cmath>

namespace ql {

namespace {

constexpr int kGroup = 128;
constexpr int kTritBytes = (2 * kGroup + 4) / 5;
constexpr int kBytes = 4 + kTritBytes;
constexpr int kRounds = 50;

/// Code 3·(t1 + 1) + t2 + 1 comes at the place its distance from 0 gives it: of equal ones the nearest to zero.
constexpr std::array<std::array<double, kMostPlanes>, 9> kPairs{
    {{0, 0}, {1, 0}, {-1, 0}, {0, 1}, {0, -1}, {1, -1}, {-1, 1}, {1, 1}, {-1, -1}}};

constexpr std::array<int, 5> kPowers{1, 3, 9, 27, 81};

int tritAt(const std::byte* block, int index)
{
    return static_cast<int>(block[4 + index / 5]) / kPowers[static_cast<std::size_t>(index % 5)] % 3 - 1;
}

void putTritAt(int trit, int index, std::byte* block)
{
    const int change = (trit - tritAt(block, index)) * kPowers[static_cast<std::size_t>(index % 5)];
    block[4 + index / 5] = static_cast<std::byte>(static_cast<int>(block[4 + index / 5]) + change);
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
    float sum(int t1, int t2) const { return static_cast<float>(t1) * first + static_cast<float>(t2) * second + 0.0F; }
};

void decodeGroup(const std::byte* block, float* out)
{
    const Scales scales(block);
    for (int e = 0; e < kGroup; ++e)
        out[e] = scales.sum(tritAt(block, e), tritAt(block, kGroup + e));
}

void codeElement(std::byte* block, int element, const float* weight, const float*, float* restored)
{
    const Scales scales(block);
    const auto sumOf = [&](const std::array<double, kMostPlanes>& pair) {
        return scales.sum(static_cast<int>(pair[0]), static_cast<int>(pair[1]));
    };
    const auto distance = [&](const std::array<double, kMostPlanes>& pair) {
        return std::fabs(static_cast<double>(*weight) - static_cast<double>(sumOf(pair)));
    };
    const auto& best = *std::ranges::min_element(kPairs, {}, distance);
    for (int plane = 0; plane < 2; ++plane)
        putTritAt(static_cast<int>(best[static_cast<std::size_t>(plane)]), plane * kGroup + element, block);
    *restored = sumOf(best);
}

PlaneFit fitOf(const PlaneWeights& weights)
{
    PlaneFit fit;
    double squares = 0;
    for (std::size_t i = 0; i < kGroup; ++i) {
        fit.codes[i] = weights.x[i] < 0 ? 8 : 7;
        squares += weights.importance[i] > 0 ? weights.x[i] * weights.x[i] : 0;
    }
    const double still = 1e-4 * std::sqrt(squares / kGroup);
    for (int round = 0; round < kRounds; ++round) {
        const PlaneScales before = fit.scale;
        leastSquaresScales(weights, kPairs, 2, fit);
        nearestPlanes(weights, kPairs, 2, fit);
        if (std::max(std::fabs(fit.scale[0] - before[0]), std::fabs(fit.scale[1] - before[1])) <= still)
            break;
    }
    return fit;
}

void searchGroups(const float* weights, const float* importance, int blocks, std::byte* out)
{
    for (int b = 0; b < blocks; ++b, weights += kGroup, out += kBytes) {
        PlaneFit fit = fitOf(PlaneWeights(weights, nullptr, kGroup));
        const PlaneWeights weighted(weights, importance ? importance + kGroup * b : nullptr, kGroup);
        if (weighted.isWeighted) {
            nearestPlanes(weighted, kPairs, 2, fit);
            alternate(weighted, kPairs, 2, kRounds, fit);
        }
        roundScales(weighted, kPairs, 2, fit);
        for (int p = 0; p < 2; ++p)
            putF16(f16FromFloat(static_cast<float>(fit.scale[static_cast<std::size_t>(p)])), out + 2 * p);
        for (int byte = 0; byte < kTritBytes; ++byte) {
            unsigned digits = 0;
            for (int index = std::min(5 * byte + 5, 2 * kGroup); index-- > 5 * byte;) {
                const auto& pair = kPairs[fit.codes[static_cast<std::size_t>(index % kGroup)]];
                digits = 3 * digits + static_cast<unsigned>(pair[static_cast<std::size_t>(index / kGroup)] + 1);
            }
            out[4 + byte] = static_cast<std::byte>(digits);
        }
    }
}

constexpr std::array kFormats{
    BlockFormat{.id = "ptqtp",
                .title = "PTQTP: two ternary planes with a scale each for 128 weights, 3.5 bits",
                .dtype = {},
                .elements = kGroup,
                .bytes = kBytes,
                .source = "PTQTP, 2025 (arXiv 2509.16989), section 3",
                .layout =
                    "56 bytes for 128 weights: f16 a1, a2; 52 bytes of 5 trits d = byte / 3^(i mod 5) mod 3 - 1, i the "
                    "number of the trit. weight[e] = trit[e]*a1 + trit[128+e]*a2",
                .decode = decodeGroup,
                .searchTile = searchGroups,
                .cellElements = 1,
                .codeCell = codeElement,
                .scaleCount = 2},
};

} // namespace

namespace blockformats {
extern const std::span<const BlockFormat> trit_planes;
const std::span<const BlockFormat> trit_planes = kFormats;
} // namespace blockformats

} // namespace ql
