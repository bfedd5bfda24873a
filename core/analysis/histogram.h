// SPDX-License-Identifier: GPL-3.0-or-later
// Histogram with equal bins over [min, max]: bin k counts min + k·width ≤ x < min + (k+1)·width, the last bin includes
// max. Values outside and non-finite ones are counted apart. Equal bits for any thread count and CPU.
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
    /// Sums neighbouring bins to about `bins` of them (a divisor of the number of bins).
    Histogram rebinned(std::size_t bins) const;
};

constexpr std::size_t kBaseBins = 4096;

/// Over the given range, or over [min, max] of the finite values if min > max.
Result<Histogram> computeHistogram(const TensorView& tensor, const JobContext& context, std::size_t bins = kBaseBins,
                                   double min = 1, double max = 0);
/// The same of what a quantized tensor restores to.
Result<Histogram> computeHistogram(const QuantizedTensor& tensor, const JobContext& context, std::size_t bins,
                                   double min, double max);

} // namespace ql
