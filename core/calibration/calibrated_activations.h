// SPDX-License-Identifier: GPL-3.0-or-later
// What a calibration left in a sink, as activations: metrics, quantizers and panels take them like captured ones.
#pragma once

#include "core/calibration/calibrate.h"

namespace ql {

/// Statistics are decoded when asked for; a Gram matrix that was kept in part only gives ranges and histograms. Null if
/// the sink holds none for this model. `path` names where it is.
std::shared_ptr<const Activations> calibratedActivations(std::shared_ptr<const ResultSink> sink, const Model& model,
                                                         const std::filesystem::path& path);

/// As the rest of the engine takes statistics; XᵀX only if it is full.
ActivationStatistics activationStatistics(const SiteStatistics& site);

} // namespace ql
