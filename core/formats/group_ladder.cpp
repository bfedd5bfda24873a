// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/group_ladder.h"

#include "core/formats/bit_run.h"
#include "core/formats/finite_weights.h"
#include "core/formats/format_build.h"
#include "core/formats/stored_f16.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

namespace ql {

namespace {

constexpr unsigned kMeanLow = 31; // the five bits of μ in s

void setSigns(LadderRange& range)
{
    const float a = floatFromF16(static_cast<std::uint16_t>((range.slot & ~kMeanLow) >> 1U));
    const unsigned coded = (range.slot & kMeanLow) | (range.zero << 5U);
    const float mean =
        a * (static_cast<float>(coded < 32 ? static_cast<int>(coded) : static_cast<int>(coded) - 64) / 64);
    range.scale = 2 * a;
    range.offset = mean - a;
}

LadderRange readRange(int width, std::int64_t zeroAt, const std::byte* slot, const std::byte* zeros)
{
    LadderRange range;
    std::memcpy(&range.slot, slot, sizeof range.slot);
    range.zero = getBits(zeros, zeroAt, width);
    if (width == 1)
        setSigns(range);
    else
        range.scale = floatFromF16(range.slot);
    return range;
}

} // namespace

LadderRange ladderRange(double low, double high, int width)
{
    LadderRange range;
    const int most = (1 << width) - 1;
    range.slot = boundedF16((high - low) / most);
    range.scale = floatFromF16(range.slot);
    if (range.scale > 0)
        range.zero = static_cast<unsigned>(
            std::clamp(std::nearbyint(-low / static_cast<double>(range.scale)), 0.0, static_cast<double>(most)));
    return range;
}

LadderRange ladderSigns(double a, double mean)
{
    LadderRange range;
    // f16 bits without the sign, rounded to six bits of mantissa.
    const unsigned bits = std::min((unsigned{boundedF16(a)} + 8U) & ~15U, 0x7bf0U);
    const auto stored = static_cast<double>(floatFromF16(static_cast<std::uint16_t>(bits)));
    const int coded = stored > 0 ? static_cast<int>(std::clamp(std::nearbyint(64 * mean / stored), -32.0, 31.0)) : 0;
    const unsigned pattern = static_cast<unsigned>(coded) & 63U;
    range.slot = static_cast<std::uint16_t>(bits << 1U | (pattern & kMeanLow));
    range.zero = pattern >> 5U;
    setSigns(range);
    return range;
}

unsigned ladderCode(const LadderRange& range, int width, float weight)
{
    if (width == 1)
        return weight >= range.offset + range.scale / 2 ? 1 : 0;
    if (range.scale == 0)
        return range.zero;
    const double code = std::nearbyint(static_cast<double>(weight) / static_cast<double>(range.scale)) +
                        static_cast<double>(range.zero);
    return static_cast<unsigned>(std::clamp(code, 0.0, static_cast<double>((1 << width) - 1)));
}

float ladderValue(const LadderRange& range, int width, unsigned code)
{
    if (width == 1)
        return range.offset + (code != 0 ? range.scale : 0.0F);
    return range.scale * static_cast<float>(static_cast<int>(code) - static_cast<int>(range.zero));
}

LadderRange plainLadderRange(const float* weights, std::int64_t count, int width, double shrink)
{
    double low = 0;
    double high = 0;
    double sum = 0;
    double magnitudes = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        const auto w = static_cast<double>(weights[i]);
        low = std::min(low, w);
        high = std::max(high, w);
        sum += w;
        magnitudes += std::fabs(w);
    }
    const double n = static_cast<double>(std::max<std::int64_t>(1, count));
    return width == 1 ? ladderSigns(shrink * magnitudes / n, sum / n) : ladderRange(shrink * low, shrink * high, width);
}

LadderBytes::LadderBytes(int theBits, std::int64_t theGroup, MatrixShape shape)
    : bits(theBits),
      group(theGroup),
      groups(ceilDiv(shape.cols, theGroup)),
      whole(shape.cols / theGroup),
      codeRow(ceilDiv(theBits * shape.cols, 8)),
      zeroRow(ceilDiv(theBits * groups, 8)),
      codes(ceilDiv(groups, 4)),
      scales(codes + shape.rows * codeRow),
      zeros(scales + 2 * shape.rows * groups),
      size(zeros + shape.rows * zeroRow)
{}

std::int64_t LadderBytes::width(std::int64_t index, MatrixShape shape) const
{
    return std::min(group, shape.cols - index * group);
}

std::vector<int> ladderWidths(const LadderBytes& layout, const std::vector<double>& salience, std::int64_t k)
{
    std::vector<std::size_t> order(static_cast<std::size_t>(layout.whole));
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return salience[a] < salience[b]; });
    std::vector<int> widths(static_cast<std::size_t>(layout.groups), layout.bits);
    for (std::int64_t i = 0; i < std::min(k, layout.whole / 2); ++i) {
        widths[order[static_cast<std::size_t>(i)]] = layout.bits - 1;
        widths[order[static_cast<std::size_t>(layout.whole - 1 - i)]] = layout.bits + 1;
    }
    return widths;
}

void storeLadderWidths(const LadderBytes& layout, const std::vector<int>& widths, std::byte* bytes)
{
    std::fill(bytes, bytes + layout.codes, std::byte{});
    for (std::int64_t g = 0; g < layout.groups; ++g)
        orBits(bytes, 2 * g, 2, static_cast<unsigned>(widths[static_cast<std::size_t>(g)] - layout.bits + 1));
}

void storeLadderRow(const LadderBytes& layout, const std::vector<int>& widths, std::int64_t row, MatrixShape shape,
                    const std::vector<LadderRange>& ranges, const std::uint8_t* codes, std::byte* bytes)
{
    std::byte* to = bytes + layout.codes + row * layout.codeRow;
    std::byte* zeros = bytes + layout.zeros + row * layout.zeroRow;
    std::fill(to, to + layout.codeRow, std::byte{});
    std::fill(zeros, zeros + layout.zeroRow, std::byte{});
    std::int64_t at = 0;
    std::int64_t zeroAt = 0;
    for (std::int64_t g = 0; g < layout.groups; ++g) {
        const int width = widths[static_cast<std::size_t>(g)];
        const LadderRange& range = ranges[static_cast<std::size_t>(g)];
        std::memcpy(bytes + layout.scales + 2 * (row * layout.groups + g), &range.slot, sizeof range.slot);
        orBits(zeros, zeroAt, width, range.zero);
        zeroAt += width;
        for (std::int64_t c = g * layout.group; c < g * layout.group + layout.width(g, shape); ++c, at += width)
            orBits(to, at, width, codes[c]);
    }
}

namespace {

class GroupLadder final : public MatrixFormat {
public:
    GroupLadder(int width, std::int64_t group) : m_bits(width), m_group(group)
    {
        const std::string n = std::to_string(width);
        const std::string g = std::to_string(group);
        id = "slim" + n + ":g" + g;
        title = "Groups of " + g + " columns of " + std::to_string(width - 1) + ", " + n + " or " +
                std::to_string(width + 1) + " bits, " + n + " in the mean";
        source = "Huang et al., SliM-LLM, ICML 2025, sections 3.2 and 3.3";
        layout =
            "groups of " + g + " columns: width codes uint8 [ceil(groups / 4)], 2 bits each from the lowest: width = " +
            std::to_string(width - 1) + " + code; codes uint8 [rows, ceil(" + n +
            " * cols / 8)], the columns' codes of their widths running on, lowest bits first; f16 s [rows, groups]; z "
            "uint8 [rows, ceil(" +
            n +
            " * groups / 8)], likewise. weight = s * (code - z); of width 1 with the bits S of s: a = the f16 of bits "
            "(S & 0xffe0) >> 1, m = (S & 31) + 32 * z less 64 if that is 32 or more, weight = a * m / 64 - a + code * "
            "2 a";
        bits = width;
    }

    std::array<PayloadPart, 5> parts(MatrixShape shape) const override
    {
        if (shape.rows == 0 || shape.cols == 0)
            return {};
        const LadderBytes at(m_bits, m_group, shape);
        return {{{"codes of eight bits", shape.rows * at.codeRow, 8},
                 {"scales", shape.rows * at.groups, 16},
                 {"zero points of eight bits", shape.rows * at.zeroRow, 8},
                 {"widths of four groups", at.codes, 8},
                 {}}};
    }

    void restoreRun(const std::byte* bytes, MatrixShape shape, std::int64_t row, std::int64_t column,
                    std::int64_t count, float* out) const override
    {
        const LadderBytes at(m_bits, m_group, shape);
        const std::byte* codes = bytes + at.codes + row * at.codeRow;
        const std::byte* zeros = bytes + at.zeros + row * at.zeroRow;
        std::int64_t codeAt = 0;
        std::int64_t zeroAt = 0;
        for (std::int64_t g = 0; g < at.groups && g * m_group < column + count; ++g) {
            const int width = m_bits - 1 + static_cast<int>(getBits(bytes, 2 * g, 2));
            const std::int64_t begin = g * m_group;
            const std::int64_t end = begin + at.width(g, shape);
            if (end > column) {
                const LadderRange range =
                    readRange(width, zeroAt, bytes + at.scales + 2 * (row * at.groups + g), zeros);
                for (std::int64_t c = std::max(begin, column); c < std::min(end, column + count); ++c)
                    out[c - column] = ladderValue(range, width, getBits(codes, codeAt + (c - begin) * width, width));
            }
            codeAt += width * (end - begin);
            zeroAt += width;
        }
    }

    /// Plain ranges; k by the least Σ importance·(w − ŵ)², saliences are Σ importance·w².
    Result<void> fill(const MatrixFill& from, std::byte* bytes, const JobContext& context) const override
    {
        const MatrixShape shape = from.shape();
        const LadderBytes at(m_bits, m_group, shape);
        context.progress().addTotal(2 * shape.rows * shape.cols);
        QL_TRY(weights, finiteWeights(from.weights, context));
        QL_TRY(sums, sumsOf(from, weights, at, shape, context));
        std::int64_t best = 0;
        double least = std::numeric_limits<double>::infinity();
        for (std::int64_t k = 0; k <= at.whole / 2; ++k) {
            const std::vector<int> widths = ladderWidths(at, sums.salience, k);
            double error = 0;
            for (std::size_t g = 0; g < widths.size(); ++g)
                error += sums.error[3 * g + static_cast<std::size_t>(widths[g] - m_bits + 1)];
            if (error < least) {
                least = error;
                best = k;
            }
        }
        const std::vector<int> widths = ladderWidths(at, sums.salience, best);
        storeLadderWidths(at, widths, bytes);
        return forRows(context, shape, [&](std::int64_t row) {
            const float* w = weights.row(row, shape.cols);
            std::vector<LadderRange> ranges;
            std::vector<std::uint8_t> codes(static_cast<std::size_t>(shape.cols));
            for (std::int64_t g = 0; g < at.groups; ++g) {
                const int width = widths[static_cast<std::size_t>(g)];
                ranges.push_back(plainLadderRange(w + g * m_group, at.width(g, shape), width));
                for (std::int64_t c = g * m_group; c < g * m_group + at.width(g, shape); ++c)
                    codes[static_cast<std::size_t>(c)] =
                        static_cast<std::uint8_t>(ladderCode(ranges.back(), width, w[c]));
            }
            storeLadderRow(at, widths, row, shape, ranges, codes.data(), bytes);
            context.progress().addDone(shape.cols);
        });
    }

private:
    struct Sums {
        std::vector<double> salience; // of each group
        std::vector<double> error;    // [groups, 3], with N − 1, N and N + 1 bits
    };

    Result<Sums> sumsOf(const MatrixFill& from, const FiniteWeights& weights, const LadderBytes& at, MatrixShape shape,
                        const JobContext& context) const
    {
        const auto groups = static_cast<std::size_t>(at.groups);
        const std::int64_t grain = std::max<std::int64_t>(1, (std::int64_t{1} << 16U) / shape.cols);
        return deterministicReduce(
            context, shape.rows, grain, Sums{std::vector<double>(groups, 0.0), std::vector<double>(3 * groups, 0.0)},
            [&](std::int64_t begin, std::int64_t end) {
                Sums sums{std::vector<double>(groups, 0.0), std::vector<double>(3 * groups, 0.0)};
                for (std::int64_t row = begin; row < end && !context.stopRequested(); ++row) {
                    const float* importance = from.importanceOf(row);
                    for (std::int64_t g = 0; g < at.groups; ++g)
                        addGroup(weights.row(row, shape.cols) + g * m_group,
                                 importance ? importance + g * m_group : nullptr, at.width(g, shape),
                                 static_cast<std::size_t>(g), sums);
                    context.progress().addDone(shape.cols);
                }
                return sums;
            },
            [](Sums& into, const Sums& next) {
                for (std::size_t i = 0; i < into.salience.size(); ++i)
                    into.salience[i] += next.salience[i];
                for (std::size_t i = 0; i < into.error.size(); ++i)
                    into.error[i] += next.error[i];
            });
    }

    void addGroup(const float* w, const float* importance, std::int64_t count, std::size_t group, Sums& sums) const
    {
        const auto matters = [&](std::int64_t i) { return importance ? static_cast<double>(importance[i]) : 1.0; };
        for (std::int64_t i = 0; i < count; ++i)
            sums.salience[group] += matters(i) * static_cast<double>(w[i]) * static_cast<double>(w[i]);
        for (std::size_t b = 0; b < 3; ++b) {
            const int width = m_bits - 1 + static_cast<int>(b);
            const LadderRange range = plainLadderRange(w, count, width);
            for (std::int64_t i = 0; i < count; ++i) {
                const double rest = static_cast<double>(w[i]) -
                                    static_cast<double>(ladderValue(range, width, ladderCode(range, width, w[i])));
                sums.error[3 * group + b] += matters(i) * rest * rest;
            }
        }
    }

    int m_bits;
    std::int64_t m_group;
};

std::optional<LadderScheme> ladderOf(std::string_view id)
{
    for (const int width : {2, 3}) {
        const auto group = numberAfter(id, "slim" + std::to_string(width) + ":g");
        if (group && *group >= 1)
            return LadderScheme{width, *group};
    }
    return std::nullopt;
}

std::unique_ptr<const MatrixFormat> makeLadder(std::string_view id)
{
    const auto ladder = ladderOf(id);
    return ladder ? std::make_unique<GroupLadder>(ladder->bits, ladder->group) : nullptr;
}

std::vector<std::string> ladders()
{
    return {"slim2:g128", "slim2:g64", "slim3:g128"};
}

} // namespace

std::optional<LadderScheme> ladderSchemeOf(const Scheme& scheme)
{
    return scheme.isPacked() ? ladderOf(scheme.element->id) : std::nullopt;
}

namespace matrixformats {
extern const MatrixFormatFamily group_ladder;
const MatrixFormatFamily group_ladder{.ids = "slim2:g<size>, slim3:g<size>", .make = makeLadder, .instances = ladders};
} // namespace matrixformats

} // namespace ql
