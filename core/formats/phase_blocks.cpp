// SPDX-License-Identifier: GPL-3.0-or-later
// ifairy (iFairy, Fairy±i, 2025, section 3): natively complex W[n, m], given as the real W[2n, m] of its real parts
// above its imaginary ones, as phases with two scales for 256 of them, mean|Re| of those that became ±1 and mean|Im| of
// those that became ±i. A block is 64 bytes of codes, four a byte, the first in the lowest bits, and the scales in f16:
// 68 bytes, 2.125 bits a complex weight (llama.cpp's forks differ in the order of codes within bytes). Real weights
// have no such halves: they are for fairy2i<T>. Importances are not used.
#include "core/formats/bit_run.h"
#include "core/formats/finite_weights.h"
#include "core/formats/phase_cell.h"
#include "core/formats/stored_f16.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace ql {

namespace {

constexpr std::int64_t kElements = 256;
constexpr std::int64_t kCodeBytes = kElements / 4;
constexpr std::int64_t kBlockBytes = kCodeBytes + 4;

class PhaseBlocks final : public MatrixFormat {
public:
    PhaseBlocks()
    {
        id = "ifairy";
        title = "Complex weights [Re; Im] as phases +-1 and +-i in blocks of 256, 1.06 bits";
        source = "iFairy (Fairy+-i), 2025, section 3";
        layout =
            "blocks of 68 bytes for 256 complex weights of a row, [rows / 2, cols / 256]: 64 bytes of codes of 2 bits, "
            "the first in the lowest, 0 is -s, 1 s, 2 -i t, 3 i t; f16 s, t. weights = [[Re], [Im]]";
        bits = 1;
    }

    Result<void> checkShape(MatrixShape shape) const override
    {
        if (shape.rows % 2 == 0 && shape.cols % kElements == 0)
            return {};
        return refused("ifairy takes complex weights, the real parts above the imaginary ones, in rows of " +
                       std::to_string(kElements) + " and multiples, but this one is " + std::to_string(shape.rows) +
                       " by " + std::to_string(shape.cols) +
                       "; use fairy2i1, which makes complex weights of real ones");
    }

    std::array<PayloadPart, 5> parts(MatrixShape shape) const override
    {
        return {{{"blocks", shape.rows / 2 * (shape.cols / kElements), kBlockBytes * 8}, {}, {}, {}, {}}};
    }

    void restoreRun(const std::byte* bytes, MatrixShape shape, std::int64_t row, std::int64_t column,
                    std::int64_t count, float* out) const override
    {
        const std::int64_t half = shape.rows / 2;
        const bool imaginary = row >= half;
        const std::byte* rowBytes = bytes + (imaginary ? row - half : row) * (shape.cols / kElements) * kBlockBytes;
        for (std::int64_t c = column; c < column + count; ++c) {
            const std::byte* block = rowBytes + c / kElements * kBlockBytes;
            const ComplexPart value = phaseValue(getBits(block, 2 * (c % kElements), 2),
                                                 {f16At(block + kCodeBytes, 0), f16At(block + kCodeBytes, 1)});
            out[c - column] = imaginary ? value.im : value.re;
        }
    }

    Result<void> fill(const MatrixFill& from, std::byte* bytes, const JobContext& context) const override
    {
        const MatrixShape shape = from.shape();
        const MatrixShape half{shape.rows / 2, shape.cols};
        context.progress().addTotal(half.rows * half.cols);
        QL_TRY(weights, finiteWeights(from.weights, context));
        return forRows(context, half, [&](std::int64_t row) {
            const float* re = weights.row(row, shape.cols);
            const float* im = weights.row(row + half.rows, shape.cols);
            std::byte* block = bytes + row * (shape.cols / kElements) * kBlockBytes;
            for (std::int64_t c = 0; c < shape.cols; c += kElements, block += kBlockBytes)
                fillBlock(re + c, im + c, block);
            context.progress().addDone(shape.cols);
        });
    }

private:
    static void fillBlock(const float* re, const float* im, std::byte* block)
    {
        std::fill(block, block + kBlockBytes, std::byte{});
        std::array<double, 2> sums{};
        std::array<int, 2> counts{};
        for (std::int64_t e = 0; e < kElements; ++e) {
            const Phase phase = phaseOf(re[e], im[e]);
            orBits(block, 2 * e, 2, phase);
            const bool one = phase == plusOne || phase == minusOne;
            sums[one ? 0 : 1] += std::fabs(static_cast<double>(one ? re[e] : im[e]));
            ++counts[one ? 0 : 1];
        }
        for (std::size_t k = 0; k < 2; ++k)
            if (counts[k] > 0)
                putF16At(block + kCodeBytes, static_cast<std::int64_t>(k), sums[k] / counts[k]);
    }
};

std::unique_ptr<const MatrixFormat> makePhaseBlocks(std::string_view id)
{
    return id == "ifairy" ? std::make_unique<PhaseBlocks>() : nullptr;
}

std::vector<std::string> phaseBlocks()
{
    return {"ifairy"};
}

} // namespace

namespace matrixformats {
extern const MatrixFormatFamily phase_blocks;
const MatrixFormatFamily phase_blocks{.ids = "ifairy", .make = makePhaseBlocks, .instances = phaseBlocks};
} // namespace matrixformats

} // namespace ql
