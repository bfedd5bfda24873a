// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/calibration/channel_means.h"

namespace ql {

Result<std::vector<double>> channelMeansOf(const Activations& activations, std::int64_t layer,
                                           const JobContext& context)
{
    const auto* knows = dynamic_cast<const KnowsChannelMeans*>(&activations);
    return knows ? knows->channelMeans(layer, context) : Result<std::vector<double>>(std::vector<double>());
}

} // namespace ql
