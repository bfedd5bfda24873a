// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/unit_quantizer.h"

#include "core/base/sum.h"
#include "core/formats/weight_tile.h"
#include "core/jobs/parallel.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ql {

namespace {

struct Run {
    const QuantizeTask& task;
    const ScaleRule& rule;
    const ElementCoder& coder;
    const Candidates& candidates;
    QuantizedTensor& out;
    float lowestLevel;

    void store(std::int64_t unit, const RunParameters& parameters) const
    {
        const auto u = static_cast<std::size_t>(unit);
        out.scales[u] = parameters.scale;
        if (!out.zeroPoints.empty())
            out.zeroPoints[u] = static_cast<std::int16_t>(parameters.zero);
        if (!out.minima.empty())
            out.minima[u] = parameters.minimum;
    }
    void encode(const RunParameters& parameters, const float* weights, std::int64_t first, std::int64_t n) const
    {
        std::uint8_t* codes = out.codes.as<std::uint8_t>() + first;
        if (rule.rule() == RangeRule::ct && coder.kind == FormatKind::integer)
            encodeRunRounded(coder, rule.affine(parameters), rule.quotient(), weights, n, codes);
        else
            encodeRun(coder, rule.affine(parameters), weights, n, codes);
    }
    /// The squared error of the extremes where they lie beyond the codes' ends: no less than this is made.
    double clipError(const RunParameters& parameters, const RunRange& range) const
    {
        const Affine affine = rule.affine(parameters);
        const auto end = [&](float level) {
            return static_cast<double>(level) * static_cast<double>(affine.scale) + static_cast<double>(affine.minimum);
        };
        const bool isInteger = coder.kind == FormatKind::integer;
        const double a = end(isInteger ? static_cast<float>(coder.low - affine.zero) * coder.step : lowestLevel);
        const double b = end(isInteger ? static_cast<float>(coder.high - affine.zero) * coder.step : coder.maxLevel);
        const double below = std::min(a, b) - static_cast<double>(range.min);
        const double above = static_cast<double>(range.max) - std::max(a, b);
        const double beyond = std::max({below, above, 0.0});
        // What is restored is rounded to float; with a margin this stays a lower bound.
        return beyond * beyond * (1 - 1e-5);
    }
};

/// Copies weights with what is not finite replaced by 0: those have no say in errors.
const float* finiteOnly(const float* weights, std::int64_t n, std::vector<float>& scratch)
{
    scratch.assign(weights, weights + n);
    for (float& w : scratch)
        w = std::isfinite(w) ? w : 0.0F;
    return scratch.data();
}

/// Index of the least; the first of equals.
std::size_t leastOf(const std::vector<double>& errors)
{
    return static_cast<std::size_t>(std::min_element(errors.begin(), errors.end()) - errors.begin());
}

void quantizeShortRuns(const Run& run, std::int64_t firstUnit, std::int64_t lastUnit)
{
    const MatrixShape matrix = run.out.matrix();
    const Scheme& scheme = run.out.scheme;
    WeightTile tile(run.task.weights);
    std::vector<RunParameters> candidates;
    std::vector<float> scratch;
    std::int64_t next = runStart(scheme, matrix, firstUnit);
    std::int64_t rowEnd = next / matrix.cols * matrix.cols + matrix.cols;
    for (std::int64_t unit = firstUnit; unit < lastUnit; ++unit) {
        const std::int64_t first = next;
        if (scheme.granularity == Granularity::group) {
            next = rowEnd - first > scheme.groupSize ? first + scheme.groupSize : rowEnd;
            rowEnd += next == rowEnd ? matrix.cols : 0;
        } else {
            next = runStart(scheme, matrix, unit + 1);
        }
        const std::int64_t n = next - first;
        const float* weights = tile.read(first, n);
        const RunRange range = rangeOfRun(weights, n);
        RunParameters best = run.rule.choose(range);
        if (run.candidates) {
            candidates.assign(1, best);
            run.candidates(range, run.rule, candidates);
            const float* finite = range.allFinite ? weights : finiteOnly(weights, n, scratch);
            double least = squaredErrorOfRun(run.coder, run.rule.affine(best), finite, n);
            for (std::size_t i = 1; i < candidates.size() && least > 0; ++i) {
                if (run.clipError(candidates[i], range) >= least)
                    continue;
                const double error = squaredErrorOfRun(run.coder, run.rule.affine(candidates[i]), finite, n);
                if (error < least) {
                    least = error;
                    best = candidates[i];
                }
            }
        }
        run.store(unit, best);
        run.encode(best, weights, first, n);
    }
}

Result<void> quantizeLongRun(const Run& run, std::int64_t unit, const JobContext& context)
{
    const MatrixShape matrix = run.out.matrix();
    const std::int64_t first = runStart(run.out.scheme, matrix, unit);
    const std::int64_t n = runStart(run.out.scheme, matrix, unit + 1) - first;
    QL_TRY(range, deterministicReduce(
                      context, n, kRunChunk, RunRange{},
                      [&](std::int64_t begin, std::int64_t end) {
                          WeightTile tile(run.task.weights);
                          return rangeOfRun(tile.read(first + begin, end - begin), end - begin);
                      },
                      [](RunRange& into, const RunRange& next) { into.merge(next); }));
    RunParameters best = run.rule.choose(range);
    if (run.candidates) {
        std::vector<RunParameters> candidates{best};
        run.candidates(range, run.rule, candidates);
        std::vector<CompensatedSum> totals(candidates.size());
        // A batch keeps the work between two stop tests short.
        constexpr std::size_t kBatch = 8;
        for (std::size_t batch = 0; batch < candidates.size(); batch += kBatch) {
            const std::size_t last = std::min(batch + kBatch, candidates.size());
            QL_CHECK(deterministicReduce(
                context, n, kRunChunk, std::vector<CompensatedSum>(last - batch),
                [&](std::int64_t begin, std::int64_t end) {
                    WeightTile tile(run.task.weights);
                    std::vector<float> scratch;
                    const float* given = tile.read(first + begin, end - begin);
                    const float* weights = range.allFinite ? given : finiteOnly(given, end - begin, scratch);
                    std::vector<CompensatedSum> part(last - batch);
                    for (std::size_t i = batch; i < last; ++i)
                        part[i - batch].add(
                            squaredErrorOfRun(run.coder, run.rule.affine(candidates[i]), weights, end - begin));
                    return part;
                },
                [&](std::vector<CompensatedSum>& into, const std::vector<CompensatedSum>& next) {
                    for (std::size_t i = 0; i < next.size(); ++i)
                        into[i].merge(next[i]);
                    for (std::size_t i = 0; i < next.size(); ++i)
                        totals[batch + i] = into[i];
                }));
        }
        std::vector<double> errors;
        for (const CompensatedSum& total : totals)
            errors.push_back(total.value());
        best = candidates[leastOf(errors)];
    }
    run.store(unit, best);
    return parallelFor(context, n, kRunChunk, [&](std::int64_t begin, std::int64_t end) {
        WeightTile tile(run.task.weights);
        run.encode(best, tile.read(first + begin, end - begin), first + begin, end - begin);
    });
}

} // namespace

std::int64_t runStart(const Scheme& scheme, const MatrixShape& matrix, std::int64_t unit)
{
    if (scheme.granularity == Granularity::tensor)
        return unit * matrix.rows * matrix.cols;
    const std::int64_t perRow = scheme.groupsPerRow(matrix.cols);
    const std::int64_t inRow = unit % perRow;
    return unit / perRow * matrix.cols + (inRow == 0 ? 0 : inRow * scheme.groupSize);
}

Result<QuantizedTensor> allocateQuantized(const QuantizeTask& task, const JobContext& context)
{
    QuantizedTensor out;
    out.scheme = task.scheme;
    out.shape = task.weights.shape;
    const MatrixShape matrix = out.matrix();
    const std::int64_t n = task.weights.numel();
    const std::int64_t units = task.scheme.scaleCount(matrix.rows, matrix.cols);
    const std::int64_t codeBytes = task.scheme.isCast() ? task.scheme.element->bits / 8 : 1;
    QL_CHECK(context.checkMemory(n * codeBytes + units * 6, "quantized weights"));
    out.codes = Buffer(n * codeBytes);
    out.scales.resize(static_cast<std::size_t>(units));
    if (task.scheme.zeroPoint == ZeroPoint::integer)
        out.zeroPoints.resize(static_cast<std::size_t>(units));
    if (task.scheme.zeroPoint == ZeroPoint::minimum)
        out.minima.resize(static_cast<std::size_t>(units));
    return out;
}

Result<QuantizedTensor> quantizeUnits(const QuantizeTask& task, RangeRule rule, const Candidates& candidates,
                                      const JobContext& context)
{
    QL_TRY(out, allocateQuantized(task, context));
    const MatrixShape matrix = out.matrix();
    const std::int64_t n = task.weights.numel();
    const auto units = static_cast<std::int64_t>(out.scales.size());
    if (units == 0)
        return out;
    if (task.scheme.scale == ScaleCoding::ue4m3) {
        QL_TRY(range, deterministicReduce(
                          context, n, kRunChunk, RunRange{},
                          [&](std::int64_t begin, std::int64_t end) {
                              WeightTile tile(task.weights);
                              return rangeOfRun(tile.read(begin, end - begin), end - begin);
                          },
                          [](RunRange& into, const RunRange& next) { into.merge(next); }));
        out.tensorScale = tensorScaleFor(task.scheme, range.absMax);
    }
    const ScaleRule scaleRule(task.scheme, rule, task.weights.dtype, out.tensorScale);
    const ElementCoder coder(task.scheme);
    const Run run{task, scaleRule, coder, candidates, out, task.scheme.element->grid.levels.front()};
    const double bytes = info(task.weights.dtype).bitsPerElement() / 8;
    const auto progressUnits = [bytes](std::int64_t elements) {
        return static_cast<std::int64_t>(bytes * static_cast<double>(elements));
    };
    context.progress().addTotal(progressUnits(n));
    const std::int64_t length = task.scheme.granularity == Granularity::tensor ? n
                                : task.scheme.granularity == Granularity::channel
                                    ? matrix.cols
                                    : std::min(task.scheme.groupSize, matrix.cols);
    if (length > kRunChunk) {
        for (std::int64_t unit = 0; unit < units; ++unit) {
            QL_CHECK(quantizeLongRun(run, unit, context));
            context.progress().addDone(
                progressUnits(runStart(task.scheme, matrix, unit + 1) - runStart(task.scheme, matrix, unit)));
        }
        return out;
    }
    QL_CHECK(parallelFor(context, units, std::max<std::int64_t>(1, kRunChunk / length),
                         [&](std::int64_t begin, std::int64_t end) {
                             quantizeShortRuns(run, begin, end);
                             context.progress().addDone(progressUnits(runStart(task.scheme, matrix, end) -
                                                                      runStart(task.scheme, matrix, begin)));
                         }));
    return out;
}

} // namespace ql
