// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/sum_of_parts.h"

#include "core/calibration/activations.h"
#include "core/formats/stored_f16.h"
#include "core/formats/tensor_additions.h"
#include "core/formats/weight_tile.h"
#include "core/jobs/parallel.h"
#include "core/quantizers/kept_columns.h"
#include "core/quantizers/low_rank.h"
#include "core/quantizers/sparse_choice.h"

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

std::int64_t rowGrain(std::int64_t cols)
{
    return std::max<std::int64_t>(1, 65536 / std::max<std::int64_t>(1, cols));
}

/// What of a weight float16 can hold; nothing of one that is not finite.
float keptOf(float weight)
{
    return std::isfinite(weight) ? toFloat16(weight) : 0.0F;
}

class SumOfParts {
public:
    SumOfParts(const QuantizeTask& task, const Quantizer& quantizer, const JobContext& context)
        : m_task(task),
          m_quantizer(quantizer),
          m_wanted(task.scheme.additions),
          m_matrix(matrixShape(task.weights.shape)),
          m_context(context)
    {
        if (task.inputs && task.inputs->in == m_matrix.cols && !task.inputs->isEmpty())
            m_inputs = task.inputs;
    }

    Result<QuantizedTensor> run()
    {
        if (m_wanted.scaledRank && (!m_inputs || std::ssize(m_inputs->channelRms) != m_matrix.cols))
            return refused(printAdditions(m_wanted) +
                           " scales by the rms of the layer's inputs, which is not known; give captured activations or "
                           "calibrate, or leave :scaled out");
        const auto parts = std::make_shared<TensorAdditions>();
        QL_TRY(columns, keptColumns(m_task.weights, m_wanted, m_inputs, m_context));
        const bool takesOut = !columns.empty() || m_wanted.sparseMillionths > 0;
        QL_TRY(rest, takesOut ? copyWeights() : Result<Buffer>(Buffer()));
        QL_CHECK(takeColumns(std::move(columns), rest, *parts));
        QL_CHECK(takeSparse(rest, *parts));
        QL_TRY(out, quantizeRest(takesOut ? viewOf(rest) : m_task.weights, *parts));
        rest = Buffer();
        QL_CHECK(settleColumns(out, *parts));
        out.additions = parts;
        QL_CHECK(addFactors(out, *parts));
        QL_CHECK(settleSparse(out, *parts));
        out.scheme = m_task.scheme;
        return out;
    }

private:
    TensorView viewOf(const Buffer& values) const
    {
        return {.dtype = Dtype::f32, .shape = m_task.weights.shape, .data = values.data()};
    }

    /// Calls body(row, the weights of the row) for all rows.
    template<typename Body>
    Result<void> forRows(const Body& body) const
    {
        return parallelFor(m_context, m_matrix.rows, rowGrain(m_matrix.cols),
                           [&](std::int64_t begin, std::int64_t end) {
                               WeightTile tile(m_task.weights);
                               for (std::int64_t row = begin; row < end; ++row)
                                   body(row, tile.read(row * m_matrix.cols, m_matrix.cols));
                           });
    }

    Result<Buffer> copyWeights() const
    {
        const std::int64_t bytes = 4 * m_matrix.rows * m_matrix.cols;
        QL_CHECK(m_context.checkMemory(bytes, "the weights without those that are kept"));
        Buffer rest(bytes);
        QL_CHECK(forRows([&](std::int64_t row, const float* weights) {
            std::copy_n(weights, m_matrix.cols, rest.as<float>() + row * m_matrix.cols);
        }));
        return rest;
    }

    Result<void> takeColumns(std::vector<std::int32_t> columns, Buffer& rest, TensorAdditions& parts) const
    {
        const auto slots = static_cast<std::size_t>(m_wanted.columnSlots(m_matrix.rows, m_matrix.cols));
        const std::size_t used = columns.size();
        parts.columns = std::move(columns);
        parts.columns.resize(slots, -1);
        parts.columnValues.resize(slots * static_cast<std::size_t>(m_matrix.rows));
        if (used == 0)
            return {};
        return parallelFor(m_context, m_matrix.rows, rowGrain(m_matrix.cols),
                           [&](std::int64_t begin, std::int64_t end) {
                               for (std::int64_t row = begin; row < end; ++row)
                                   for (std::size_t slot = 0; slot < used; ++slot) {
                                       float& weight = rest.as<float>()[row * m_matrix.cols + parts.columns[slot]];
                                       const float kept = keptOf(weight);
                                       parts.columnValues[static_cast<std::size_t>(row) * slots + slot] = kept;
                                       weight -= kept;
                                   }
                           });
    }

    Result<void> takeSparse(Buffer& rest, TensorAdditions& parts) const
    {
        const std::int64_t count = m_wanted.sparseCount(m_matrix.rows, m_matrix.cols);
        if (count == 0)
            return {};
        const QuantizeTask task{
            .weights = viewOf(rest), .scheme = m_task.scheme.base(), .spec = {}, .inputs = m_inputs};
        QL_TRY(positions, chooseSparse(task, count, m_context));
        parts.rowStarts = std::move(positions.rowStarts);
        parts.sparseColumns = std::move(positions.columns);
        parts.sparseValues.resize(parts.sparseColumns.size());
        return forSparse(parts, [&](std::int64_t row, std::uint32_t column, float& value) {
            float& weight = rest.as<float>()[row * m_matrix.cols + column];
            value = keptOf(weight);
            weight -= value;
        });
    }

    /// Calls body(row, column, value) for every sparse weight, rows in parallel.
    template<typename Body>
    Result<void> forSparse(TensorAdditions& parts, const Body& body) const
    {
        return parallelFor(m_context, m_matrix.rows, rowGrain(m_matrix.cols),
                           [&](std::int64_t begin, std::int64_t end) {
                               for (std::int64_t row = begin; row < end; ++row)
                                   for (std::size_t i = parts.rowStarts[static_cast<std::size_t>(row)];
                                        i < parts.rowStarts[static_cast<std::size_t>(row) + 1]; ++i)
                                       body(row, parts.sparseColumns[i], parts.sparseValues[i]);
                           });
    }

    Result<QuantizedTensor> quantizeRest(const TensorView& rest, const TensorAdditions& parts)
    {
        QuantizeTask task{.weights = rest,
                          .scheme = m_task.scheme.base(),
                          .spec = m_task.spec,
                          .inputs = m_task.inputs,
                          .report = m_task.report};
        ActivationStatistics others;
        if (m_inputs && m_quantizer.needs == InputNeeds::gram && !parts.columns.empty() && parts.columns.front() >= 0) {
            const auto empty = std::ranges::find(parts.columns, -1);
            others = withoutColumns(*m_inputs, {parts.columns.begin(), empty});
            task.inputs = &others;
        }
        QL_TRY(out, quantize(task, m_context));
        if (m_task.report && !m_task.report->objective.empty())
            m_task.report->objective += " of the codes";
        return out;
    }

    /// Where the codes restore to something in kept columns.
    Result<void> settleColumns(const QuantizedTensor& codes, TensorAdditions& parts) const
    {
        const std::size_t slots = parts.columns.size();
        if (slots == 0 || parts.columns.front() < 0)
            return {};
        return forRows([&](std::int64_t row, const float* weights) {
            std::vector<float> restored(static_cast<std::size_t>(m_matrix.cols));
            codes.restoreRows(row, row + 1, restored.data());
            for (std::size_t slot = 0; slot < slots && parts.columns[slot] >= 0; ++slot) {
                const auto column = static_cast<std::size_t>(parts.columns[slot]);
                if (restored[column] != 0)
                    parts.columnValues[static_cast<std::size_t>(row) * slots + slot] =
                        keptOf(weights[column] - restored[column]);
            }
        });
    }

    Result<void> addFactors(const QuantizedTensor& sum, TensorAdditions& parts) const
    {
        const std::int64_t rank = m_wanted.factorRank(m_matrix.rows, m_matrix.cols);
        if (rank == 0)
            return {};
        std::span<const double> rms;
        if (m_wanted.scaledRank)
            rms = m_inputs->channelRms;
        QL_TRY(factors, factorsOfRest(m_task.weights, sum, rank, rms, m_context));
        parts.rank = factors.rank;
        parts.left = std::move(factors.left);
        parts.right = std::move(factors.right);
        if (m_task.report && m_task.report->objective.empty()) {
            QL_TRY(after, scaledSquares(m_task.weights, sum, rms, m_context));
            *m_task.report = {.objective = m_wanted.scaledRank ? "Σ rms²·(w − ŵ)²" : "Σ (w − ŵ)²",
                              .rtn = factors.before,
                              .reached = after,
                              .keptRtn = !(after < factors.before)};
        }
        return {};
    }

    Result<void> settleSparse(const QuantizedTensor& sum, TensorAdditions& parts) const
    {
        if (parts.sparseValues.empty() || m_quantizer.needs == InputNeeds::gram)
            return {};
        return forRows([&](std::int64_t row, const float* weights) {
            std::vector<float> restored(static_cast<std::size_t>(m_matrix.cols));
            sum.restoreRows(row, row + 1, restored.data());
            for (std::size_t i = parts.rowStarts[static_cast<std::size_t>(row)];
                 i < parts.rowStarts[static_cast<std::size_t>(row) + 1]; ++i) {
                const std::size_t column = parts.sparseColumns[i];
                if (std::isfinite(weights[column]))
                    parts.sparseValues[i] = toFloat16(weights[column] - (restored[column] - parts.sparseValues[i]));
            }
        });
    }

    const QuantizeTask& m_task;
    const Quantizer& m_quantizer;
    const Additions& m_wanted;
    const MatrixShape m_matrix;
    const JobContext& m_context;
    const ActivationStatistics* m_inputs = nullptr;
};

} // namespace

Result<QuantizedTensor> quantizeSum(const QuantizeTask& task, const JobContext& context)
{
    QL_TRY(quantizer, findQuantizer(task.spec.id));
    QL_CHECK(quantizer->accepts(task.scheme, task.spec));
    return SumOfParts(task, *quantizer, context).run();
}

} // namespace ql
