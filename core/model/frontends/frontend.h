// SPDX-License-Identifier: GPL-3.0-or-later
// Front ends: from a model's layers and its config.json or GGUF keys to the graph that runs. Layers are found by role
// and block, so one front end serves a family under every naming convention. One line in frontends.def and one file add
// one.
#pragma once

#include "core/model/graph/graph.h"
#include "core/model/model.h"

namespace ql {

struct Frontend {
    std::string_view id;    // "decoder"
    std::string_view title; // "Llama family"
    std::string_view source;
    /// config.json's model_type and GGUF's general.architecture of the models it builds.
    std::span<const std::string_view> types;
    Result<graph::Graph> (*build)(const Model& model);
};
std::span<const Frontend* const> allFrontends();

/// The graph of a model: input "tokens" [batch, tokens] and output "logits" [batch, tokens, vocabulary] for language
/// models; an error that names what is missing where no front end knows the model.
Result<graph::Graph> buildGraph(const Model& model);

} // namespace ql
