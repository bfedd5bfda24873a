// SPDX-License-Identifier: GPL-3.0-or-later
// <element>:g<g>:s=pow2 (ZeroQuant-FP, Wu et al. 2023, section 3.2, the constraint M2): a row has one real scale S, its
// groups have S·2^−k, so that between groups only exponents move and S multiplies the sum. Elements: e2m1 and other
// minifloats e<x>m<y> with levels of up to 128, and int<b>, symmetric without −2^(b−1). (M1, a power of two for every
// group, is s=e8m0.) S is the largest of the row's max|w|/Q over its groups, k = ⌊log2(S/S_g)⌋, so that nothing
// saturates; rules: round takes the nearest k, ocp ⌈log2⌉, which clips. k is at most 8 for e2m1, whose levels times
// 2^−k are then FP8 E4M3 values, and at most 15 for others. Importances are not used. Bytes of W: codes, each row from
// a byte of its own, the lowest bits first; k, two a byte, the even group in the low half, likewise; S, f16 [rows]:
// bits + 4/g + 16/cols bits a weight.
#include "core/formats/bit_run.h"
#include "core/formats/finite_weights.h"
#include "core/formats/format_build.h"
#include "core/formats/stored_f16.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace ql {

namespace formats {
extern const FormatFamily integer;
extern const FormatFamily minifloat;
} // namespace formats

namespace {

constexpr std::array<std::string_view, 2> kRules{"round", "ocp"};
constexpr std::string_view kEnd = ":s=pow2";

struct ShiftBytes {
    ShiftBytes(MatrixShape shape, int bits, std::int64_t group)
        : codeRow(ceilDiv(shape.cols * bits, 8)),
          groups(ceilDiv(shape.cols, group)),
          shiftRow(ceilDiv(groups, 2)),
          shifts(shape.rows * codeRow),
          scales(shifts + shape.rows * shiftRow)
    {}
    std::int64_t codeRow, groups, shiftRow;
    std::int64_t shifts, scales;
};

class ShiftScales final : public MatrixFormat {
public:
    ShiftScales(NumberFormatPtr element, std::int64_t group)
        : m_element(std::move(element)), m_group(group), m_mostShift(m_element->id == "e2m1" ? 8 : 15)
    {
        const std::string g = std::to_string(group);
        id = m_element->id + ":g" + g + std::string(kEnd);
        title = m_element->title + ", groups of " + g + " with the row's scale times a power of two";
        source = "Wu et al., ZeroQuant-FP, 2023, section 3.2 (M2)";
        layout = "codes of " + m_element->id + " uint8 [rows, ceil(cols * " + std::to_string(m_element->bits) +
                 " / 8)], lowest bits first; k of 4 bits, uint8 [rows, ceil(groups of " + g +
                 " / 2)], the even group in the low half; f16 s [rows]. weight = level(code) * (s * 2^-k)";
        bits = m_element->bits;
    }

    std::array<PayloadPart, 5> parts(MatrixShape shape) const override
    {
        if (shape.rows == 0 || shape.cols == 0)
            return {};
        const ShiftBytes at(shape, bits, m_group);
        return {{{"codes of eight bits", shape.rows * at.codeRow, 8},
                 {"powers of two of two groups", shape.rows * at.shiftRow, 8},
                 {"scales of rows", shape.rows, 16},
                 {},
                 {}}};
    }

    std::span<const std::string_view> rules() const override { return kRules; }

    void restoreRun(const std::byte* bytes, MatrixShape shape, std::int64_t row, std::int64_t column,
                    std::int64_t count, float* out) const override
    {
        const ShiftBytes at(shape, bits, m_group);
        const float scale = f16At(bytes + at.scales, row);
        for (std::int64_t i = 0; i < count;) {
            const std::int64_t group = (column + i) / m_group;
            const unsigned shift = getBits(bytes + at.shifts + row * at.shiftRow, 4 * group, 4);
            const float its = std::ldexp(scale, -static_cast<int>(shift));
            for (const std::int64_t end = std::min(count, (group + 1) * m_group - column); i < end; ++i)
                out[i] = m_element->levels[getBits(bytes + row * at.codeRow, (column + i) * bits, bits)] * its;
        }
    }

    Result<void> fill(const MatrixFill& from, std::byte* bytes, const JobContext& context) const override
    {
        const MatrixShape shape = from.shape();
        context.progress().addTotal(shape.rows * shape.cols);
        QL_TRY(weights, finiteWeights(from.weights, context));
        return forRows(context, shape, [&](std::int64_t row) {
            fillRow(weights.row(row, shape.cols), from.rule, row, shape, bytes);
            context.progress().addDone(shape.cols);
        });
    }

private:
    int shiftOf(double rowScale, double groupScale, std::string_view rule) const
    {
        if (!(groupScale > 0))
            return 0;
        const double exact = std::log2(rowScale / groupScale);
        const double k = rule == "ocp" ? std::ceil(exact) : rule == "round" ? std::nearbyint(exact) : std::floor(exact);
        return static_cast<int>(std::clamp(k, 0.0, static_cast<double>(m_mostShift)));
    }

    void fillRow(const float* w, std::string_view rule, std::int64_t row, MatrixShape shape, std::byte* bytes) const
    {
        const ShiftBytes at(shape, bits, m_group);
        std::byte* codes = bytes + row * at.codeRow;
        std::byte* shifts = bytes + at.shifts + row * at.shiftRow;
        std::fill(codes, codes + at.codeRow, std::byte{});
        std::fill(shifts, shifts + at.shiftRow, std::byte{});
        std::vector<double> scales;
        for (std::int64_t g = 0; g < at.groups; ++g) {
            double largest = 0;
            for (std::int64_t c = g * m_group; c < std::min(shape.cols, (g + 1) * m_group); ++c)
                largest = std::max(largest, std::fabs(static_cast<double>(w[c])));
            scales.push_back(largest / static_cast<double>(m_element->maxLevel));
        }
        const double most = *std::ranges::max_element(scales);
        const float stored = putF16At(bytes + at.scales, row, most);
        for (std::int64_t g = 0; g < at.groups; ++g) {
            const int shift = shiftOf(most, scales[static_cast<std::size_t>(g)], rule);
            orBits(shifts, 4 * g, 4, static_cast<unsigned>(shift));
            const double its = std::ldexp(static_cast<double>(stored), -shift);
            for (std::int64_t c = g * m_group; c < std::min(shape.cols, (g + 1) * m_group); ++c)
                orBits(codes, c * bits, bits, its > 0 ? codeOf(static_cast<double>(w[c]) / its) : 0U);
        }
    }

    unsigned codeOf(double x) const
    {
        const bool drops = m_element->hasNegativeExtreme && x < -static_cast<double>(m_element->maxLevel);
        return nearestCode(*m_element, drops ? -m_element->maxLevel : static_cast<float>(x)) & ((1U << bits) - 1);
    }

    NumberFormatPtr m_element;
    std::int64_t m_group;
    int m_mostShift;
};

std::unique_ptr<const MatrixFormat> makeShiftScales(std::string_view id)
{
    if (!id.ends_with(kEnd))
        return nullptr;
    const std::string_view rest = id.substr(0, id.size() - kEnd.size());
    const std::size_t colon = rest.find(':');
    if (colon == std::string_view::npos)
        return nullptr;
    const auto group = numberAfter(rest.substr(colon), ":g");
    NumberFormatPtr element = formats::minifloat.parse(rest.substr(0, colon));
    if (!element)
        element = formats::integer.parse(rest.substr(0, colon));
    constexpr float kMostLevel = 128; // so that f16 holds the scales of usual weights in full precision
    if (!group || *group < 1 || !element || element->maxLevel > kMostLevel || element->id == "mxint8")
        return nullptr;
    return std::make_unique<ShiftScales>(std::move(element), *group);
}

std::vector<std::string> shiftScales()
{
    return {"e2m1:g128:s=pow2", "e2m1:g256:s=pow2", "int4:g128:s=pow2", "e3m2:g128:s=pow2"};
}

} // namespace

namespace matrixformats {
extern const MatrixFormatFamily shift_scales;
const MatrixFormatFamily shift_scales{
    .ids = "e<x>m<y>:g<size>:s=pow2, int<b>:g<size>:s=pow2", .make = makeShiftScales, .instances = shiftScales};
} // namespace matrixformats

} // namespace ql
