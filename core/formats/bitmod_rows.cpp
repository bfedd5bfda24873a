// SPDX-License-Identifier: GPL-3.0-or-later
// bitmod3:s=int8 and bitmod4:s=int8 (BitMoD, Chen et al., HPCA 2025, section III-C): the groups of 128 of bitmod3 and
// bitmod4 with scales of second order, 1…255 in units of a real scale of the row, and selectors of 2 bits. The scale
// and special value of a group are chosen as without; then its scale is rounded, at least 1, and the codes are the
// nearest. A last group may be shorter. Bytes of W: codes, each row from a byte of its own, the lowest bits first;
// scales, uint8 [rows, groups]; special values, four a byte, the first in the lowest bits, each row from a byte of its
// own; f16 [rows], the unit: b + 10/128 + 16/cols bits a weight, 4.078 and 3.078 of wide matrices.
#include "core/formats/bit_run.h"
#include "core/formats/bitmod_grid.h"
#include "core/formats/finite_weights.h"
#include "core/formats/format_build.h"
#include "core/formats/stored_f16.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace ql {

namespace {

constexpr std::int64_t kGroup = 128;
constexpr double kMostScale = 255;

struct RowBytes {
    RowBytes(MatrixShape shape, int bits)
        : codeRow(ceilDiv(shape.cols * bits, 8)),
          groups(ceilDiv(shape.cols, kGroup)),
          specialRow(ceilDiv(groups, 4)),
          scales(shape.rows * codeRow),
          specials(scales + shape.rows * groups),
          units(specials + shape.rows * specialRow)
    {}
    std::int64_t codeRow, groups, specialRow;
    std::int64_t scales, specials, units;
};

template<int kBits>
class BitmodRows final : public MatrixFormat {
    using Grid = BitmodGrid<kBits>;

public:
    BitmodRows()
    {
        const std::string b = std::to_string(kBits);
        id = "bitmod" + b + ":s=int8";
        title = "BitMoD, " + b + " bits, with 8-bit scales in units of the row, " + b + ".08 bits";
        source = "Chen et al., BitMoD, HPCA 2025, section III";
        layout =
            "codes c uint8 [rows, ceil(cols * " + b +
            " / 8)], lowest bits first; t uint8 [rows, groups of 128]; k of 2 bits uint8 [rows, ceil(groups / 4)], the "
            "first in the lowest; f16 u [rows]. weight = v * (u * t) with v = " +
            (kBits == 3 ? "{0,1,2,4}[c] for c < 4, {3,-3,6,-6}[k] for c = 4, else -{0,1,2,4}[c-4]"
                        : "{0,1,2,3,4,6,8,12}[c] for c < 8, {10,-10,16,-16}[k] for c = 8, else "
                          "-{0,1,2,3,4,6,8,12}[c-8]");
        bits = kBits;
    }

    std::array<PayloadPart, 5> parts(MatrixShape shape) const override
    {
        if (shape.rows == 0 || shape.cols == 0)
            return {};
        const RowBytes at(shape, kBits);
        return {{{"codes of eight bits", shape.rows * at.codeRow, 8},
                 {"scales", shape.rows * at.groups, 8},
                 {"special values of four groups", shape.rows * at.specialRow, 8},
                 {"scales of rows", shape.rows, 16},
                 {}}};
    }

    void restoreRun(const std::byte* bytes, MatrixShape shape, std::int64_t row, std::int64_t column,
                    std::int64_t count, float* out) const override
    {
        const RowBytes at(shape, kBits);
        const float unit = f16At(bytes + at.units, row);
        for (std::int64_t c = column; c < column + count; ++c) {
            const std::int64_t g = c / kGroup;
            const auto steps = static_cast<unsigned>(bytes[at.scales + row * at.groups + g]);
            const unsigned special = getBits(bytes + at.specials + row * at.specialRow, 2 * g, 2);
            out[c - column] = Grid::level(special, getBits(bytes + row * at.codeRow, c * kBits, kBits)) *
                              (unit * static_cast<float>(steps));
        }
    }

    Result<void> fill(const MatrixFill& from, std::byte* bytes, const JobContext& context) const override
    {
        const MatrixShape shape = from.shape();
        context.progress().addTotal(shape.rows * shape.cols);
        QL_TRY(weights, finiteWeights(from.weights, context));
        return forRows(
            context, shape,
            [&](std::int64_t row) {
                fillRow(weights.row(row, shape.cols), from.importanceOf(row), row, shape, bytes);
                context.progress().addDone(shape.cols);
            },
            std::int64_t{1} << 15U);
    }

private:
    struct Choice {
        unsigned special = 0;
        double scale = 0;
    };

    static Choice choose(const float* w, const float* importance, std::int64_t count)
    {
        double largest = 0;
        for (std::int64_t i = 0; i < count; ++i)
            largest = std::max(largest, std::fabs(static_cast<double>(w[i])));
        Choice best;
        double least = std::numeric_limits<double>::infinity();
        for (unsigned special = 0; special < 4 && largest > 0; ++special) {
            const double scale = largest / static_cast<double>(Grid::largest(special));
            double error = 0;
            for (std::int64_t i = 0; i < count && error < least; ++i) {
                const auto x = static_cast<double>(w[i]);
                const double rest =
                    x - scale * static_cast<double>(Grid::level(special, Grid::nearest(x, special, scale)));
                error += rest * rest * (importance ? static_cast<double>(importance[i]) : 1.0);
            }
            if (error < least) {
                least = error;
                best = {special, scale};
            }
        }
        return best;
    }

    static void fillRow(const float* w, const float* importance, std::int64_t row, MatrixShape shape, std::byte* bytes)
    {
        const RowBytes at(shape, kBits);
        std::byte* codes = bytes + row * at.codeRow;
        std::byte* specials = bytes + at.specials + row * at.specialRow;
        std::fill(codes, codes + at.codeRow, std::byte{});
        std::fill(specials, specials + at.specialRow, std::byte{});
        std::vector<Choice> choices;
        double most = 0;
        for (std::int64_t g = 0; g < at.groups; ++g) {
            choices.push_back(choose(w + g * kGroup, importance ? importance + g * kGroup : nullptr,
                                     std::min(kGroup, shape.cols - g * kGroup)));
            most = std::max(most, choices.back().scale);
        }
        const auto unit = static_cast<double>(putF16At(bytes + at.units, row, most / kMostScale));
        for (std::int64_t g = 0; g < at.groups; ++g) {
            const Choice& choice = choices[static_cast<std::size_t>(g)];
            const double steps = unit > 0 ? std::clamp(std::nearbyint(choice.scale / unit), 1.0, kMostScale) : 1.0;
            bytes[at.scales + row * at.groups + g] = static_cast<std::byte>(static_cast<unsigned>(steps));
            orBits(specials, 2 * g, 2, choice.special);
            for (std::int64_t c = g * kGroup; c < std::min(shape.cols, (g + 1) * kGroup); ++c)
                orBits(codes, c * kBits, kBits,
                       unit > 0 ? Grid::nearest(static_cast<double>(w[c]), choice.special, steps * unit) : 0U);
        }
    }
};

std::unique_ptr<const MatrixFormat> makeBitmodRows(std::string_view id)
{
    if (id == "bitmod3:s=int8")
        return std::make_unique<BitmodRows<3>>();
    return id == "bitmod4:s=int8" ? std::make_unique<BitmodRows<4>>() : nullptr;
}

std::vector<std::string> bitmodRows()
{
    return {"bitmod3:s=int8", "bitmod4:s=int8"};
}

} // namespace

namespace matrixformats {
extern const MatrixFormatFamily bitmod_rows;
const MatrixFormatFamily bitmod_rows{
    .ids = "bitmod3:s=int8, bitmod4:s=int8", .make = makeBitmodRows, .instances = bitmodRows};
} // namespace matrixformats

} // namespace ql
