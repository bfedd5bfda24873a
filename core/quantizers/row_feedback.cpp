// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/row_feedback.h"

#include "core/base/matrix_product.h"
#include "core/base/sum.h"
#include "core/formats/weight_tile.h"
#include "core/jobs/tiles.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace ql {

namespace {

constexpr std::int64_t kPiece = 16; // rows that are coded as one task
constexpr std::int64_t kMost = 64;  // of a group

std::int64_t groupRows(std::int64_t rows)
{
    return std::clamp(rows / kPiece / kPiece * kPiece, kPiece, kMost);
}

/// Numbers of one row where there are `all` of a tensor; 0 where they are the tensor's.
template<typename T>
std::size_t stride(const std::vector<T>& all, std::int64_t rows)
{
    return all.size() <= 1 ? 0 : all.size() / static_cast<std::size_t>(rows);
}

/// Copies row `from` of one tensor to row `to` of another, of the same scheme and width.
void copyRow(const QuantizedTensor& source, std::int64_t from, QuantizedTensor& target, std::int64_t to)
{
    const std::int64_t bytes = source.codes.sizeBytes() / source.matrix().rows;
    std::memcpy(target.codes.data() + to * bytes, source.codes.data() + from * bytes, static_cast<std::size_t>(bytes));
    const auto numbers = [&](const auto& all, auto& its) {
        const std::size_t n = stride(all, source.matrix().rows);
        std::copy_n(all.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(from) * n), n,
                    its.begin() + static_cast<std::ptrdiff_t>(static_cast<std::size_t>(to) * n));
    };
    numbers(source.scales, target.scales);
    numbers(source.zeroPoints, target.zeroPoints);
    numbers(source.minima, target.minima);
}

/// Room for some rows of a tensor.
QuantizedTensor roomFor(const QuantizedTensor& tensor, std::int64_t rows)
{
    const MatrixShape all = tensor.matrix();
    const auto sized = [&](auto numbers) {
        if (const std::size_t n = stride(numbers, all.rows); n > 0)
            numbers.resize(n * static_cast<std::size_t>(rows));
        return numbers;
    };
    return {.scheme = tensor.scheme,
            .shape = {rows, all.cols},
            .codes = Buffer(tensor.codes.sizeBytes() / all.rows * rows),
            .scales = sized(tensor.scales),
            .zeroPoints = sized(tensor.zeroPoints),
            .minima = sized(tensor.minima),
            .tensorScale = tensor.tensorScale};
}

class RowSweep {
public:
    RowSweep(const QuantizeTask& task, const ErrorFeedback& feedback, const RowCoder& code, std::int64_t begin,
             QuantizedTensor& out)
        : m_task(task),
          m_feedback(feedback),
          m_code(code),
          m_begin(begin),
          m_rows(std::ssize(feedback.order)),
          m_cols(out.matrix().cols),
          m_out(out),
          m_deltas(4 * m_rows * m_cols),
          m_rtn(4 * m_rows * m_cols)
    {}

    Result<void> run(const JobContext& context)
    {
        const std::int64_t group = groupRows(m_rows);
        for (std::int64_t first = 0; first < m_rows; first += group)
            QL_CHECK(codeGroup(first, std::min(m_rows, first + group), context));
        return {};
    }

    /// In the order of processing, [rows, cols].
    const float* deltas() const { return m_deltas.as<float>(); }
    const float* deltasOfRtn() const { return m_rtn.as<float>(); }

private:
    std::int64_t row(std::int64_t place) const { return m_begin + m_feedback.order[static_cast<std::size_t>(place)]; }

    /// W − Ŵ of the row at a place; 0 where W is not finite.
    void subtract(std::int64_t place, const float* weights, float* to) const
    {
        std::vector<float> restored(static_cast<std::size_t>(m_cols));
        m_out.restoreRows(row(place), row(place) + 1, restored.data());
        for (std::int64_t c = 0; c < m_cols; ++c)
            to[place * m_cols + c] = std::isfinite(weights[c]) ? weights[c] - restored[static_cast<std::size_t>(c)] : 0;
    }

    const float* factor(std::int64_t k, std::int64_t r) const { return m_feedback.factor.as<float>() + k * m_rows + r; }

    /// What rows make up for that are coded one after the other becomes what those of a group do at once: solves
    /// (I + A of the group)ᵀ·X = Y in place.
    void shareOut(std::int64_t first, std::int64_t count, float* shifts) const
    {
        for (std::int64_t r = 1; r < count; ++r)
            for (std::int64_t k = 0; k < r; ++k) {
                const float a = *factor(first + k, first + r);
                for (std::int64_t c = 0; c < m_cols; ++c)
                    shifts[r * m_cols + c] -= a * shifts[k * m_cols + c];
            }
    }

    Result<void> codeGroup(std::int64_t first, std::int64_t last, const JobContext& context)
    {
        QL_CHECK(context.checkStop());
        const std::int64_t count = last - first;
        Buffer weights(4 * count * m_cols);
        Buffer targets(4 * count * m_cols);
        WeightTile tile(m_task.weights);
        for (std::int64_t i = 0; i < count; ++i)
            std::copy_n(tile.read(row(first + i) * m_cols, m_cols), m_cols, weights.as<float>() + i * m_cols);
        std::memcpy(targets.data(), weights.data(), static_cast<std::size_t>(targets.sizeBytes()));
        if (first > 0) {
            Buffer shifts(4 * count * m_cols);
            QL_CHECK(multiply(MatrixProduct<float>{.rows = count,
                                                   .cols = m_cols,
                                                   .depth = first,
                                                   .a = factor(0, first),
                                                   .aStride = m_rows,
                                                   .aTransposed = true,
                                                   .b = m_deltas.as<float>(),
                                                   .bStride = m_cols,
                                                   .bTransposed = false,
                                                   .c = shifts.as<float>(),
                                                   .cStride = m_cols,
                                                   .alpha = 1,
                                                   .beta = 0},
                              parallelTiles(context)));
            shareOut(first, count, shifts.as<float>());
            for (std::int64_t i = 0; i < count * m_cols; ++i)
                targets.as<float>()[i] += shifts.as<float>()[i];
        }
        return parallelFor(context, count, kPiece, [&](std::int64_t from, std::int64_t to) -> Result<void> {
            QuantizeTask task = m_task;
            task.weights = {Dtype::f32, {to - from, m_cols}, targets.data() + 4 * from * m_cols};
            task.report = nullptr;
            QuantizedTensor coded = roomFor(m_out, to - from);
            for (std::int64_t i = from; i < to; ++i) {
                subtract(first + i, weights.as<float>() + i * m_cols, m_rtn.as<float>());
                copyRow(m_out, row(first + i), coded, i - from);
            }
            QL_CHECK(m_code(task, 0, to - from, coded));
            for (std::int64_t i = from; i < to; ++i) {
                copyRow(coded, i - from, m_out, row(first + i));
                subtract(first + i, weights.as<float>() + i * m_cols, m_deltas.as<float>());
            }
            return {};
        });
    }

    const QuantizeTask& m_task;
    const ErrorFeedback& m_feedback;
    const RowCoder& m_code;
    const std::int64_t m_begin, m_rows, m_cols;
    QuantizedTensor& m_out;
    Buffer m_deltas, m_rtn;
};

/// tr(S·Δ·H·Δᵀ) of Δ[rows, cols].
Result<double> objectiveOf(const float* deltas, const std::vector<double>& s, const Hessian& hessian,
                           const JobContext& context)
{
    const std::int64_t cols = hessian.in;
    const auto rows = static_cast<std::int64_t>(std::sqrt(static_cast<double>(s.size())) + 0.5);
    const std::int64_t n = rows * cols;
    QL_CHECK(context.checkMemory(24 * n, "the errors of a layer"));
    Buffer held(24 * n);
    double* const d = held.as<double>();
    std::copy_n(deltas, n, d);
    double* const left = d + n;     // S·Δ
    double* const right = left + n; // Δ·H
    QL_CHECK(multiply(MatrixProduct<double>{.rows = rows,
                                            .cols = cols,
                                            .depth = rows,
                                            .a = s.data(),
                                            .aStride = rows,
                                            .aTransposed = false,
                                            .b = d,
                                            .bStride = cols,
                                            .bTransposed = false,
                                            .c = left,
                                            .cStride = cols,
                                            .alpha = 1,
                                            .beta = 0},
                      parallelTiles(context)));
    QL_CHECK(multiply(MatrixProduct<double>{.rows = rows,
                                            .cols = cols,
                                            .depth = cols,
                                            .a = d,
                                            .aStride = cols,
                                            .aTransposed = false,
                                            .b = hessian.matrix.data(),
                                            .bStride = cols,
                                            .bTransposed = false,
                                            .c = right,
                                            .cStride = cols,
                                            .alpha = 1,
                                            .beta = 0},
                      parallelTiles(context)));
    CompensatedSum sum;
    for (std::int64_t i = 0; i < n; ++i)
        sum.add(left[i] * right[i]);
    return std::max(0.0, sum.value());
}

} // namespace

bool rowsAreSeparate(const QuantizedTensor& tensor)
{
    const std::int64_t rows = tensor.matrix().rows;
    const auto separate = [&](const auto& numbers) {
        return numbers.size() <= 1 || numbers.size() % static_cast<std::size_t>(rows) == 0;
    };
    return !tensor.additions && rows > 1 && tensor.codes.sizeBytes() % rows == 0 && separate(tensor.scales) &&
           separate(tensor.zeroPoints) && separate(tensor.minima);
}

Result<SweepResult> codeWithRowFeedback(const QuantizeTask& task, const Hessian& hessian, double damping,
                                        const RowCoder& code, std::int64_t begin, std::int64_t end,
                                        QuantizedTensor& out, const JobContext& context)
{
    const std::int64_t rows = end - begin;
    if (std::ssize(hessian.outputs) != rows * rows)
        return badInput("what the loss feels of the outputs is of another number of them; calibrate again");
    QL_CHECK(context.checkMemory(8 * rows * (rows + out.matrix().cols), "what the loss feels of the outputs"));
    std::vector<double> s(hessian.outputs.begin(), hessian.outputs.end());
    std::vector<double> diagonal;
    double trace = 0;
    for (std::int64_t r = 0; r < rows; ++r) {
        diagonal.push_back(s[static_cast<std::size_t>(r * rows + r)]);
        trace += diagonal.back();
    }
    if (!(trace > 0)) // no output matters
        return code(task, begin, end, out);
    const double scale = static_cast<double>(rows) / trace;
    for (double& value : s)
        value *= scale;
    QL_TRY(feedback, makeErrorFeedback(s.data(), fallingOrder(diagonal, 0), damping, context));
    const double more = 4 - info(task.weights.dtype).bitsPerElement() / 8; // rows are coded from float
    context.progress().addTotal(static_cast<std::int64_t>(more * static_cast<double>(rows * out.matrix().cols)));
    RowSweep sweep(task, feedback, code, begin, out);
    QL_CHECK(sweep.run(context));
    std::vector<double> ordered(s.size());
    for (std::int64_t r = 0; r < rows; ++r)
        for (std::int64_t c = 0; c < rows; ++c)
            ordered[static_cast<std::size_t>(r * rows + c)] = s[static_cast<std::size_t>(
                feedback.order[static_cast<std::size_t>(r)] * rows + feedback.order[static_cast<std::size_t>(c)])];
    QL_TRY(reached, objectiveOf(sweep.deltas(), ordered, hessian, context));
    QL_TRY(rtn, objectiveOf(sweep.deltasOfRtn(), ordered, hessian, context));
    return SweepResult{.reached = reached, .rtn = rtn, .withOutputs = true};
}

} // namespace ql
