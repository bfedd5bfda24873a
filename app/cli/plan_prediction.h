// SPDX-License-Identifier: GPL-3.0-or-later
// What plans were predicted and measured at: read from studies, and shown.
#pragma once

#include "app/cli/console.h"
#include "core/plan/prediction_records.h"

namespace ql::cli {

/// The records of the studies at these paths (what is no study is passed over), the later ones last.
std::vector<PredictionRecord> predictionsIn(std::span<const std::string> paths);

/// A prediction of KLD as it is shown: value, interval, how many plans it rests on, whether it is trusted and, if it is
/// not, what is suspected.
nlohmann::ordered_json predictionJson(const Prediction& prediction, std::span<const PredictionRecord> records,
                                      const PredictedQuantity& of);

} // namespace ql::cli
