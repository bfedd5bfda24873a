// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/run_quantizer.h"

#include "core/formats/weight_tile.h"
#include "core/jobs/parallel.h"
#include "core/quantizers/block_search.h"
#include "core/quantizers/unit_quantizer.h"

#include <algorithm>
#include <cmath>

namespace ql {

double PowerOfErrors::of(const WeightRun& run, const Affine& affine)
{
    const auto n = static_cast<std::size_t>(run.count);
    m_codes.resize(n);
    m_restored.resize(n);
    encodeRun(m_coder, affine, run.weights, run.count, m_codes.data());
    decodeRun(m_coder, affine, m_codes.data(), run.count, m_restored.data());
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i)
        sum += std::pow(std::fabs(static_cast<double>(run.weights[i]) - static_cast<double>(m_restored[i])), m_power);
    return sum;
}

Result<QuantizedTensor>
quantizeRuns(const QuantizeTask& task, bool weighted, std::string_view objective,
             const std::function<std::unique_ptr<RunChooser>(const ElementCoder&, const ScaleRule&)>& make,
             const JobContext& context)
{
    // rtn's scales; runs of zeros keep them.
    QL_TRY(out, quantizeUnits(task, RangeRule::standard, {}, context));
    const MatrixShape matrix = out.matrix();
    const auto units = static_cast<std::int64_t>(out.scales.size());
    if (units == 0)
        return out;
    const ScaleRule rule(task.scheme, RangeRule::standard, task.weights.dtype, out.tensorScale);
    const ElementCoder coder(task.scheme);
    const ColumnImportance importance = weighted && task.scheme.granularity != Granularity::tensor
                                            ? importanceOf(task.inputs, matrix.cols)
                                            : ColumnImportance{};
    const std::int64_t longest = runStart(task.scheme, matrix, 1);
    QL_CHECK(context.checkMemory(4 * longest, "a run of weights"));
    const std::int64_t grain = std::max<std::int64_t>(1, 4096 / longest);
    std::vector<ChosenRun> sums(static_cast<std::size_t>(ceilDiv(units, grain)));
    auto done = parallelFor(context, units, grain, [&](std::int64_t begin, std::int64_t end) -> Result<void> {
        const std::unique_ptr<RunChooser> chooser = make(coder, rule);
        WeightTile tile(task.weights);
        std::vector<float> finite;
        ChosenRun& sum = sums[static_cast<std::size_t>(begin / grain)];
        for (std::int64_t unit = begin; unit < end; ++unit) {
            QL_CHECK(context.checkStop());
            const std::int64_t first = runStart(task.scheme, matrix, unit);
            const std::int64_t count = runStart(task.scheme, matrix, unit + 1) - first;
            const float* weights = tile.read(first, count);
            const RunRange range = rangeOfRun(weights, count);
            if (range.absMax == 0)
                continue;
            if (!range.allFinite) {
                finite.assign(weights, weights + count);
                for (float& w : finite)
                    w = std::isfinite(w) ? w : 0.0F;
            }
            const float* matters = importance.ofRow(first / matrix.cols, matrix.rows);
            const WeightRun run{.weights = range.allFinite ? weights : finite.data(),
                                .importance = matters ? matters + first % matrix.cols : nullptr,
                                .count = count,
                                .range = range};
            QL_TRY(chosen, chooser->choose(run, context));
            sum.rtn += chosen.rtn;
            sum.reached += chosen.reached;
            const auto at = static_cast<std::size_t>(unit);
            out.scales[at] = chosen.parameters.scale;
            if (!out.zeroPoints.empty())
                out.zeroPoints[at] = static_cast<std::int16_t>(chosen.parameters.zero);
            if (!out.minima.empty())
                out.minima[at] = chosen.parameters.minimum;
            encodeRun(coder, rule.affine(chosen.parameters), weights, count, out.codes.as<std::uint8_t>() + first);
        }
        return {};
    });
    QL_CHECK(std::move(done));
    if (task.report && !objective.empty()) {
        *task.report = {.objective = std::string(objective)};
        for (const ChosenRun& sum : sums) {
            task.report->rtn += sum.rtn;
            task.report->reached += sum.reached;
        }
        task.report->keptRtn = !(task.report->reached < task.report->rtn);
    }
    return out;
}

} // namespace ql
