// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/error_curves.h"

#include "core/analysis/decode_range.h"
#include "core/analysis/statistics.h"
#include "core/base/sum.h"
#include "core/formats/element_coder.h"
#include "core/jobs/parallel.h"
#include "core/quantizers/scale_rule.h"
#include "core/tensor/float_array.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace ql {

namespace {

constexpr std::int64_t kChunk = 65536; // elements, at least a row

/// How a row is cut into runs that share a scale.
enum Cut { kGroups, kBlocks32, kBlocks16, kRows, kCuts };

struct Contender {
    std::size_t family;
    Cut cut;
    Scheme scheme;
};

Result<std::vector<Contender>> makeContenders(std::int64_t groupSize, std::vector<ErrorCurve>& curves)
{
    std::vector<Contender> contenders;
    const auto begin = [&](const char* family) { curves.push_back({family, {}}); };
    const auto add = [&](const std::string& text, Cut cut) -> Result<void> {
        QL_TRY(scheme, parseScheme(text));
        contenders.push_back({curves.size() - 1, cut, std::move(scheme)});
        return {};
    };
    const std::string granularity = groupSize > 0 ? ":g" + std::to_string(groupSize) : "";
    const Cut cut = groupSize > 0 ? kGroups : kRows;
    begin("INT");
    for (int bits = 2; bits <= 8; ++bits)
        QL_CHECK(add("int" + std::to_string(bits) + granularity, cut));
    begin("ExMy");
    for (int bits = 3; bits <= 8; ++bits)
        for (int exponentBits = 1; exponentBits < bits; ++exponentBits)
            QL_CHECK(add(
                "e" + std::to_string(exponentBits) + "m" + std::to_string(bits - 1 - exponentBits) + granularity, cut));
    begin("MX INT");
    for (const char* name : {"mxint4", "mxint6", "mxint8"})
        QL_CHECK(add(name, kBlocks32));
    begin("MX FP");
    for (const char* name : {"mxfp4", "mxfp6_e2m3", "mxfp6_e3m2", "mxfp8_e4m3", "mxfp8_e5m2"})
        QL_CHECK(add(name, kBlocks32));
    begin("NV INT");
    QL_CHECK(add("nvint4", kBlocks16));
    begin("NV FP");
    QL_CHECK(add("nvfp4", kBlocks16));
    return contenders;
}

/// A scheme, ready for loops.
struct Measurer {
    ScaleRule rule;
    ElementCoder coder;
};

struct Sums {
    std::vector<CompensatedSum> errors; // by contender
    CompensatedSum squares;
    std::int64_t finite = 0;
    std::array<CompensatedSum, kCuts> crests;
    std::array<std::int64_t, kCuts> blocks{};

    void merge(const Sums& next)
    {
        for (std::size_t i = 0; i < errors.size(); ++i)
            errors[i].merge(next.errors[i]);
        squares.merge(next.squares);
        finite += next.finite;
        for (std::size_t cut = 0; cut < kCuts; ++cut) {
            crests[cut].merge(next.crests[cut]);
            blocks[cut] += next.blocks[cut];
        }
    }
};

/// A run of weights and its range.
struct Run {
    std::int64_t first, count;
    RunRange range;
};

/// Calls body(first, count) for pieces of [first, first + count), a stop test before each: a row may be as long as the
/// tensor. Sums over longer runs are sums of pieces. False after a stop request.
template<typename Body>
bool forPieces(const JobContext& context, std::int64_t first, std::int64_t count, const Body& body)
{
    for (const std::int64_t end = first + count; first < end; first += kChunk) {
        if (context.stopRequested())
            return false;
        body(first, std::min(kChunk, end - first));
    }
    return true;
}

/// After a stop request the sums are of no use.
void measureChunk(FloatArray& weights, std::int64_t cols, const std::array<std::int64_t, kCuts>& lengths,
                  const std::vector<Contender>& contenders, const std::vector<Measurer>& measurers,
                  const JobContext& context, Sums& sums)
{
    std::array<std::vector<Run>, kCuts> runs;
    const auto rows = static_cast<std::int64_t>(weights.size()) / cols;
    for (std::size_t cut = 0; cut < kCuts; ++cut) {
        for (std::int64_t row = 0; row < rows; ++row) {
            for (std::int64_t begin = 0; begin < cols; begin += lengths[cut]) {
                const std::int64_t first = row * cols + begin;
                const std::int64_t count = std::min(lengths[cut], cols - begin);
                RunRange range;
                RunError energy;
                const bool whole = forPieces(context, first, count, [&](std::int64_t at, std::int64_t n) {
                    const float* const w = weights.data() + at;
                    range.merge(rangeOfRun(w, n));
                    if (cut == kGroups)
                        return;
                    const RunError piece = errorOfRun(w, w, n);
                    energy.squares += piece.squares;
                    energy.count += piece.count;
                });
                if (!whole)
                    return;
                runs[cut].push_back({first, count, range});
                if (cut == kGroups)
                    continue;
                if (cut == kRows) {
                    sums.squares.add(energy.squares);
                    sums.finite += energy.count;
                }
                if (energy.squares == 0)
                    continue;
                const double rms = std::sqrt(energy.squares / static_cast<double>(energy.count));
                sums.crests[cut].add(static_cast<double>(runs[cut].back().range.absMax) / rms);
                ++sums.blocks[cut];
            }
        }
    }
    for (float& w : weights)
        w = std::isfinite(w) ? w : 0.0F;
    for (std::size_t i = 0; i < contenders.size() && !context.stopRequested(); ++i) {
        const auto& [rule, coder] = measurers[i];
        double total = 0;
        std::int64_t sinceTest = 0;
        for (const Run& run : runs[contenders[i].cut]) {
            const auto affine = rule.affine(rule.choose(run.range));
            for (std::int64_t at = 0; at < run.count; at += kChunk) {
                const std::int64_t n = std::min(kChunk, run.count - at);
                total += squaredErrorOfRun(coder, affine, weights.data() + run.first + at, n);
                sinceTest += n;
                if (sinceTest >= kChunk && context.stopRequested())
                    return;
                sinceTest %= kChunk;
            }
        }
        sums.errors[i].add(total);
    }
}

} // namespace

Result<ErrorCurves> computeErrorCurves(const TensorView& tensor, std::int64_t groupSize, const JobContext& context)
{
    if (!isDecodable(tensor.dtype))
        return badInput("error curves of " + std::string(info(tensor.dtype).word) +
                        " tensors are not available; convert the tensor to a real number type");
    if (groupSize < 0)
        return usageError("the group size must be positive, or 0 for one scale per channel");
    const auto [rows, cols] = matrixShape(tensor.shape);
    if (rows == 0 || cols == 0)
        return badInput("the tensor has no elements; choose another layer");

    ErrorCurves result;
    QL_TRY(contenders, makeContenders(groupSize, result.curves));
    QL_TRY(statistics, computeStatistics(tensor, context));
    const double largest = statistics.finite() > 0 ? statistics.absmax : 0;
    const float absMax = static_cast<float>(std::min(largest, static_cast<double>(std::numeric_limits<float>::max())));
    std::vector<Measurer> measurers;
    for (const Contender& contender : contenders)
        measurers.push_back(
            {ScaleRule(contender.scheme, RangeRule::standard, tensor.dtype, tensorScaleFor(contender.scheme, absMax)),
             ElementCoder(contender.scheme)});
    const std::array<std::int64_t, kCuts> lengths = {groupSize > 0 ? groupSize : cols, 32, 16, cols};

    const std::int64_t width = cols;
    Sums identity;
    identity.errors.resize(contenders.size());
    context.progress().addTotal(rows * cols);
    QL_TRY(sums, deterministicReduce(
                     context, rows, std::max<std::int64_t>(1, kChunk / cols), identity,
                     [&](std::int64_t begin, std::int64_t end) {
                         FloatArray weights(static_cast<std::size_t>((end - begin) * width));
                         Sums part = identity;
                         const std::int64_t first = begin * width;
                         if (!forPieces(context, first, (end - begin) * width, [&](std::int64_t at, std::int64_t n) {
                                 decodeRange(tensor, at, n, weights.data() + (at - first));
                             }))
                             return part;
                         measureChunk(weights, width, lengths, contenders, measurers, context, part);
                         context.progress().addDone((end - begin) * width);
                         return part;
                     },
                     [](Sums& into, const Sums& next) { into.merge(next); }));

    for (std::size_t i = 0; i < contenders.size(); ++i) {
        const Scheme& scheme = contenders[i].scheme;
        ErrorStats stats;
        stats.sumSquaredError = sums.errors[i].value();
        stats.sumSquares = sums.squares.value();
        stats.count = sums.finite;
        CurvePoint point;
        point.scheme = printScheme(scheme);
        point.bitsPerWeight = static_cast<double>(payloadBits(scheme, rows, cols)) / static_cast<double>(rows * cols);
        point.elementBits = scheme.element->bits;
        point.sqnrDb = stats.sqnrDb();
        point.mse = stats.mse();
        std::vector<CurvePoint>& points = result.curves[contenders[i].family].points;
        if (points.empty() || points.back().elementBits != point.elementBits)
            points.push_back(std::move(point));
        else if (point.mse < points.back().mse)
            points.back() = std::move(point);
    }
    const auto crest = [&](Cut cut) {
        return sums.blocks[cut] > 0 ? sums.crests[cut].value() / static_cast<double>(sums.blocks[cut]) : 0;
    };
    result.crestFactor32 = crest(kBlocks32);
    result.crestFactor16 = crest(kBlocks16);
    result.crestFactorChannel = crest(kRows);
    return result;
}

} // namespace ql
