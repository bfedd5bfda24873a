// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/analysis/histogram.h"

#include "core/analysis/decode_range.h"
#include "core/analysis/histogram_kernels.h"
#include "core/analysis/statistics.h"
#include "core/jobs/parallel.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <numeric>

namespace ql {

namespace {

constexpr std::int64_t kGrain = std::int64_t{1} << 20U;
constexpr std::int64_t kBlock = 4096; // decoded at a time, stays in the first cache

/// Counts of all chunks; integers, so the order of additions does not matter.
class SharedCounts {
public:
    explicit SharedCounts(const BinRule& rule) : m_rule(rule), m_counts(static_cast<std::size_t>(rule.slots())) {}

    void add(const std::vector<std::uint32_t>& counters)
    {
        const std::size_t slots = m_counts.size();
        for (std::size_t i = 0; i < slots; ++i)
            if (const std::uint32_t sum = counters[i] + counters[slots + i]; sum != 0)
                m_counts[i].fetch_add(sum, std::memory_order_relaxed);
    }
    Histogram result() const
    {
        Histogram histogram;
        histogram.min = m_rule.min;
        histogram.max = m_rule.max;
        const auto bins = static_cast<std::size_t>(m_rule.bins);
        histogram.counts.assign(m_counts.begin(), m_counts.begin() + m_rule.bins);
        histogram.below = m_counts[bins];
        histogram.above = m_counts[bins + 1];
        histogram.nonFinite = m_counts[bins + 2];
        return histogram;
    }

private:
    BinRule m_rule;
    std::vector<std::atomic<std::int64_t>> m_counts;
};

Result<void> checkRequest(std::size_t bins, double min, double max)
{
    if (bins < 1 || bins > kMaxBins)
        return usageError("a histogram has 1 to 16777216 bins; choose another number");
    if (!std::isfinite(min) || !std::isfinite(max))
        return usageError("the range of a histogram must be finite; give two numbers");
    return {};
}

BinRule makeRule(double min, double max, std::size_t bins)
{
    if (min == max) {
        const double half = std::max(0.5, std::fabs(min) * 0x1p-10);
        min = std::max(min - half, std::numeric_limits<double>::lowest());
        max = std::min(max + half, std::numeric_limits<double>::max());
    }
    return {min, max, static_cast<std::int32_t>(bins)};
}

template<typename T>
void countDecoded(const BinRule& rule, const TensorView& tensor, std::int64_t begin, std::int64_t end,
                  std::uint32_t* counters)
{
    std::array<T, kBlock> block;
    for (std::int64_t first = begin; first < end; first += kBlock) {
        const std::int64_t count = std::min(kBlock, end - first);
        decodeRange(tensor, first, count, block.data());
        countBins(rule, block.data(), count, counters);
    }
}

} // namespace

std::int64_t Histogram::total() const
{
    return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
}

Histogram Histogram::rebinned(std::size_t bins) const
{
    const std::size_t n = counts.size();
    if (n == 0)
        return *this;
    std::size_t best = n;
    const auto distance = [&](std::size_t divisor) {
        return std::fabs(std::log(static_cast<double>(divisor) / static_cast<double>(std::max<std::size_t>(bins, 1))));
    };
    for (std::size_t divisor = n; divisor >= 1; --divisor)
        if (n % divisor == 0 && distance(divisor) < distance(best))
            best = divisor;
    Histogram result = *this;
    const std::size_t merged = n / best;
    result.counts.assign(best, 0);
    for (std::size_t i = 0; i < n; ++i)
        result.counts[i / merged] += counts[i];
    return result;
}

Result<Histogram> computeHistogram(const TensorView& tensor, const JobContext& context, std::size_t bins, double min,
                                   double max)
{
    QL_CHECK(checkRequest(bins, min, max));
    if (!isDecodable(tensor.dtype))
        return badInput("a histogram of " + std::string(info(tensor.dtype).word) +
                        " tensors is not available; convert the tensor to a real number type");
    if (min > max) {
        QL_TRY(statistics, computeStatistics(tensor, context));
        min = statistics.finite() > 0 ? statistics.min : 0;
        max = statistics.finite() > 0 ? statistics.max : 1;
    }
    const BinRule rule = makeRule(min, max, bins);
    SharedCounts counts(rule);
    const std::int64_t n = tensor.numel();
    context.progress().addTotal(n);
    QL_CHECK(parallelFor(context, n, kGrain, [&](std::int64_t begin, std::int64_t end) {
        std::vector<std::uint32_t> counters(2 * static_cast<std::size_t>(rule.slots()));
        if (needsDouble(tensor.dtype))
            countDecoded<double>(rule, tensor, begin, end, counters.data());
        else
            countDecoded<float>(rule, tensor, begin, end, counters.data());
        counts.add(counters);
        context.progress().addDone(end - begin);
    }));
    return counts.result();
}

Result<Histogram> computeHistogram(const QuantizedTensor& tensor, const JobContext& context, std::size_t bins,
                                   double min, double max)
{
    QL_CHECK(checkRequest(bins, min, max));
    if (tensor.scheme.isKeep())
        return usageError("a layer that is kept has no quantized values; take the histogram of its weights");
    const auto [rows, cols] = tensor.matrix();
    const std::int64_t grain = std::max<std::int64_t>(1, kGrain / 4 / std::max<std::int64_t>(cols, 1));
    if (min > max) {
        struct Range {
            double min = std::numeric_limits<double>::infinity();
            double max = -std::numeric_limits<double>::infinity();
        };
        QL_TRY(range, deterministicReduce(
                          context, rows, grain, Range{},
                          [&](std::int64_t begin, std::int64_t end) {
                              std::vector<float> values(static_cast<std::size_t>((end - begin) * cols));
                              tensor.restoreRows(begin, end, values.data());
                              Range part;
                              for (const float x : values) {
                                  if (!std::isfinite(x))
                                      continue;
                                  part.min = std::min(part.min, static_cast<double>(x));
                                  part.max = std::max(part.max, static_cast<double>(x));
                              }
                              return part;
                          },
                          [](Range& into, const Range& next) {
                              into.min = std::min(into.min, next.min);
                              into.max = std::max(into.max, next.max);
                          }));
        min = range.min <= range.max ? range.min : 0;
        max = range.min <= range.max ? range.max : 1;
    }
    const BinRule rule = makeRule(min, max, bins);
    SharedCounts counts(rule);
    context.progress().addTotal(rows * cols);
    QL_CHECK(parallelFor(context, rows, grain, [&](std::int64_t begin, std::int64_t end) {
        std::vector<float> values(static_cast<std::size_t>((end - begin) * cols));
        tensor.restoreRows(begin, end, values.data());
        std::vector<std::uint32_t> counters(2 * static_cast<std::size_t>(rule.slots()));
        countBins(rule, values.data(), (end - begin) * cols, counters.data());
        counts.add(counters);
        context.progress().addDone((end - begin) * cols);
    }));
    return counts.result();
}

} // namespace ql
