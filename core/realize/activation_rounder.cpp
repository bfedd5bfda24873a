// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/activation_rounder.h"

#include "core/formats/stored_f16.h"
#include "core/jobs/parallel.h"
#include "core/model/graph/operator.h"
#include "core/quantizers/ggml_rule.h"
#include "core/quantizers/scale_rule.h"

#include <algorithm>
#include <array>

namespace ql {

namespace {

using graph::rowGrain;

/// Elements of a row that share a scale, where rows do not differ.
std::int64_t runLength(const ActivationScheme& scheme, std::int64_t in)
{
    if (scheme.byColumn)
        return 1;
    return scheme.scheme.granularity == Granularity::group ? scheme.scheme.groupSize : in;
}

std::vector<Affine> affinesOf(const Scheme& scheme, std::span<const RunRange> ranges)
{
    RunRange all;
    for (const RunRange& range : ranges)
        all.merge(range);
    const ScaleRule rule(scheme, RangeRule::standard, Dtype::f32, tensorScaleFor(scheme, all.absMax));
    std::vector<Affine> affines;
    for (const RunRange& range : ranges)
        affines.push_back(rule.affine(rule.choose(range)));
    return affines;
}

/// Rows of X, each cut into runs with the given parameters.
Result<void> roundRuns(const ActivationScheme& scheme, std::span<const Affine> affines, float* x, std::int64_t rows,
                       std::int64_t in, const JobContext& context)
{
    const ElementCoder coder(scheme.scheme);
    const std::int64_t length = runLength(scheme, in);
    return parallelFor(context, rows, rowGrain(in), [&](std::int64_t begin, std::int64_t end) {
        std::vector<std::uint8_t> codes(static_cast<std::size_t>(std::min(length, in)));
        for (std::int64_t row = begin; row < end; ++row)
            for (std::int64_t at = 0; at < in; at += length) {
                const Affine& affine = affines[static_cast<std::size_t>(at / length)];
                const std::int64_t n = std::min(length, in - at);
                encodeRun(coder, affine, x + row * in + at, n, codes.data());
                decodeRun(coder, affine, codes.data(), n, x + row * in + at);
            }
    });
}

/// The range of every column.
Result<std::vector<RunRange>> columnRanges(const float* x, std::int64_t rows, std::int64_t in,
                                           const JobContext& context)
{
    std::vector<RunRange> ranges(static_cast<std::size_t>(in));
    QL_CHECK(parallelFor(context, in, rowGrain(rows), [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t row = 0; row < rows; ++row)
            for (std::int64_t c = begin; c < end; ++c)
                ranges[static_cast<std::size_t>(c)].merge(rangeOfRun(x + row * in + c, 1));
    }));
    return ranges;
}

/// As weights W[rows, in] are quantized and restored.
Result<void> roundLikeWeights(const Scheme& scheme, float* x, std::int64_t rows, std::int64_t in,
                              const JobContext& context)
{
    const QuantizeTask task{
        .weights = {.dtype = Dtype::f32, .shape = {rows, in}, .data = reinterpret_cast<const std::byte*>(x)},
        .scheme = scheme,
        .spec = {.id = "rtn", .option = isGgufScheme(scheme) ? "ggml" : "", .values = {}}};
    QL_TRY(quantized, quantize(task, context));
    return parallelFor(context, rows, rowGrain(in), [&](std::int64_t begin, std::int64_t end) {
        quantized.restoreRows(begin, end, x + begin * in);
    });
}

} // namespace

ActivationRounder::ActivationRounder(ActivationScheme scheme, std::span<const double> channelMin,
                                     std::span<const double> channelMax)
    : m_scheme(std::move(scheme))
{
    const auto length = static_cast<std::size_t>(runLength(m_scheme, std::ssize(channelMin)));
    std::vector<RunRange> ranges((channelMin.size() + length - 1) / length);
    for (std::size_t c = 0; c < channelMin.size(); ++c) {
        const std::array ends{static_cast<float>(channelMin[c]), static_cast<float>(channelMax[c])};
        ranges[c / length].merge(rangeOfRun(ends.data(), 2));
    }
    m_static = affinesOf(m_scheme.scheme, ranges);
}

Result<void> ActivationRounder::round(graph::Array<float>& x, bool keepFirst, const JobContext& context) const
{
    const std::int64_t in = x.width();
    const bool hasSequences = x.shape().size() == 3;
    const std::int64_t sequences = hasSequences ? x.shape().front() : 1;
    const std::int64_t tokens = sequences > 0 ? x.rows() / sequences : 0;
    const std::int64_t first = keepFirst && hasSequences ? 1 : 0;
    if (x.numel() == 0 || tokens <= first)
        return {};
    float* data = x.write();
    for (std::int64_t s = 0; s < sequences; ++s) {
        QL_CHECK(roundRows(data + (s * tokens + first) * in, tokens - first, in, context));
    }
    return {};
}

Result<void> ActivationRounder::roundRows(float* x, std::int64_t rows, std::int64_t in, const JobContext& context) const
{
    const std::size_t slots = m_kept.size();
    std::vector<float> kept(slots * static_cast<std::size_t>(rows));
    for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row)
        for (std::size_t slot = 0; slot < slots; ++slot) {
            float& value = x[row * static_cast<std::size_t>(in) + static_cast<std::size_t>(m_kept[slot])];
            kept[row * slots + slot] = toFloat16(value);
            value = 0;
        }
    if (m_scheme.isStatic) {
        QL_CHECK(roundRuns(m_scheme, m_static, x, rows, in, context));
    } else if (m_scheme.byColumn) {
        QL_TRY(ranges, columnRanges(x, rows, in, context));
        QL_CHECK(roundRuns(m_scheme, affinesOf(m_scheme.scheme, ranges), x, rows, in, context));
    } else {
        QL_CHECK(roundLikeWeights(m_scheme.scheme, x, rows, in, context));
    }
    for (std::size_t row = 0; row < static_cast<std::size_t>(rows); ++row)
        for (std::size_t slot = 0; slot < slots; ++slot)
            x[row * static_cast<std::size_t>(in) + static_cast<std::size_t>(m_kept[slot])] = kept[row * slots + slot];
    return {};
}

} // namespace ql
