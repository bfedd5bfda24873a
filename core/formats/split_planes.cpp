// SPDX-License-Identifier: GPL-3.0-or-later
// e<x>m<y>:planes for minifloats of 5 or 6 bits (FP6-LLM, Xia et al. 2024, section 4; ZeroQuant(4+2), Wu et al. 2023):
// the scheme e<x>m<y>:s=f16, a scale of each row, with its codes cut in two planes of powers of two, the upper one or
// two bits (sign and top of the exponent) and the lower four, so that both are read in whole words: 6 = 2 + 4, 5 = 1
// + 4. Decoded by shifting the bias: the code's fields put into an f16 word, sign | exponent | mantissa at the top of
// f16's fields, times 2^(16 − 2^(x−1)), which is exact, subnormals included. Scale max|w| over the largest level,
// rounded to f16; nearest level, ties to the even code. Importances are not used. Bytes of W: the upper plane, each row
// from a byte of its own, the first code in the highest bits; the lower plane, two codes a byte, the first in the high
// half, likewise; f16 scales [rows].
#include "core/formats/finite_weights.h"
#include "core/formats/format_build.h"
#include "core/formats/stored_f16.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace ql {

namespace formats {
extern const FormatFamily minifloat;
} // namespace formats

namespace {

constexpr int kLowBits = 4;

struct PlaneBytes {
    PlaneBytes(MatrixShape shape, int highBits)
        : highRow(ceilDiv(shape.cols * highBits, 8)),
          lowRow(ceilDiv(shape.cols, 2)),
          low(shape.rows * highRow),
          scales(low + shape.rows * lowRow)
    {}
    std::int64_t highRow, lowRow;
    std::int64_t low, scales;
};

class SplitPlanes final : public MatrixFormat {
public:
    explicit SplitPlanes(NumberFormatPtr element)
        : m_element(std::move(element)), m_highBits(m_element->bits - kLowBits)
    {
        const std::string high = std::to_string(m_highBits);
        id = m_element->id + ":planes";
        title = m_element->title + " in planes of 4 + " + high + " bits, a scale for each row";
        source = "Xia et al., FP6-LLM, 2024, section 4; Wu et al., ZeroQuant(4+2), 2023";
        layout =
            "upper " + high + " bits of the codes of " + m_element->id + ", uint8 [rows, ceil(cols * " + high +
            " / 8)], the first in the highest bits; lower 4 bits, uint8 [rows, ceil(cols / 2)], the first in the high "
            "half; f16 s [rows]. weight = level(code) * s";
        bits = m_element->bits;
    }

    std::array<PayloadPart, 5> parts(MatrixShape shape) const override
    {
        if (shape.rows == 0 || shape.cols == 0)
            return {};
        const PlaneBytes at(shape, m_highBits);
        return {{{"upper bits of codes", shape.rows * at.highRow, 8},
                 {"lower bits of two codes", shape.rows * at.lowRow, 8},
                 {"scales of rows", shape.rows, 16},
                 {},
                 {}}};
    }

    void restoreRun(const std::byte* bytes, MatrixShape shape, std::int64_t row, std::int64_t column,
                    std::int64_t count, float* out) const override
    {
        const PlaneBytes at(shape, m_highBits);
        const float scale = f16At(bytes + at.scales, row);
        const std::byte* high = bytes + row * at.highRow;
        const std::byte* low = bytes + at.low + row * at.lowRow;
        const float shift = std::ldexp(1.0F, 16 - (1 << (m_element->exponentBits - 1)));
        for (std::int64_t c = column; c < column + count; ++c) {
            const std::int64_t perByte = 8 / m_highBits;
            const unsigned upper = static_cast<unsigned>(high[c / perByte]) >> (8 - m_highBits * (c % perByte + 1)) &
                                   ((1U << m_highBits) - 1);
            const unsigned lower = static_cast<unsigned>(low[c / 2]) >> (4 * (1 - c % 2)) & 15U;
            const unsigned code = upper << kLowBits | lower;
            const unsigned magnitude = code & ((1U << (bits - 1)) - 1);
            const unsigned word = (code >> (bits - 1)) << 15U | magnitude << (10 - m_element->mantissaBits);
            out[c - column] = floatFromF16(static_cast<std::uint16_t>(word)) * shift * scale;
        }
    }

    Result<void> fill(const MatrixFill& from, std::byte* bytes, const JobContext& context) const override
    {
        const MatrixShape shape = from.shape();
        const PlaneBytes at(shape, m_highBits);
        context.progress().addTotal(shape.rows * shape.cols);
        QL_TRY(weights, finiteWeights(from.weights, context));
        return forRows(context, shape, [&](std::int64_t row) {
            const float* w = weights.row(row, shape.cols);
            float largest = 0;
            for (std::int64_t c = 0; c < shape.cols; ++c)
                largest = std::max(largest, std::fabs(w[c]));
            const float scale = putF16At(bytes + at.scales, row, static_cast<double>(largest / m_element->maxLevel));
            std::byte* high = bytes + row * at.highRow;
            std::byte* low = bytes + at.low + row * at.lowRow;
            std::fill(high, high + at.highRow, std::byte{});
            std::fill(low, low + at.lowRow, std::byte{});
            const std::int64_t perByte = 8 / m_highBits;
            for (std::int64_t c = 0; c < shape.cols; ++c) {
                const unsigned code = scale > 0 ? unsigned{nearestCode(*m_element, w[c] / scale)} : 0U;
                high[c / perByte] |=
                    static_cast<std::byte>(code >> kLowBits << (8 - m_highBits * (c % perByte + 1)) & 0xffU);
                low[c / 2] |= static_cast<std::byte>((code & 15U) << (4 * (1 - c % 2)));
            }
            context.progress().addDone(shape.cols);
        });
    }

private:
    NumberFormatPtr m_element;
    int m_highBits;
};

std::unique_ptr<const MatrixFormat> makeSplitPlanes(std::string_view id)
{
    constexpr std::string_view kEnd = ":planes";
    if (!id.ends_with(kEnd))
        return nullptr;
    NumberFormatPtr element = formats::minifloat.parse(id.substr(0, id.size() - kEnd.size()));
    // f16 has places for 5 bits of exponent and 10 of mantissa.
    if (!element || element->bits < 5 || element->bits > 6 || element->exponentBits < 2 || element->exponentBits > 4 ||
        element->mantissaBits > 3)
        return nullptr;
    return std::make_unique<SplitPlanes>(std::move(element));
}

std::vector<std::string> splitPlanes()
{
    return {"e3m2:planes", "e2m3:planes", "e2m2:planes", "e3m1:planes"};
}

} // namespace

namespace matrixformats {
extern const MatrixFormatFamily split_planes;
const MatrixFormatFamily split_planes{
    .ids = "e<x>m<y>:planes of 5 or 6 bits", .make = makeSplitPlanes, .instances = splitPlanes};
} // namespace matrixformats

} // namespace ql
