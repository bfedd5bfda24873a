// SPDX-License-Identifier: GPL-3.0-or-later
// Means of the input channels of layers, of activations that know them: calibrated ones, which keep sums, and captured
// X. Importance matrices, XᵀX alone and transformed models' activations do not.
#pragma once

#include "core/calibration/activations.h"

namespace ql {

class KnowsChannelMeans {
public:
    virtual ~KnowsChannelMeans() = default;
    virtual Result<std::vector<double>> channelMeans(std::int64_t layer, const JobContext& context) const = 0;
};

/// E[x] of each channel of the layer's input over all tokens seen: [in]; where ranges of its rows see inputs of their
/// own, of one range after the other, 0 for those that saw none. Empty where it is not known. Sums in double.
Result<std::vector<double>> channelMeansOf(const Activations& activations, std::int64_t layer,
                                           const JobContext& context);

} // namespace ql
