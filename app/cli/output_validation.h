// SPDX-License-Identifier: GPL-3.0-or-later
// Validation of models that continue no text: encoders on text, and any model on arrays of inputs.
#pragma once

#include "app/cli/case_options.h"
#include "app/cli/text_options.h"

#include <nlohmann/json_fwd.hpp>

namespace ql::cli {

/// What evaluateOutputs says of the arrays or pictures, or else of the text, as a document.
Result<nlohmann::ordered_json> validateOutputs(Console& console, const Model& model, const graph::Graph& graph,
                                               const TextOptions& text, const CaseOptions& arrays,
                                               const ModelVersion& own, const ModelVersion* other);

} // namespace ql::cli
