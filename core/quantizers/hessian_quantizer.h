// SPDX-License-Identifier: GPL-3.0-or-later
// What quantizers that lower tr(ΔW·H·ΔWᵀ) share: rtn's codes to start from and to fall back on, ranges of rows that see
// inputs of their own (experts, groups of a convolution), the report.
#pragma once

#include "core/calibration/activations.h"
#include "core/quantizers/feedback_sweep.h"

#include <functional>

namespace ql {

/// H[in, in] of a range of rows.
struct Hessian {
    std::int64_t in = 0;
    std::span<const double> matrix;
    std::span<const float> outputs = {}; // S[rows, rows] of the range's outputs; empty where it is not known

    std::vector<double> diagonal() const;
};

/// Option "hessian": H of inputs is XᵀX; of the loss G (core/calibration/layer_loss_gram.h), in both cases scaled to
/// the trace of XᵀX, and of both the mean of the two. "both" takes XᵀX where G is not known.
QuantizerOption hessianOption();
/// Whether the spec of one of these quantizers asks for the G, or for the S of outputs ("rows=together"), that it
/// cannot do without.
bool needsLossGram(const Quantizer& quantizer, const QuantizerSpec& spec);
bool needsOutputGram(const Quantizer& quantizer, const QuantizerSpec& spec);
/// Option "damp": λ of H + λI, in means of the diagonal.
QuantizerOption dampOption();

/// Works on rows [begin, end) of `out`, which holds rtn's codes, and returns the objectives of both.
using RangeQuantizer = std::function<Result<SweepResult>(const QuantizeTask& task, const Hessian& hessian,
                                                         std::int64_t begin, std::int64_t end, QuantizedTensor& out)>;

/// rtn's codes stay where no input was seen, and everywhere if the objective did not fall. `which` is the word of the
/// option.
Result<QuantizedTensor> quantizeUnderHessian(const QuantizeTask& task, std::string_view which,
                                             const RangeQuantizer& quantizeRange, const JobContext& context);

QuantizedTensor copyOf(const QuantizedTensor& tensor);

/// Whether the scheme's codes are chosen one by one, of elements or of cells of a block; the error says what else there
/// is.
Result<void> codesOneByOne(std::string_view quantizer, const Scheme& scheme);
/// Of elements only.
Result<void> codesElements(std::string_view quantizer, const Scheme& scheme);

} // namespace ql
