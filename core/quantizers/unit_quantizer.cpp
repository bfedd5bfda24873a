// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/unit_quantizer.h"

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
};

void quantizeShortRuns(const Run& run, std::int64_t firstUnit, std::int64_t lastUnit)
{
    const MatrixShape matrix = run.out.matrix();
    const Scheme& scheme = run.out.scheme;
    WeightTile tile(run.task.weights);
    ScaleSearch search(run.coder, run.rule, run.candidates);
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
        const RunParameters best = run.candidates.count > 0 ? search.best(range, weights, n) : run.rule.choose(range);
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
    if (run.candidates.count > 0) {
        ScaleSearch search(run.coder, run.rule, run.candidates);
        QL_TRY(found, search.bestOfLong(range, run.task.weights, first, n, context));
        best = found;
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
    const std::int64_t bytes =
        task.scheme.isPacked() ? payloadBits(task.scheme, matrix.rows, matrix.cols) / 8 : n * codeBytes;
    QL_CHECK(context.checkMemory(bytes + units * 6, "quantized weights"));
    out.codes = Buffer(bytes);
    out.scales.resize(static_cast<std::size_t>(units));
    if (task.scheme.zeroPoint == ZeroPoint::integer)
        out.zeroPoints.resize(static_cast<std::size_t>(units));
    if (task.scheme.zeroPoint == ZeroPoint::minimum)
        out.minima.resize(static_cast<std::size_t>(units));
    return out;
}

Result<RunRange> rangeOfTensor(const TensorView& weights, const JobContext& context)
{
    return deterministicReduce(
        context, weights.numel(), kRunChunk, RunRange{},
        [&](std::int64_t begin, std::int64_t end) {
            WeightTile tile(weights);
            return rangeOfRun(tile.read(begin, end - begin), end - begin);
        },
        [](RunRange& into, const RunRange& next) { into.merge(next); });
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
        QL_TRY(range, rangeOfTensor(task.weights, context));
        out.tensorScale = tensorScaleFor(task.scheme, std::max(range.absMax, task.sharedAbsMax));
    }
    const ScaleRule scaleRule(task.scheme, rule, task.weights.dtype, out.tensorScale);
    const ElementCoder coder(task.scheme);
    const Run run{task, scaleRule, coder, candidates, out};
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
