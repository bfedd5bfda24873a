// SPDX-License-Identifier: GPL-3.0-or-later
// Which weights a scheme with +sparse<percent> keeps: those whose absence helps the codes of the others most. Of each
// run of weights that share a scale (or a block) the k largest |w| are taken out, k = 0, 1, 2, …, and all the rest is
// rounded to nearest; by how much Σ d·(w − ŵ)² of the run falls, d the mean x² of the input column where it is known,
// else 1, is what k weights gain. The runs share the places by falling gain per weight, along the upper hull of each
// run's gains: the best sharing for these errors. One scale for the whole tensor: its largest |w|.
// SpQR (Dettmers et al., ICLR 2024, section 4.2) likewise measures the error of a group without one of its weights.
#pragma once

#include "core/quantizers/quantizer.h"

namespace ql {

struct SparsePositions {
    std::vector<std::uint32_t> rowStarts; // [rows + 1]
    std::vector<std::uint32_t> columns;   // ascending within a row
};

/// Of the task's weights; the scheme is that of the codes. `count` is at most half the number of weights. Equal bits
/// for any thread count.
Result<SparsePositions> chooseSparse(const QuantizeTask& task, std::int64_t count, const JobContext& context);

} // namespace ql
