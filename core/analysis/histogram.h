// SPDX-License-Identifier: GPL-3.0-or-later
// Histogram with equal bins over [min, max]. The lower edge of bin k is min + k·width with width = (max − min)/bins, in
// double arithmetic, every operation rounded; a value x with min ≤ x ≤ max belongs to the last bin whose lower edge is
// ≤ x, so max itself to the last bin. (Where max − min overflows, the same with halves of all.) Values outside and
// non-finite ones are counted apart. Equal bits for any thread count and CPU.
#pragma once

#include "core/base/result.h"
#include "core/formats/quantized_tensor.h"
#include "core/jobs/job_context.h"
#include "core/tensor/tensor_view.h"

namespace ql {

struct Histogram {
    double min = 0, max = 0;
    std::vector<std::int64_t> counts;
    std::int64_t below = 0, above = 0, nonFinite = 0;
    double binWidth() const { return counts.empty() ? 0 : (max - min) / static_cast<double>(counts.size()); }
    std::int64_t total() const; // in bins
    /// Sums neighbouring bins to about `bins` of them: to the divisor of the number of bins nearest in ratio.
    Histogram rebinned(std::size_t bins) const;
};

constexpr std::size_t kBaseBins = 4096;
constexpr std::size_t kMaxBins = std::size_t{1} << 24U;

/// Over the given range, or over [min, max] of the finite values if min > max. As in NumPy, a range of one value is
/// widened by 0.5 to both sides (by 2⁻¹⁰ of large values), and without finite values the range is [0, 1]. Errors: bins
/// not in 1…kMaxBins or a range that is not finite (usage), a type that cannot be decoded (badInput).
Result<Histogram> computeHistogram(const TensorView& tensor, const JobContext& context, std::size_t bins = kBaseBins,
                                   double min = 1, double max = 0);
/// The same of what a quantized tensor restores to. Not for keep.
Result<Histogram> computeHistogram(const QuantizedTensor& tensor, const JobContext& context, std::size_t bins,
                                   double min, double max);

} // namespace ql
