// SPDX-License-Identifier: GPL-3.0-or-later
// How much a layer's output changes when its weights are quantized behind a factor per input channel: the objective of
// methods that choose factors by trying.
#pragma once

#include "core/calibration/activations.h"
#include "core/formats/scheme.h"
#include "core/transforms/fold_sites.h"

namespace ql {

/// Of W[rows, cols] in float32, quantized by rtn as W·diag(s): with ΔW = Q(W·s)/s − W
///   tr(ΔW·G·ΔWᵀ), G = XᵀX of the input, or, where only the diagonal is known, Σ tokens·rms_j²·ΔW_j².
Result<double> scaledError(const TensorView& weights, const Scheme& scheme, const std::vector<double>& s,
                           const ActivationStatistics& input, const JobContext& context);

/// The rows of a site's readers that the objective looks at, float32: all of them up to kRows of each reader, then
/// evenly spaced ones, each of which stands for as many as it leaves out.
class SampledReaders {
public:
    static constexpr std::int64_t kRows = 256;
    static Result<SampledReaders> of(const Model& model, const FoldSite& site, const JobContext& context);
    /// Σ over readers of scaledError; s per column.
    Result<double> error(const Scheme& scheme, const std::vector<double>& s, const ActivationStatistics& input,
                         const JobContext& context) const;

private:
    struct Reader {
        std::vector<float> rows;
        std::int64_t count = 0;
        double weight = 1; // rows of the layer for each of these
    };
    std::vector<Reader> m_readers;
    std::int64_t m_cols = 0;
};

} // namespace ql
