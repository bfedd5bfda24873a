// SPDX-License-Identifier: GPL-3.0-or-later
// The loop that quantizers of independent scales share: one run of weights per scale, the rule's parameters or the best
// of candidates for them, codes are nearest. Runs up to 65,536 weights are done while they are in cache; longer ones (a
// whole tensor) in chunks of that size. Equal bits for any thread count: chunks and their order are fixed.
#pragma once

#include "core/quantizers/quantizer.h"
#include "core/quantizers/scale_search.h"

namespace ql {

/// Elements between two stop tests, and the longest run that is handled whole.
constexpr std::int64_t kRunChunk = 65536;

Result<QuantizedTensor> quantizeUnits(const QuantizeTask& task, RangeRule rule, const Candidates& candidates,
                                      const JobContext& context);

/// An empty result with all its arrays allocated, or why it cannot be.
Result<QuantizedTensor> allocateQuantized(const QuantizeTask& task, const JobContext& context);

/// Range of all finite weights of a tensor.
Result<RunRange> rangeOfTensor(const TensorView& weights, const JobContext& context);

/// First element of run `unit` in the flattened matrix; runs follow each other without gaps.
std::int64_t runStart(const Scheme& scheme, const MatrixShape& matrix, std::int64_t unit);

} // namespace ql
