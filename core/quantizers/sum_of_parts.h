// SPDX-License-Identifier: GPL-3.0-or-later
// Fills schemes with additions (core/formats/additions.h), part by part:
//   1. kept columns and sparse weights are chosen (kept_columns.h, sparse_choice.h) and, rounded to float16, taken out
//      of W;
//   2. the quantizer fills the scheme of the codes with what is left. One that knows XᵀX sees kept columns as without
//      error and changes nothing else for them;
//   3. kept columns make up for what the codes restore to there (0 where the format has it);
//   4. low-rank factors of W minus all that (low_rank.h);
//   5. sparse weights make up for what all the rest restores to at their places, unless the quantizer spread errors
//   over
//      columns, which counted on the codes there.
// Equal bits for any thread count where the quantizer has them; low-rank factors: on one CPU.
#pragma once

#include "core/quantizers/quantizer.h"

namespace ql {

/// Of a task whose scheme has additions. The report is of the codes; where the quantizer has none of its own and there
/// are factors, of them: Σ s²·(w − ŵ)² without and with them.
Result<QuantizedTensor> quantizeSum(const QuantizeTask& task, const JobContext& context);

} // namespace ql
