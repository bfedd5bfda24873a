// SPDX-License-Identifier: GPL-3.0-or-later
// bitstack<n>_<k> (BitStack, Wang et al., ICLR 2025, sections 3.1 and 3.2): W as a sum of n blocks, each a plane of
// signs times a low-rank matrix of magnitudes, B = S ⊙ (U·V) with S = sign(R) (of 0: +1) and U[rows, k]·V[k, cols] the
// leading part of |R|; R is what is left of W, and the next block takes R − B with the factors as they are stored. So
// fewer blocks are the first bytes of more. Where the importance of inputs is known, R·diag(s) with s = √importance is
// what is decomposed, the paper's activation-aware scaling; 1/s is folded into V, which stores nothing more and leaves
// the product the same.
// Bytes of a block: signs, each row from a byte of its own, the first column in the highest bit, 1 is plus; U, then V,
// row-major f16: 1 + 16·k·(rows + cols)/(rows·cols) bits a weight where columns divide by 8.
#include "core/base/text.h"
#include "core/base/truncated_svd.h"
#include "core/formats/finite_weights.h"
#include "core/formats/format_build.h"
#include "core/formats/stored_f16.h"
#include "core/jobs/tiles.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace ql {

namespace {

constexpr int kMostBlocks = 16;
constexpr int kMostRank = 64;
constexpr double kEnough = 1e-5;     // of ‖R‖², by which one more round may improve the low-rank part
constexpr double kLeastScale = 1e-3; // of the largest √importance

/// Where the parts of a block lie.
struct BlockBytes {
    BlockBytes(MatrixShape shape, std::int64_t rank)
        : signsOfRow(ceilDiv(shape.cols, 8)),
          left(signsOfRow * shape.rows),
          right(left + 2 * rank * shape.rows),
          size(right + 2 * rank * shape.cols)
    {}
    std::int64_t signsOfRow;
    std::int64_t left;
    std::int64_t right;
    std::int64_t size;
};

/// U·V of one block without its signs, `count` elements of a row: products and sums in float, over k in order.
void magnitudes(const std::byte* block, const BlockBytes& at, std::int64_t rank, MatrixShape shape, std::int64_t row,
                std::int64_t column, std::int64_t count, float* out)
{
    constexpr std::int64_t kRun = 1024;
    std::array<float, kMostRank> left;
    std::array<float, kRun> right;
    decode(Dtype::f16, block + at.left, row * rank, rank, left.data());
    for (std::int64_t from = 0; from < count; from += kRun) {
        const std::int64_t n = std::min(kRun, count - from);
        for (std::int64_t k = 0; k < rank; ++k) {
            decode(Dtype::f16, block + at.right, k * shape.cols + column + from, n, right.data());
            const float u = left[static_cast<std::size_t>(k)];
            for (std::int64_t i = 0; i < n; ++i)
                out[from + i] = k == 0 ? u * right[static_cast<std::size_t>(i)]
                                       : out[from + i] + u * right[static_cast<std::size_t>(i)];
        }
    }
}

class BitStack final : public MatrixFormat {
public:
    BitStack(int blocks, int rank) : m_blocks(blocks), m_rank(rank)
    {
        const std::string n = std::to_string(blocks);
        const std::string k = std::to_string(rank);
        id = "bitstack" + n + "_" + k;
        title = n + (blocks == 1 ? " block" : " blocks") + " of signs times magnitudes of rank " + k + ", about " + n +
                (blocks == 1 ? " bit" : " bits");
        source = "Wang et al., BitStack, ICLR 2025, sections 3.1 and 3.2";
        layout =
            n +
            " blocks one after the other, each: signs uint8 [rows, ceil(cols / 8)], the first column in the highest "
            "bit, 1 is plus; f16 U [rows, " +
            k + "]; f16 V [" + k +
            ", cols]. weight = the sum of signs * (U @ V) over blocks, U @ V summed from the first column of U on. "
            "Fewer blocks may be read";
        bits = blocks;
    }

    std::array<PayloadPart, 5> parts(MatrixShape shape) const override
    {
        if (shape.rows == 0 || shape.cols == 0)
            return {};
        return {{{"signs", m_blocks * shape.rows * ceilDiv(shape.cols, 8), 8},
                 {"low-rank factors", m_blocks * m_rank * (shape.rows + shape.cols), 16},
                 {},
                 {},
                 {}}};
    }

    void restoreRun(const std::byte* bytes, MatrixShape shape, std::int64_t row, std::int64_t column,
                    std::int64_t count, float* out) const override
    {
        const BlockBytes at(shape, m_rank);
        std::vector<float> block(static_cast<std::size_t>(count));
        for (int b = 0; b < m_blocks; ++b, bytes += at.size) {
            magnitudes(bytes, at, m_rank, shape, row, column, count, block.data());
            addSigned(bytes + row * at.signsOfRow, column, count, block.data(), b == 0, out);
        }
    }

    Result<void> fill(const MatrixFill& from, std::byte* bytes, const JobContext& context) const override
    {
        const MatrixShape shape = from.shape();
        const std::int64_t n = shape.rows * shape.cols;
        context.progress().addTotal(m_blocks * n);
        QL_TRY(rest, finiteWeights(from.weights, context));
        QL_CHECK(context.checkMemory(12 * n + 8 * (256 + 3 * m_rank) * (shape.rows + shape.cols),
                                     "the magnitudes of the rest"));
        const std::vector<double> scales = scalesOf(meanImportance(from));
        const auto scaleOf = [&](std::int64_t column) {
            return scales.empty() ? 1.0 : scales[static_cast<std::size_t>(column)];
        };
        Buffer magnitude(8 * n);
        // Powers of two, so that neither the decomposition nor f16 sees more than the weights' own spread.
        const int exponent = rest.largest > 0 ? 2 * static_cast<int>(std::floor(std::ilogb(rest.largest) / 2.0)) : 0;
        const BlockBytes at(shape, m_rank);
        for (int b = 0; b < m_blocks; ++b, bytes += at.size) {
            auto* a = magnitude.as<double>();
            QL_CHECK(forRows(context, shape, [&](std::int64_t row) {
                const float* r = rest.row(row, shape.cols);
                std::byte* signs = bytes + row * at.signsOfRow;
                std::fill(signs, signs + at.signsOfRow, std::byte{});
                for (std::int64_t c = 0; c < shape.cols; ++c) {
                    a[row * shape.cols + c] = std::ldexp(std::fabs(static_cast<double>(r[c])), -exponent) * scaleOf(c);
                    if (!(r[c] < 0))
                        signs[c / 8] |= std::byte{0x80} >> (c % 8);
                }
            }));
            QL_TRY(svd, truncatedSvd(a, shape.rows, shape.cols, m_rank, parallelTiles(context), kEnough));
            // Beyond the rank of R factors are zeros.
            for (std::int64_t k = 0; k < m_rank; ++k) {
                const double root =
                    k < svd.rank ? std::ldexp(std::sqrt(svd.values[static_cast<std::size_t>(k)]), exponent / 2) : 0;
                for (std::int64_t i = 0; i < shape.rows; ++i)
                    putF16At(bytes + at.left, i * m_rank + k,
                             root > 0 ? root * svd.left[static_cast<std::size_t>(i * svd.rank + k)] : 0);
                for (std::int64_t i = 0; i < shape.cols; ++i)
                    putF16At(bytes + at.right, k * shape.cols + i,
                             root > 0 ? root * svd.right[static_cast<std::size_t>(k * shape.cols + i)] / scaleOf(i)
                                      : 0);
            }
            QL_CHECK(forRows(context, shape, [&](std::int64_t row) {
                float* r = rest.row(row, shape.cols);
                std::vector<float> block(static_cast<std::size_t>(shape.cols));
                magnitudes(bytes, at, m_rank, shape, row, 0, shape.cols, block.data());
                for (std::int64_t c = 0; c < shape.cols; ++c)
                    r[c] -= (r[c] < 0 ? -1.0F : 1.0F) * block[static_cast<std::size_t>(c)];
            }));
            context.progress().addDone(n);
        }
        return {};
    }

private:
    static void addSigned(const std::byte* signs, std::int64_t column, std::int64_t count, const float* block,
                          bool first, float* out)
    {
        for (std::int64_t i = 0; i < count; ++i) {
            const std::int64_t c = column + i;
            const bool plus = (signs[c / 8] & std::byte{0x80} >> (c % 8)) != std::byte{};
            const float value = plus ? block[i] : -block[i];
            out[i] = first ? value : out[i] + value;
        }
    }

    /// √importance over its largest, at least a thousandth; empty for all ones.
    static std::vector<double> scalesOf(std::vector<double> importance)
    {
        const double most = importance.empty() ? 0 : *std::ranges::max_element(importance);
        if (!(most > 0))
            return {};
        for (double& value : importance)
            value = std::max(kLeastScale, std::sqrt(value / most));
        return importance;
    }

    int m_blocks;
    int m_rank;
};

std::unique_ptr<const MatrixFormat> makeBitStack(std::string_view id)
{
    const std::size_t line = id.find('_');
    if (!id.starts_with("bitstack") || line == std::string_view::npos)
        return nullptr;
    const auto blocks = numberAfter(id.substr(0, line), "bitstack");
    const auto rank = numberAfter(id.substr(line), "_");
    if (!blocks || !rank || *blocks < 1 || *blocks > kMostBlocks || *rank < 1 || *rank > kMostRank)
        return nullptr;
    return std::make_unique<BitStack>(*blocks, *rank);
}

std::vector<std::string> bitStacks()
{
    return {"bitstack1_1", "bitstack2_16", "bitstack3_16", "bitstack4_16", "bitstack8_16", "bitstack16_16"};
}

} // namespace

namespace matrixformats {
extern const MatrixFormatFamily bit_stack;
const MatrixFormatFamily bit_stack{
    .ids = "bitstack<n>_<k> of 1…16 blocks and rank 1…64", .make = makeBitStack, .instances = bitStacks};
} // namespace matrixformats

} // namespace ql
