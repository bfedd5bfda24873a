// SPDX-License-Identifier: GPL-3.0-or-later
// dgq4:g<g> (Dual Grained Quantization, Zhang et al. 2023, sections 3.1 and 3.2): 4-bit groups that integers alone turn
// into rows of int8, ŵ = s8·w8 with w8 = n·(q − z) from −127 to 127: q and z are 0…15, n a whole number of a group, s8
// a real scale of the row. Two searches of the least Σ importance·(w − ŵ)²: of each group's range shrunk by ρ = 1 and
// 1.02 − 0.22·(i + 1)/20, i < 20, on reals, which gives z and the scale s4; then of the row, s8 = ρ·max|w|/127 with ρ =
// 1 and 1.02 − 0.82·(i + 1)/80, i < 80, n = max(1, round(s4/s8)) and the nearest codes that keep w8 in its range. (The
// paper's searches take XᵀX of a group, here the mean squares of its inputs; a range is never worse than unshrunk.)
// Bytes of W: codes, two a byte, the even column in the low half; n, uint8 [rows, groups]; z, uint8 [rows, groups]; s8,
// f16 [rows]: 4 + 16/g + 16/cols bits a weight.
#include "core/formats/finite_weights.h"
#include "core/formats/format_build.h"
#include "core/formats/stored_f16.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace ql {

namespace {

constexpr int kMostCode = 15;
constexpr int kMostInt8 = 127;

struct DualBytes {
    DualBytes(MatrixShape shape, std::int64_t group)
        : rowCodes(ceilDiv(shape.cols, 2)),
          groups(ceilDiv(shape.cols, group)),
          integers(shape.rows * rowCodes),
          zeros(integers + shape.rows * groups),
          scales(zeros + shape.rows * groups)
    {}
    std::int64_t rowCodes, groups;
    std::int64_t integers, zeros, scales;
};

/// A group on reals: w ≈ scale·(q − zero).
struct GroupGrid {
    double scale = 0;
    int zero = 0;
};

/// Codes of a group that keep n·(q − z) within int8.
struct CodeRange {
    CodeRange(int n, int zero) : low(std::max(0, zero - kMostInt8 / n)), high(std::min(kMostCode, zero + kMostInt8 / n))
    {}
    int low, high;
};

int codeOf(float w, double step, int zero, int low, int high)
{
    return static_cast<int>(std::clamp(std::nearbyint(static_cast<double>(w) / step) + zero, static_cast<double>(low),
                                       static_cast<double>(high)));
}

/// Σ importance·(w − step·(q − zero))² with the nearest codes.
double errorOf(const float* weights, const float* importance, std::int64_t count, double step, int zero, int low,
               int high)
{
    double error = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        const double rest = static_cast<double>(weights[i]) - step * (codeOf(weights[i], step, zero, low, high) - zero);
        error += rest * rest * (importance ? static_cast<double>(importance[i]) : 1.0);
    }
    return error;
}

GroupGrid gridOf(const float* weights, const float* importance, std::int64_t count)
{
    double low = 0;
    double high = 0;
    for (std::int64_t i = 0; i < count; ++i) {
        low = std::min(low, static_cast<double>(weights[i]));
        high = std::max(high, static_cast<double>(weights[i]));
    }
    GroupGrid best;
    if (!(high > low))
        return best;
    double least = std::numeric_limits<double>::infinity();
    for (int step = 0; step <= 20; ++step) {
        const double ratio = step == 0 ? 1 : 1.02 - 0.22 * step / 20;
        GroupGrid grid;
        grid.scale = ratio * (high - low) / kMostCode;
        grid.zero = static_cast<int>(std::clamp(std::nearbyint(-ratio * low / grid.scale), 0.0, double{kMostCode}));
        const double error = errorOf(weights, importance, count, grid.scale, grid.zero, 0, kMostCode);
        if (error < least) {
            least = error;
            best = grid;
        }
    }
    return best;
}

int integerScale(const GroupGrid& grid, double rowScale)
{
    return static_cast<int>(std::clamp(std::nearbyint(grid.scale / rowScale), 1.0, double{kMostInt8}));
}

class DualGrained final : public MatrixFormat {
public:
    explicit DualGrained(std::int64_t group) : m_group(group)
    {
        const std::string g = std::to_string(group);
        id = "dgq4:g" + g;
        title = "4-bit groups of " + g + " that integers turn into rows of int8, 4 bits and more";
        source = "Zhang et al., Dual Grained Quantization, 2023, sections 3.1 and 3.2";
        layout = "codes uint8 [rows, ceil(cols / 2)], the even column in the low 4 bits; n uint8 [rows, groups of " +
                 g + "]; z uint8 [rows, groups]; f16 s [rows]. weight = s * (n * (code - z)), the bracket an int8";
        bits = 4;
    }

    std::array<PayloadPart, 5> parts(MatrixShape shape) const override
    {
        if (shape.rows == 0 || shape.cols == 0)
            return {};
        const DualBytes at(shape, m_group);
        return {{{"codes of two", shape.rows * at.rowCodes, 8},
                 {"integer scales", shape.rows * at.groups, 8},
                 {"zero points", shape.rows * at.groups, 8},
                 {"scales of rows", shape.rows, 16},
                 {}}};
    }

    void restoreRun(const std::byte* bytes, MatrixShape shape, std::int64_t row, std::int64_t column,
                    std::int64_t count, float* out) const override
    {
        const DualBytes at(shape, m_group);
        const float scale = f16At(bytes + at.scales, row);
        for (std::int64_t i = 0; i < count; ++i) {
            const std::int64_t c = column + i;
            const std::int64_t group = row * at.groups + c / m_group;
            const auto pair = static_cast<unsigned>(bytes[row * at.rowCodes + c / 2]);
            const int code = static_cast<int>(c % 2 == 0 ? pair & 15U : pair >> 4U);
            const int value =
                static_cast<int>(bytes[at.integers + group]) * (code - static_cast<int>(bytes[at.zeros + group]));
            out[i] = scale * static_cast<float>(value);
        }
    }

    Result<void> fill(const MatrixFill& from, std::byte* bytes, const JobContext& context) const override
    {
        const MatrixShape shape = from.shape();
        context.progress().addTotal(shape.rows * shape.cols);
        QL_TRY(weights, finiteWeights(from.weights, context));
        // A row of 2¹⁴ weights takes some 20 ms.
        return forRows(
            context, shape,
            [&](std::int64_t row) {
                fillRow(weights.row(row, shape.cols), from.importanceOf(row), row, shape, bytes);
                context.progress().addDone(shape.cols);
            },
            std::int64_t{1} << 14U);
    }

private:
    void fillRow(const float* weights, const float* importance, std::int64_t row, MatrixShape shape,
                 std::byte* bytes) const
    {
        const DualBytes at(shape, m_group);
        std::vector<GroupGrid> grids;
        double largest = 0;
        for (std::int64_t c = 0; c < shape.cols; ++c)
            largest = std::max(largest, std::fabs(static_cast<double>(weights[c])));
        for (std::int64_t g = 0; g < at.groups; ++g)
            grids.push_back(
                gridOf(weights + g * m_group, importance ? importance + g * m_group : nullptr, width(shape, g)));
        std::uint16_t best = 0;
        double least = std::numeric_limits<double>::infinity();
        for (int step = 0; step <= 80; ++step) {
            const double ratio = step == 0 ? 1 : 1.02 - 0.82 * step / 80;
            const std::uint16_t half = boundedF16(ratio * largest / kMostInt8);
            const auto scale = static_cast<double>(floatFromF16(half));
            if (scale == 0)
                continue;
            double error = 0;
            for (std::int64_t g = 0; g < at.groups && error < least; ++g) {
                const GroupGrid& grid = grids[static_cast<std::size_t>(g)];
                const int n = integerScale(grid, scale);
                const CodeRange range(n, grid.zero);
                error += errorOf(weights + g * m_group, importance ? importance + g * m_group : nullptr,
                                 width(shape, g), n * scale, grid.zero, range.low, range.high);
            }
            if (error < least) {
                least = error;
                best = half;
            }
        }
        std::memcpy(bytes + at.scales + 2 * row, &best, sizeof best);
        const auto scale = static_cast<double>(floatFromF16(best));
        std::byte* codes = bytes + row * at.rowCodes;
        std::fill(codes, codes + at.rowCodes, std::byte{});
        for (std::int64_t g = 0; g < at.groups; ++g) {
            const GroupGrid& grid = grids[static_cast<std::size_t>(g)];
            const int n = scale > 0 ? integerScale(grid, scale) : 1;
            const CodeRange range(n, grid.zero);
            bytes[at.integers + row * at.groups + g] = static_cast<std::byte>(n);
            bytes[at.zeros + row * at.groups + g] = static_cast<std::byte>(grid.zero);
            for (std::int64_t c = g * m_group; c < g * m_group + width(shape, g); ++c) {
                const int code =
                    scale > 0 ? codeOf(weights[c], n * scale, grid.zero, range.low, range.high) : grid.zero;
                codes[c / 2] |= static_cast<std::byte>(static_cast<unsigned>(code) << (4 * (c % 2)));
            }
        }
    }

    std::int64_t width(MatrixShape shape, std::int64_t group) const
    {
        return std::min(m_group, shape.cols - group * m_group);
    }

    std::int64_t m_group;
};

std::unique_ptr<const MatrixFormat> makeDualGrained(std::string_view id)
{
    const auto group = numberAfter(id, "dgq4:g");
    if (!group || *group < 1)
        return nullptr;
    return std::make_unique<DualGrained>(*group);
}

std::vector<std::string> dualGrained()
{
    return {"dgq4:g64", "dgq4:g128"};
}

} // namespace

namespace matrixformats {
extern const MatrixFormatFamily dual_grained;
const MatrixFormatFamily dual_grained{.ids = "dgq4:g<size>", .make = makeDualGrained, .instances = dualGrained};
} // namespace matrixformats

} // namespace ql
