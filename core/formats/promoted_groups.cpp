// SPDX-License-Identifier: GPL-3.0-or-later
// mix24_<p>:g<g>, p = 0…100 (Fast and efficient 2-bit LLM inference, Li et al. 2023, sections 3.1 to 3.3): groups of g
// columns of a row in 2 bits, but p per cent of them, those that gain most, in 4. The gain of a group is
// importance·range² (an error of R²/(12·(2^b − 1)²) falls from R²/108 to R²/2700). Every row promotes ⌈p·groups/100⌉ of
// its whole groups, so that rows are as long as each other. Affine, ŵ = s·(q − z), with the range's s, of second order:
// 1…255 in units of a real scale of the row. Bytes of W, everything in each row from a byte of its own, the lowest bits
// first: a bit for each group, 1 where it is promoted; the lower 2 bits of all codes; the upper 2 bits of promoted
// groups' codes, one group after the other; s of each group, uint8; z of 4 bits; and f16 [rows], the unit: 2 + 2·p/100
// + 13/g + 16/cols bits a weight.
#include "core/formats/bit_run.h"
#include "core/formats/finite_weights.h"
#include "core/formats/format_build.h"
#include "core/formats/stored_f16.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

namespace ql {

namespace {

constexpr int kMostScale = 255;

struct MixBytes {
    MixBytes(MatrixShape shape, std::int64_t group, std::int64_t percent)
        : groups(ceilDiv(shape.cols, group)),
          promoted(ceilDiv(percent * (shape.cols / group), 100)),
          maskRow(ceilDiv(groups, 8)),
          lowRow(ceilDiv(2 * shape.cols, 8)),
          highRow(ceilDiv(2 * group * promoted, 8)),
          zeroRow(ceilDiv(4 * groups, 8)),
          low(shape.rows * maskRow),
          high(low + shape.rows * lowRow),
          scales(high + shape.rows * highRow),
          zeros(scales + shape.rows * groups),
          units(zeros + shape.rows * zeroRow)
    {}
    std::int64_t groups, promoted; // of a row
    std::int64_t maskRow, lowRow, highRow, zeroRow;
    std::int64_t low, high, scales, zeros, units;
};

struct GroupRange {
    double low = 0, high = 0;
    double span() const { return high - low; }
};

class PromotedGroups final : public MatrixFormat {
public:
    PromotedGroups(std::int64_t percent, std::int64_t group) : m_percent(percent), m_group(group)
    {
        const std::string p = std::to_string(percent);
        const std::string g = std::to_string(group);
        id = "mix24_" + p + ":g" + g;
        title = "Groups of " + g + " of 2 bits, " + p + " % of them, by range, of 4";
        source = "Li et al., Fast and Efficient 2-bit LLM Inference, 2023, sections 3.1 to 3.3";
        layout =
            "all uint8, lowest bits first: promoted [rows, ceil(groups of " + g +
            " / 8)], 1 where a group is; lower 2 bits of codes [rows, ceil(cols / 4)]; upper 2 bits of the codes of "
            "promoted groups, one after the other, [rows, ceil(promoted of a row * " +
            g + " / 4)], promoted of a row = ceil(" + p +
            " / 100 * whole groups); t [rows, groups]; z of 4 bits [rows, "
            "ceil(groups / 2)]; f16 u [rows]. weight = u * t * (code - z)";
        bits = static_cast<int>(std::lround(2 + 0.02 * static_cast<double>(percent) + 13 / static_cast<double>(group)));
    }

    std::array<PayloadPart, 5> parts(MatrixShape shape) const override
    {
        if (shape.rows == 0 || shape.cols == 0)
            return {};
        const MixBytes at(shape, m_group, m_percent);
        return {{{"promoted, of eight groups", shape.rows * at.maskRow, 8},
                 {"codes of eight bits", shape.rows * (at.lowRow + at.highRow), 8},
                 {"scales", shape.rows * at.groups, 8},
                 {"zero points of two groups", shape.rows * at.zeroRow, 8},
                 {"scales of rows", shape.rows, 16}}};
    }

    void restoreRun(const std::byte* bytes, MatrixShape shape, std::int64_t row, std::int64_t column,
                    std::int64_t count, float* out) const override
    {
        const MixBytes at(shape, m_group, m_percent);
        const float unit = f16At(bytes + at.units, row);
        const std::byte* low = bytes + at.low + row * at.lowRow;
        const std::byte* high = bytes + at.high + row * at.highRow;
        std::int64_t promoted = 0;
        for (std::int64_t g = 0; g < at.groups && g * m_group < column + count; ++g) {
            const bool wide = getBits(bytes + row * at.maskRow, g, 1) != 0;
            const std::int64_t begin = g * m_group;
            const std::int64_t first = std::max(begin, column);
            const std::int64_t last = std::min({shape.cols, begin + m_group, column + count});
            const float scale =
                unit * static_cast<float>(static_cast<unsigned>(bytes[at.scales + row * at.groups + g]));
            const auto zero = static_cast<int>(getBits(bytes + at.zeros + row * at.zeroRow, 4 * g, 4));
            for (std::int64_t c = first; c < last; ++c) {
                unsigned code = getBits(low, 2 * c, 2);
                if (wide)
                    code |= getBits(high, 2 * (promoted * m_group + c - begin), 2) << 2U;
                out[c - column] = scale * static_cast<float>(static_cast<int>(code) - zero);
            }
            promoted += wide ? 1 : 0;
        }
    }

    Result<void> fill(const MatrixFill& from, std::byte* bytes, const JobContext& context) const override
    {
        const MatrixShape shape = from.shape();
        context.progress().addTotal(shape.rows * shape.cols);
        QL_TRY(weights, finiteWeights(from.weights, context));
        return forRows(context, shape, [&](std::int64_t row) {
            fillRow(weights.row(row, shape.cols), from.importanceOf(row), row, shape, bytes);
            context.progress().addDone(shape.cols);
        });
    }

private:
    /// Which groups of a row gain most.
    std::vector<bool> chooseGroups(const std::vector<GroupRange>& ranges, const float* importance, const MixBytes& at,
                                   MatrixShape shape) const
    {
        std::vector<double> gain;
        for (std::int64_t g = 0; g < shape.cols / m_group; ++g) {
            double sum = importance ? 0 : static_cast<double>(m_group);
            for (std::int64_t c = g * m_group; importance && c < (g + 1) * m_group; ++c)
                sum += static_cast<double>(importance[c]);
            gain.push_back(sum * ranges[static_cast<std::size_t>(g)].span() *
                           ranges[static_cast<std::size_t>(g)].span());
        }
        std::vector<std::size_t> order(gain.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return gain[a] > gain[b]; });
        std::vector<bool> chosen(ranges.size(), false);
        for (std::int64_t i = 0; i < at.promoted; ++i)
            chosen[order[static_cast<std::size_t>(i)]] = true;
        return chosen;
    }

    void fillRow(const float* w, const float* importance, std::int64_t row, MatrixShape shape, std::byte* bytes) const
    {
        const MixBytes at(shape, m_group, m_percent);
        std::vector<GroupRange> ranges;
        for (std::int64_t g = 0; g < at.groups; ++g) {
            GroupRange range;
            for (std::int64_t c = g * m_group; c < std::min(shape.cols, (g + 1) * m_group); ++c) {
                range.low = std::min(range.low, static_cast<double>(w[c]));
                range.high = std::max(range.high, static_cast<double>(w[c]));
            }
            ranges.push_back(range);
        }
        const std::vector<bool> wide = chooseGroups(ranges, importance, at, shape);
        const auto exactScale = [&](std::size_t g) { return ranges[g].span() / (wide[g] ? 15 : 3); };
        double most = 0;
        for (std::size_t g = 0; g < ranges.size(); ++g)
            most = std::max(most, exactScale(g));
        const auto unit = static_cast<double>(putF16At(bytes + at.units, row, most / kMostScale));
        std::byte* mask = bytes + row * at.maskRow;
        std::byte* low = bytes + at.low + row * at.lowRow;
        std::byte* high = bytes + at.high + row * at.highRow;
        std::byte* zeros = bytes + at.zeros + row * at.zeroRow;
        std::fill(mask, mask + at.maskRow, std::byte{});
        std::fill(low, low + at.lowRow, std::byte{});
        std::fill(high, high + at.highRow, std::byte{});
        std::fill(zeros, zeros + at.zeroRow, std::byte{});
        std::int64_t promoted = 0;
        for (std::int64_t g = 0; g < at.groups; ++g) {
            const auto index = static_cast<std::size_t>(g);
            const int top = wide[index] ? 15 : 3;
            const double steps =
                unit > 0 ? std::clamp(std::nearbyint(exactScale(index) / unit), 1.0, static_cast<double>(kMostScale))
                         : 1.0;
            const double scale = steps * unit;
            const double zero =
                scale > 0 ? std::clamp(std::nearbyint(-ranges[index].low / scale), 0.0, static_cast<double>(top)) : 0.0;
            bytes[at.scales + row * at.groups + g] = static_cast<std::byte>(static_cast<unsigned>(steps));
            orBits(zeros, 4 * g, 4, static_cast<unsigned>(zero));
            orBits(mask, g, 1, wide[index] ? 1U : 0U);
            for (std::int64_t c = g * m_group; c < std::min(shape.cols, (g + 1) * m_group); ++c) {
                const double wanted = scale > 0 ? std::nearbyint(static_cast<double>(w[c]) / scale) + zero : zero;
                const auto code = static_cast<unsigned>(std::clamp(wanted, 0.0, static_cast<double>(top)));
                orBits(low, 2 * c, 2, code & 3U);
                if (wide[index])
                    orBits(high, 2 * (promoted * m_group + c - g * m_group), 2, code >> 2U);
            }
            promoted += wide[index] ? 1 : 0;
        }
    }

    std::int64_t m_percent;
    std::int64_t m_group;
};

std::unique_ptr<const MatrixFormat> makePromoted(std::string_view id)
{
    const std::size_t colon = id.find(':');
    if (colon == std::string_view::npos)
        return nullptr;
    const auto percent = numberAfter(id.substr(0, colon), "mix24_");
    const auto group = numberAfter(id.substr(colon), ":g");
    if (!percent || *percent > 100 || !group || *group < 1)
        return nullptr;
    return std::make_unique<PromotedGroups>(*percent, *group);
}

std::vector<std::string> promotedGroups()
{
    return {"mix24_0:g16", "mix24_10:g16", "mix24_25:g16", "mix24_25:g64"};
}

} // namespace

namespace matrixformats {
extern const MatrixFormatFamily promoted_groups;
const MatrixFormatFamily promoted_groups{
    .ids = "mix24_<percent>:g<size>", .make = makePromoted, .instances = promotedGroups};
} // namespace matrixformats

} // namespace ql
