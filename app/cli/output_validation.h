// SPDX-License-Identifier: GPL-3.0-or-later
// Validation of models that continue no text: encoders on text, and any model on arrays of inputs.
#pragma once

#include "app/cli/text_options.h"
#include "core/model/evaluation/outputs.h"

#include <nlohmann/json_fwd.hpp>

namespace ql::cli {

struct OutputSource {
    const TextOptions& text;
    std::string inputs; // .npz with arrays named as the graph's inputs, [cases, …], and optionally "labels" [cases]
    std::string images; // a folder of pictures
    std::string labels; // CSV of their labels; empty: by subfolder
};

/// What evaluateOutputs says, as a document.
Result<nlohmann::ordered_json> validateOutputs(Console& console, const Model& model, const graph::Graph& graph,
                                               const OutputSource& source, const ModelVersion& own,
                                               const ModelVersion* other);

} // namespace ql::cli
