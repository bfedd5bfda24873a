// SPDX-License-Identifier: GPL-3.0-or-later
// Captured activations: a .npz or HDF5 file with an entry per layer (the layer's name), holding X[tokens, in] or
// XᵀX[in, in]. A square entry is taken as XᵀX if it is symmetric, otherwise as X. Names that no layer has, and wrong
// widths, are errors that name the entry and the mend. Or llama.cpp's importance matrix (imatrix.h).
#pragma once

#include "core/base/result.h"
#include "core/calibration/layer_fisher.h"
#include "core/model/model.h"

#include <algorithm>
#include <optional>

namespace ql {

/// What is known of the inputs of one layer. All vectors have length in; all are empty where no token was seen, as by
/// an expert that the router never chose.
struct ActivationStatistics {
    std::int64_t in = 0;
    std::int64_t tokens = 0;     // 0 also where only XᵀX was given
    std::vector<double> gram;    // XᵀX [in, in], row-major, symmetric; empty where it is not known
    std::vector<float> lossGram; // Σ_t c_t·x_t·x_tᵀ [in, in] as layer_loss_gram.h has it; empty where it is not known
    std::vector<float> outputGram;              // S [out, out] of the outputs' gradients, likewise
    std::vector<double> channelMin, channelMax; // per input channel, from X; empty where only XᵀX was given
    std::vector<double> channelRms;             // √(diag(XᵀX)/tokens), tokens = 1 if unknown
    std::vector<std::int64_t>
        histogram; // counts of X over [histogramMin, histogramMax], equal bins; empty where only XᵀX was given
    double histogramMin = 0, histogramMax = 0;
    /// Where equal ranges of the layer's rows see inputs of their own, as the experts of a stack and the groups of a
    /// convolution do: those of each range. All that is above is of all of them together then, without gram.
    std::vector<ActivationStatistics> parts;

    bool isEmpty() const { return channelRms.empty() && gram.empty(); }
    /// Whether XᵀX is known, of all rows or of some range of them.
    bool knowsGram() const { return !gram.empty() || std::ranges::any_of(parts, &ActivationStatistics::knowsGram); }
};

/// Opened activations; entries are read and reduced when asked for, one at a time. Thread-safe.
class Activations {
public:
    virtual ~Activations() = default;
    virtual const std::filesystem::path& path() const = 0;
    /// Layers (indices into model.layers) that have an entry.
    virtual std::span<const std::int64_t> layers() const = 0;
    virtual const std::string& fingerprint() const = 0;
    /// Whether of XᵀX only the diagonal is known, of every layer: no gram, only channelRms.
    virtual bool isDiagonal() const { return false; }
    /// Statistics of a layer, or null if the file has none for it. Cached.
    virtual Result<std::shared_ptr<const ActivationStatistics>> statistics(std::int64_t layer,
                                                                           const JobContext& context) const = 0;
    /// How many tokens each range of the layer's rows saw (ActivationStatistics::parts; one number for a layer
    /// without); empty where that is not known without reading them.
    virtual std::vector<std::int64_t> seenTokens(std::int64_t) const { return {}; }
    /// Layers whose Fisher diagonal is known: none of captured activations.
    virtual std::span<const std::int64_t> fisherLayers() const { return {}; }
    /// Windows of text behind the Fisher diagonals; 0 if there are none.
    virtual std::int64_t fisherWindows() const { return 0; }
    /// Whether the loss-weighted XᵀX of some layer is known, too.
    virtual bool knowsLossGrams() const { return false; }
    /// Whether ActivationStatistics::outputGram of the layer is known.
    virtual bool knowsOutputGram(std::int64_t) const { return false; }
    /// Null if the layer has none.
    virtual Result<std::shared_ptr<const FisherDiagonal>> fisher(std::int64_t layer, const JobContext& context) const;
};

Result<std::shared_ptr<const Activations>> openActivations(const std::filesystem::path& path, const Model& model,
                                                           const JobContext& context);

} // namespace ql
