// SPDX-License-Identifier: GPL-3.0-or-later
// ptq1_61 (PTQ1.61, Zhao et al. 2025, sections 3.2 and 3.3): a fifth of the columns, ⌊cols/5⌋ + 1 of them, in 4 bits
// with a scale and zero point of the row's whole range, the others as signs, ŵ = r_i·t_j·(a_i·sign(w − μ_i) + μ_i) with
// μ and a the mean and the mean magnitude of the row there; one bit a column says which. Salient are the columns whose
// inputs have the largest mean square (the paper: magnitude), or, where inputs are not known, whose weights have. r and
// t start at 1 and, in place of the paper's training, are least squares of Σ importance·(w − ŵ)² in turn, eight times,
// which never raises it. Bytes of W: the columns' bits, the lowest first; codes of salient columns, two a byte, the
// first in the low half, each row from a byte of its own; signs of the others, the lowest bits first, 1 is plus,
// likewise; z of 4 bits, two rows a byte; f16 s, a, μ, r [rows] and t [cols]: 1.62 bits a weight of large matrices.
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

constexpr int kRounds = 8;
constexpr int kMostCode = 15;

struct SalientBytes {
    explicit SalientBytes(MatrixShape shape)
        : salient(std::min(shape.cols, shape.cols / 5 + 1)),
          codeRow(ceilDiv(salient, 2)),
          signRow(ceilDiv(shape.cols - salient, 8)),
          codes(ceilDiv(shape.cols, 8)),
          signs(codes + shape.rows * codeRow),
          zeros(signs + shape.rows * signRow),
          scales(zeros + ceilDiv(shape.rows, 2)),
          magnitudes(scales + 2 * shape.rows),
          means(magnitudes + 2 * shape.rows),
          left(means + 2 * shape.rows),
          right(left + 2 * shape.rows)
    {}
    std::int64_t salient;
    std::int64_t codeRow, signRow;
    std::int64_t codes, signs, zeros, scales, magnitudes, means, left, right;
};

/// Numerators and denominators of columns' least squares.
struct ColumnSums {
    std::vector<double> products, squares;
};

class SalientColumns final : public MatrixFormat {
public:
    SalientColumns()
    {
        id = "ptq1_61";
        title = "A fifth of the columns in 4 bits, the others as signs with rank-1 scales, 1.62 bits";
        source = "Zhao et al., PTQ1.61, 2025, sections 3.2 and 3.3";
        layout =
            "salient uint8 [ceil(cols / 8)], a bit for each column, lowest first; codes of the salient uint8 [rows, "
            "ceil(salient / 2)], the first in the low 4 bits, salient = floor(cols / 5) + 1; signs of the others uint8 "
            "[rows, ceil((cols - salient) / 8)], lowest bits first, 1 is plus; z of 4 bits uint8 [ceil(rows / 2)]; f16 "
            "s, a, m, r, each [rows]; f16 t [cols]. weight = s * (code - z) of salient columns, r * t * (+-a + m) of "
            "others";
        bits = 2;
    }

    std::array<PayloadPart, 5> parts(MatrixShape shape) const override
    {
        if (shape.rows == 0 || shape.cols == 0)
            return {};
        const SalientBytes at(shape);
        return {{{"salient, of eight columns", ceilDiv(shape.cols, 8), 8},
                 {"codes of two salient columns", shape.rows * at.codeRow, 8},
                 {"signs of eight columns", shape.rows * at.signRow, 8},
                 {"zero points of two rows", ceilDiv(shape.rows, 2), 8},
                 {"scales and means", 4 * shape.rows + shape.cols, 16}}};
    }

    void restoreRun(const std::byte* bytes, MatrixShape shape, std::int64_t row, std::int64_t column,
                    std::int64_t count, float* out) const override
    {
        const SalientBytes at(shape);
        const float scale = f16At(bytes + at.scales, row);
        const float a = f16At(bytes + at.magnitudes, row);
        const float mean = f16At(bytes + at.means, row);
        const float r = f16At(bytes + at.left, row);
        const auto zero = static_cast<int>(getBits(bytes + at.zeros, 4 * row, 4));
        std::int64_t salient = 0;
        for (std::int64_t c = 0; c < column; ++c)
            salient += getBits(bytes, c, 1);
        for (std::int64_t c = column; c < column + count; ++c) {
            if (getBits(bytes, c, 1) != 0) {
                const auto code = static_cast<int>(getBits(bytes + at.codes + row * at.codeRow, 4 * salient, 4));
                out[c - column] = scale * static_cast<float>(code - zero);
                ++salient;
            } else {
                const bool plus = getBits(bytes + at.signs + row * at.signRow, c - salient, 1) != 0;
                out[c - column] = r * f16At(bytes + at.right, c) * ((plus ? a : -a) + mean);
            }
        }
    }

    Result<void> fill(const MatrixFill& from, std::byte* bytes, const JobContext& context) const override
    {
        const MatrixShape shape = from.shape();
        const SalientBytes at(shape);
        context.progress().addTotal((1 + kRounds) * shape.rows * shape.cols);
        QL_TRY(weights, finiteWeights(from.weights, context));
        QL_TRY(salient, chooseColumns(from, weights, at, shape, context));
        std::fill(bytes, bytes + at.codes, std::byte{});
        std::fill(bytes + at.zeros, bytes + at.scales, std::byte{});
        std::vector<double> importance = meanImportance(from);
        if (importance.empty() || std::ranges::all_of(importance, [](double x) { return x == 0; }))
            importance.assign(static_cast<std::size_t>(shape.cols), 1.0);
        for (std::int64_t c = 0; c < shape.cols; ++c)
            orBits(bytes, c, 1, salient[static_cast<std::size_t>(c)] ? 1U : 0U);
        std::vector<int> zeros(static_cast<std::size_t>(shape.rows)); // two rows share a byte
        QL_CHECK(forRows(context, shape, [&](std::int64_t row) {
            zeros[static_cast<std::size_t>(row)] =
                codeRow(weights.row(row, shape.cols), salient, row, at, shape, bytes);
            context.progress().addDone(shape.cols);
        }));
        for (std::int64_t row = 0; row < shape.rows; ++row)
            orBits(bytes + at.zeros, 4 * row, 4, static_cast<unsigned>(zeros[static_cast<std::size_t>(row)]));
        return fitScales(weights, salient, importance, at, shape, bytes, context);
    }

private:
    static Result<std::vector<bool>> chooseColumns(const MatrixFill& from, const FiniteWeights& weights,
                                                   const SalientBytes& at, MatrixShape shape, const JobContext& context)
    {
        std::vector<double> score = meanImportance(from);
        if (score.empty()) {
            const std::int64_t grain = std::max<std::int64_t>(1, (std::int64_t{1} << 16U) / shape.cols);
            QL_TRY(squares,
                   deterministicReduce(
                       context, shape.rows, grain, std::vector<double>(static_cast<std::size_t>(shape.cols), 0.0),
                       [&](std::int64_t begin, std::int64_t end) {
                           std::vector<double> sums(static_cast<std::size_t>(shape.cols), 0.0);
                           for (std::int64_t row = begin; row < end; ++row) {
                               const float* w = weights.row(row, shape.cols);
                               for (std::size_t c = 0; c < sums.size(); ++c)
                                   sums[c] += static_cast<double>(w[c]) * static_cast<double>(w[c]);
                           }
                           return sums;
                       },
                       [](std::vector<double>& into, const std::vector<double>& next) {
                           for (std::size_t i = 0; i < into.size(); ++i)
                               into[i] += next[i];
                       }));
            score = std::move(squares);
        }
        std::vector<std::size_t> order(score.size());
        std::iota(order.begin(), order.end(), std::size_t{0});
        std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return score[a] > score[b]; });
        std::vector<bool> salient(score.size(), false);
        for (std::int64_t i = 0; i < at.salient; ++i)
            salient[order[static_cast<std::size_t>(i)]] = true;
        return salient;
    }

    /// Codes, signs and their scales of a row; its zero point.
    static int codeRow(const float* w, const std::vector<bool>& salient, std::int64_t row, const SalientBytes& at,
                       MatrixShape shape, std::byte* bytes)
    {
        double low = 0;
        double high = 0;
        double sum = 0;
        double magnitude = 0;
        const double others = static_cast<double>(std::max<std::int64_t>(1, shape.cols - at.salient));
        for (std::int64_t c = 0; c < shape.cols; ++c) {
            const auto x = static_cast<double>(w[c]);
            low = std::min(low, x);
            high = std::max(high, x);
            if (!salient[static_cast<std::size_t>(c)]) {
                sum += x;
                magnitude += std::fabs(x);
            }
        }
        const double scale = putF16At(bytes + at.scales, row, (high - low) / kMostCode);
        putF16At(bytes + at.magnitudes, row, magnitude / others);
        const double mean = putF16At(bytes + at.means, row, sum / others);
        const double zero = scale > 0 ? std::clamp(std::nearbyint(-low / scale), 0.0, double{kMostCode}) : 0.0;
        std::byte* codes = bytes + at.codes + row * at.codeRow;
        std::byte* signs = bytes + at.signs + row * at.signRow;
        std::fill(codes, codes + at.codeRow, std::byte{});
        std::fill(signs, signs + at.signRow, std::byte{});
        std::int64_t before = 0;
        for (std::int64_t c = 0; c < shape.cols; ++c) {
            const auto x = static_cast<double>(w[c]);
            if (salient[static_cast<std::size_t>(c)]) {
                const double code =
                    scale > 0 ? std::clamp(std::nearbyint(x / scale) + zero, 0.0, double{kMostCode}) : zero;
                orBits(codes, 4 * before, 4, static_cast<unsigned>(code));
                ++before;
            } else {
                orBits(signs, c - before, 1, x >= mean ? 1U : 0U);
            }
        }
        return static_cast<int>(zero);
    }

    static Result<void> fitScales(const FiniteWeights& weights, const std::vector<bool>& salient,
                                  const std::vector<double>& importance, const SalientBytes& at, MatrixShape shape,
                                  std::byte* bytes, const JobContext& context)
    {
        const auto cols = static_cast<std::size_t>(shape.cols);
        std::vector<double> left(static_cast<std::size_t>(shape.rows), 1.0);
        std::vector<double> right(cols, 1.0);
        const std::int64_t grain = std::max<std::int64_t>(1, (std::int64_t{1} << 16U) / shape.cols);
        for (int round = 0; round < kRounds; ++round) {
            const ColumnSums none{std::vector<double>(cols, 0.0), std::vector<double>(cols, 0.0)};
            QL_TRY(sums, deterministicReduce(
                             context, shape.rows, grain, none,
                             [&](std::int64_t begin, std::int64_t end) {
                                 ColumnSums its = none;
                                 std::vector<double> plain(cols);
                                 for (std::int64_t row = begin; row < end && !context.stopRequested(); ++row) {
                                     const float* w = weights.row(row, shape.cols);
                                     plainSigns(bytes, salient, row, at, plain);
                                     double& r = left[static_cast<std::size_t>(row)];
                                     r = leastSquares(w, plain, right, importance, salient, r);
                                     for (std::size_t c = 0; c < cols; ++c) {
                                         const double b = r * plain[c];
                                         its.products[c] += b * static_cast<double>(w[c]);
                                         its.squares[c] += b * b;
                                     }
                                     context.progress().addDone(shape.cols);
                                 }
                                 return its;
                             },
                             [](ColumnSums& into, const ColumnSums& next) {
                                 for (std::size_t i = 0; i < into.products.size(); ++i) {
                                     into.products[i] += next.products[i];
                                     into.squares[i] += next.squares[i];
                                 }
                             }));
            for (std::size_t c = 0; c < cols; ++c)
                if (!salient[c] && sums.squares[c] > 0)
                    right[c] = sums.products[c] / sums.squares[c];
        }
        for (std::int64_t row = 0; row < shape.rows; ++row)
            putF16At(bytes + at.left, row, left[static_cast<std::size_t>(row)]);
        for (std::int64_t c = 0; c < shape.cols; ++c)
            putF16At(bytes + at.right, c, right[static_cast<std::size_t>(c)]);
        return {};
    }

    /// ±a + μ of a row; 0 for salient columns.
    static void plainSigns(const std::byte* bytes, const std::vector<bool>& salient, std::int64_t row,
                           const SalientBytes& at, std::vector<double>& out)
    {
        const auto a = static_cast<double>(f16At(bytes + at.magnitudes, row));
        const auto mean = static_cast<double>(f16At(bytes + at.means, row));
        const std::byte* signs = bytes + at.signs + row * at.signRow;
        std::int64_t sign = 0;
        for (std::size_t c = 0; c < out.size(); ++c) {
            if (salient[c]) {
                out[c] = 0;
                continue;
            }
            out[c] = (getBits(signs, sign, 1) != 0 ? a : -a) + mean;
            ++sign;
        }
    }

    static double leastSquares(const float* w, const std::vector<double>& plain, const std::vector<double>& right,
                               const std::vector<double>& importance, const std::vector<bool>& salient,
                               double otherwise)
    {
        double products = 0;
        double squares = 0;
        for (std::size_t c = 0; c < plain.size(); ++c) {
            if (salient[c])
                continue;
            const double b = right[c] * plain[c];
            products += importance[c] * b * static_cast<double>(w[c]);
            squares += importance[c] * b * b;
        }
        return squares > 0 ? products / squares : otherwise;
    }
};

std::unique_ptr<const MatrixFormat> makeSalient(std::string_view id)
{
    return id == "ptq1_61" ? std::make_unique<SalientColumns>() : nullptr;
}

std::vector<std::string> salientColumns()
{
    return {"ptq1_61"};
}

} // namespace

namespace matrixformats {
extern const MatrixFormatFamily salient_columns;
const MatrixFormatFamily salient_columns{.ids = "ptq1_61", .make = makeSalient, .instances = salientColumns};
} // namespace matrixformats

} // namespace ql
