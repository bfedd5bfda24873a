// SPDX-License-Identifier: GPL-3.0-or-later
// bcq<q>, q = 1…4 (binary coding quantization: Xu et al. 2018; LUT-GEMM, Park et al. 2022): groups of 128 as q planes
// of signs with a scale each, ŵ = Σ αᵢ·bᵢ. The greedy start takes the signs of what is left and the mean of its
// magnitudes, plane after plane; then least squares of the scales and the nearest of the 2^q sums take turns, at most
// 40 times, while the error falls; the scales are rounded to f16. Where importances differ, both from the greedy start
// and from what came out without them, and the better is kept. bcq2 before the turns is the two-basis binarizer of
// BinaryDM. Bytes: the scales, then 16 for each plane, a bit that is set means minus: q·(1 + 16/128) bits a weight.
#include "core/formats/block_bytes.h"
#include "core/formats/plane_search.h"
#include "core/tensor/half.h"

#include <cmath>

namespace ql {

namespace {

constexpr int kGroup = 128;
constexpr int kPlaneBytes = kGroup / 8;
constexpr int kRounds = 40;

/// Bit p of a code says that plane p is −1: code 0, the first of equals, is the largest sum.
constexpr auto kSigns = [] {
    std::array<std::array<double, kMostPlanes>, 16> table{};
    for (std::size_t code = 0; code < table.size(); ++code)
        for (std::size_t p = 0; p < kMostPlanes; ++p)
            table[code][p] = (code >> p & 1U) != 0 ? -1 : 1;
    return table;
}();
template<int kPlanes>
constexpr PlaneTable kTable(kSigns.data(), std::size_t{1} << kPlanes);

template<int kPlanes>
PlaneFit fitOf(const PlaneWeights& weights)
{
    PlaneFit fit;
    auto rest = weights.x;
    for (std::size_t p = 0; p < kPlanes; ++p) {
        double sum = 0;
        double total = 0;
        for (std::size_t i = 0; i < kGroup; ++i) {
            sum += weights.importance[i] * std::fabs(rest[i]);
            total += weights.importance[i];
        }
        fit.scale[p] = total > 0 ? sum / total : 0;
        for (std::size_t i = 0; i < kGroup; ++i)
            rest[i] -= rest[i] < 0 ? -fit.scale[p] : fit.scale[p];
    }
    nearestPlanes(weights, kTable<kPlanes>, kPlanes, fit); // the greedy codes, or better ones
    alternate(weights, kTable<kPlanes>, kPlanes, kRounds, fit);
    return fit;
}

template<int kPlanes>
struct Scales {
    std::array<float, kMostPlanes> scale{};
    explicit Scales(const std::byte* block)
    {
        std::array<std::uint16_t, kMostPlanes> bits{};
        std::memcpy(bits.data(), block, sizeof(std::uint16_t) * kPlanes);
        std::ranges::transform(bits, scale.begin(), floatFromF16);
    }
    /// Bit p of the code: plane p is −1.
    float sum(unsigned code) const
    {
        float sum = 0;
        for (std::size_t p = 0; p < kPlanes; ++p)
            sum += (code >> p & 1U) != 0 ? -scale[p] : scale[p];
        return sum;
    }
};

template<int kPlanes>
void decodeGroup(const std::byte* block, float* out)
{
    const Scales<kPlanes> scales(block);
    for (int e = 0; e < kGroup; ++e) {
        unsigned code = 0;
        for (int p = 0; p < kPlanes; ++p)
            code |= (static_cast<unsigned>(block[2 * kPlanes + kPlaneBytes * p + e / 8]) >> (e % 8) & 1U) << p;
        out[e] = scales.sum(code);
    }
}

template<int kPlanes>
void codeElement(std::byte* block, int element, const float* weight, const float*, float* restored)
{
    const Scales<kPlanes> scales(block);
    const auto distance = [&](unsigned code) {
        return std::fabs(static_cast<double>(*weight) - static_cast<double>(scales.sum(code)));
    };
    unsigned best = 0;
    for (unsigned code = 1; code < 1U << kPlanes; ++code)
        if (distance(code) < distance(best))
            best = code;
    for (int p = 0; p < kPlanes; ++p) {
        std::byte& to = block[2 * kPlanes + kPlaneBytes * p + element / 8];
        to &= static_cast<std::byte>(~(1U << (element % 8)));
        putBits((best >> p & 1U) << (element % 8), to);
    }
    *restored = scales.sum(best);
}

template<int kPlanes>
void searchGroups(const float* weights, const float* importance, int blocks, std::byte* out)
{
    constexpr int kBytes = kPlanes * (2 + kPlaneBytes);
    for (int b = 0; b < blocks; ++b, weights += kGroup, out += kBytes) {
        const PlaneWeights weighted(weights, importance ? importance + kGroup * b : nullptr, kGroup);
        PlaneFit fit = fitOf<kPlanes>(PlaneWeights(weights, nullptr, kGroup));
        if (weighted.isWeighted) {
            nearestPlanes(weighted, kTable<kPlanes>, kPlanes, fit);
            alternate(weighted, kTable<kPlanes>, kPlanes, kRounds, fit);
            if (const PlaneFit other = fitOf<kPlanes>(weighted); other.error < fit.error)
                fit = other;
        }
        roundScales(weighted, kTable<kPlanes>, kPlanes, fit);
        std::fill(out, out + kBytes, std::byte{});
        for (int p = 0; p < kPlanes; ++p) {
            putF16(f16FromFloat(static_cast<float>(fit.scale[static_cast<std::size_t>(p)])), out + 2 * p);
            for (int e = 0; e < kGroup; ++e)
                putBits((unsigned{fit.codes[static_cast<std::size_t>(e)]} >> p & 1U) << (e % 8),
                        out[2 * kPlanes + kPlaneBytes * p + e / 8]);
        }
    }
}

template<int kPlanes>
constexpr BlockFormat formatOf(std::string_view id, std::string_view title, std::string_view layout)
{
    return {.id = id,
            .title = title,
            .dtype = {},
            .elements = kGroup,
            .bytes = kPlanes * (2 + kPlaneBytes),
            .source = "Park et al., LUT-GEMM, 2022, section 3; Xu et al. 2018, Alternating multi-bit quantization",
            .layout = layout,
            .decode = decodeGroup<kPlanes>,
            .searchTile = searchGroups<kPlanes>,
            .cellElements = 1,
            .codeCell = codeElement<kPlanes>,
            .scaleCount = kPlanes};
}

constexpr std::array kFormats{
    formatOf<1>("bcq1", "Signs with a scale for 128 weights, 1.125 bits",
                "18 bytes for 128 weights: f16 a; 16 bytes of signs, 1 is minus. weight = +-a"),
    formatOf<2>("bcq2", "Two planes of signs with a scale each for 128 weights, 2.25 bits",
                "36 bytes for 128 weights: f16 a1, a2; 16 bytes of signs for each, 1 is minus. weight = +-a1 +-a2"),
    formatOf<3>("bcq3", "Three planes of signs with a scale each for 128 weights, 3.375 bits",
                "54 bytes for 128 weights: f16 a1, a2, a3; 16 bytes of signs for each, 1 is minus. weight = +-a1 +-a2 "
                "+-a3"),
    formatOf<4>("bcq4", "Four planes of signs with a scale each for 128 weights, 4.5 bits",
                "72 bytes for 128 weights: f16 a1, a2, a3, a4; 16 bytes of signs for each, 1 is minus. weight = +-a1 "
                "+-a2 +-a3 +-a4"),
};

} // namespace

namespace blockformats {
extern const std::span<const BlockFormat> sign_planes;
const std::span<const BlockFormat> sign_planes = kFormats;
} // namespace blockformats

} // namespace ql
