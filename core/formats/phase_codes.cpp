// SPDX-License-Identifier: GPL-3.0-or-later
// fairy2i<T>, T = 1…4 (Fairy2i, 2025, sections 3.1 to 3.3): a real W[2n, 2m] of blocks W11 W12 / W21 W22 is one pair of
// complex matrices that acts on x = top + i·bottom as U·x + V·conj(x), with
//   U = ½[(W11 + W22) + i(W21 − W12)]     V = ½[(W11 − W22) + i(W12 + W21)]
// and each of them is coded by phases: an element becomes the nearest of +1, +i, −1, −i (ties counterclockwise), those
// of ±1 with the scale mean|Re| over themselves, those of ±i with mean|Im|; T stages, each of what the one before left.
// Fewer stages are the first bytes of more. Without training one or two stages ruin a model: the format was made for
// it. Two bits for a complex element and stage: T bits a weight. Bytes of a stage: f32 scales of U's ±1 and ±i and of
// V's, codes of U, codes of V; each row of n from a byte of its own, the first of four codes in the lowest bits; 0 −1,
// 1 +1, 2 −i, 3 +i (as iFairy's blocks in llama.cpp's forks have them).
#include "core/formats/finite_weights.h"
#include "core/formats/format_build.h"
#include "core/formats/phase_cell.h"

#include <array>
#include <cmath>
#include <cstring>

namespace ql {

namespace {

constexpr int kMostStages = 4;
constexpr std::int64_t kScaleBytes = 16;

struct StageBytes {
    explicit StageBytes(MatrixShape shape)
        : rows(shape.rows / 2),
          cols(shape.cols / 2),
          rowBytes(ceilDiv(cols, 4)),
          codes(rows * rowBytes),
          size(kScaleBytes + 2 * codes)
    {}
    std::int64_t rows, cols; // of U and V
    std::int64_t rowBytes;
    std::int64_t codes; // bytes of U's, or V's
    std::int64_t size;
};

unsigned codeAt(const std::byte* row, std::int64_t column)
{
    return static_cast<unsigned>(row[column / 4]) >> (2 * (column % 4)) & 3U;
}

/// U or V while it is coded: real parts [n, m], then imaginary ones.
struct Residual {
    explicit Residual(std::int64_t elements) : values(8 * elements), count(elements) {}
    float* re() { return values.as<float>(); }
    float* im() { return values.as<float>() + count; }
    Buffer values;
    std::int64_t count;
};

struct PhaseSums {
    double re = 0, im = 0;
    std::int64_t ofOne = 0, ofI = 0;
};

class Fairy2i final : public MatrixFormat {
public:
    explicit Fairy2i(int stages) : m_stages(stages)
    {
        const std::string n = std::to_string(stages);
        id = "fairy2i" + n;
        title = "Complex weights as phases +-1 and +-i, " + n + (stages == 1 ? " stage, " : " stages, ") + n +
                (stages == 1 ? " bit" : " bits");
        source = "Fairy2i, 2025, sections 3.1 to 3.3";
        layout =
            n +
            " stages one after the other, each: f32 s_u, t_u, s_v, t_v; codes of U, then of V, uint8 [rows / 2, "
            "ceil(cols / 2 / 4)], four codes of 2 bits a byte, the first in the lowest: 0 is -s, 1 s, 2 -i t, 3 i t. "
            "U and V are the sums over stages; weights = [[Re U + Re V, Im V - Im U], [Im V + Im U, Re U - Re V]]";
        bits = stages;
    }

    Result<void> checkShape(MatrixShape shape) const override
    {
        if (shape.rows % 2 == 0 && shape.cols % 2 == 0)
            return {};
        return refused(id + " takes W of even sides as complex numbers, but this one is " + std::to_string(shape.rows) +
                       " by " + std::to_string(shape.cols) + "; use bcq" + std::to_string(m_stages) +
                       " (rows of 128), binary or keep");
    }

    std::array<PayloadPart, 5> parts(MatrixShape shape) const override
    {
        if (shape.rows == 0 || shape.cols == 0)
            return {};
        const StageBytes at(shape);
        return {{{"phase codes of four", 2 * m_stages * at.codes, 8}, {"scales", 4 * m_stages, 32}, {}, {}, {}}};
    }

    void restoreRun(const std::byte* bytes, MatrixShape shape, std::int64_t row, std::int64_t column,
                    std::int64_t count, float* out) const override
    {
        const StageBytes at(shape);
        const bool lower = row >= at.rows;
        const std::int64_t itsRow = lower ? row - at.rows : row;
        for (std::int64_t i = 0; i < count; ++i) {
            const bool right = column + i >= at.cols;
            const std::int64_t c = right ? column + i - at.cols : column + i;
            ComplexPart u;
            ComplexPart v;
            const std::byte* stage = bytes;
            for (int s = 0; s < m_stages; ++s, stage += at.size) {
                std::array<PhaseScales, 2> scales;
                std::memcpy(scales.data(), stage, kScaleBytes);
                const std::byte* codes = stage + kScaleBytes + itsRow * at.rowBytes;
                const ComplexPart ofU = phaseValue(codeAt(codes, c), scales[0]);
                const ComplexPart ofV = phaseValue(codeAt(codes + at.codes, c), scales[1]);
                u = {u.re + ofU.re, u.im + ofU.im};
                v = {v.re + ofV.re, v.im + ofV.im};
            }
            out[i] = lower ? (right ? u.re - v.re : v.im + u.im) : (right ? v.im - u.im : u.re + v.re);
        }
    }

    Result<void> fill(const MatrixFill& from, std::byte* bytes, const JobContext& context) const override
    {
        const MatrixShape shape = from.shape();
        const StageBytes at(shape);
        QL_TRY(weights, finiteWeights(from.weights, context));
        QL_CHECK(context.checkMemory(12 * shape.rows * shape.cols, "the complex form of the weights"));
        context.progress().addTotal(2 * m_stages * at.rows * at.cols);
        std::array<Residual, 2> parts{Residual(at.rows * at.cols), Residual(at.rows * at.cols)};
        const MatrixShape half{at.rows, at.cols};
        QL_CHECK(forRows(context, half, [&](std::int64_t row) {
            const float* top = weights.row(row, shape.cols);
            const float* bottom = weights.row(row + at.rows, shape.cols);
            for (std::int64_t c = 0; c < at.cols; ++c) {
                const std::int64_t to = row * at.cols + c;
                const float w11 = top[c] / 2;
                const float w12 = top[c + at.cols] / 2;
                const float w21 = bottom[c] / 2;
                const float w22 = bottom[c + at.cols] / 2;
                parts[0].re()[to] = w11 + w22;
                parts[0].im()[to] = w21 - w12;
                parts[1].re()[to] = w11 - w22;
                parts[1].im()[to] = w12 + w21;
            }
        }));
        for (int s = 0; s < m_stages; ++s, bytes += at.size)
            for (std::size_t p = 0; p < 2; ++p) {
                std::byte* codes = bytes + kScaleBytes + static_cast<std::int64_t>(p) * at.codes;
                QL_TRY(scales, codeStage(parts[p], half, codes, at.rowBytes, context));
                std::memcpy(bytes + p * sizeof scales, &scales, sizeof scales);
                context.progress().addDone(at.rows * at.cols);
            }
        return {};
    }

private:
    /// Codes a matrix, and leaves in it what the codes do not restore.
    static Result<PhaseScales> codeStage(Residual& part, MatrixShape half, std::byte* codes, std::int64_t rowBytes,
                                         const JobContext& context)
    {
        constexpr std::int64_t kChunk = 1 << 16;
        const std::int64_t grain = std::max<std::int64_t>(1, kChunk / std::max<std::int64_t>(1, half.cols));
        QL_TRY(sums, deterministicReduce(
                         context, half.rows, grain, PhaseSums{},
                         [&](std::int64_t begin, std::int64_t end) {
                             PhaseSums sum;
                             for (std::int64_t row = begin; row < end; ++row) {
                                 std::byte* to = codes + row * rowBytes;
                                 std::fill(to, to + rowBytes, std::byte{});
                                 const float* re = part.re() + row * half.cols;
                                 const float* im = part.im() + row * half.cols;
                                 for (std::int64_t c = 0; c < half.cols; ++c) {
                                     const Phase phase = phaseOf(re[c], im[c]);
                                     to[c / 4] |= static_cast<std::byte>(unsigned{phase} << (2 * (c % 4)));
                                     if (phase == plusOne || phase == minusOne) {
                                         sum.re += std::fabs(static_cast<double>(re[c]));
                                         ++sum.ofOne;
                                     } else {
                                         sum.im += std::fabs(static_cast<double>(im[c]));
                                         ++sum.ofI;
                                     }
                                 }
                             }
                             return sum;
                         },
                         [](PhaseSums& into, const PhaseSums& next) {
                             into.re += next.re;
                             into.im += next.im;
                             into.ofOne += next.ofOne;
                             into.ofI += next.ofI;
                         }));
        const PhaseScales scales{static_cast<float>(sums.ofOne > 0 ? sums.re / static_cast<double>(sums.ofOne) : 0.0),
                                 static_cast<float>(sums.ofI > 0 ? sums.im / static_cast<double>(sums.ofI) : 0.0)};
        QL_CHECK(forRows(context, half, [&](std::int64_t row) {
            for (std::int64_t c = 0; c < half.cols; ++c) {
                const ComplexPart value = phaseValue(codeAt(codes + row * rowBytes, c), scales);
                part.re()[row * half.cols + c] -= value.re;
                part.im()[row * half.cols + c] -= value.im;
            }
        }));
        return scales;
    }

    int m_stages;
};

std::unique_ptr<const MatrixFormat> makeFairy2i(std::string_view id)
{
    const auto stages = numberAfter(id, "fairy2i");
    if (!stages || *stages < 1 || *stages > kMostStages)
        return nullptr;
    return std::make_unique<Fairy2i>(*stages);
}

std::vector<std::string> fairies()
{
    return {"fairy2i1", "fairy2i2", "fairy2i3", "fairy2i4"};
}

} // namespace

namespace matrixformats {
extern const MatrixFormatFamily phase_codes;
const MatrixFormatFamily phase_codes{.ids = "fairy2i<T> of 1…4 stages", .make = makeFairy2i, .instances = fairies};
} // namespace matrixformats

} // namespace ql
