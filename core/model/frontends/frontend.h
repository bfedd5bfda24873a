// SPDX-License-Identifier: GPL-3.0-or-later
// Front ends: from a model's layers and its config.json or GGUF keys to the graph that runs. Layers are found by role
// and block, so one front end serves a family under every naming convention. One line in frontends.def and one file add
// one.
#pragma once

#include "core/model/frontends/model_builder.h"

namespace ql {

struct ModelType {
    std::string_view id;       // config.json's model_type or GGUF's general.architecture
    std::string_view defaults; // what config.json may leave out, as a JSON object
};

/// Name and value: "logits" first where there is a head, then "hidden", "pooled".
using Outputs = std::vector<std::pair<std::string, graph::ValueId>>;

struct Frontend {
    std::string_view id;    // "decoder"
    std::string_view title; // "Llama family"
    std::string_view source;
    std::span<const ModelType> types;
    /// Puts the model together; errors go to the builder.
    Outputs (*build)(ModelBuilder& builder);
};
std::span<const Frontend* const> allFrontends();

/// The graph of a model. Inputs: "tokens" [batch, tokens] of language models; of encoders also "attention_mask" (0:
/// padding) and "token_types", both of that shape and optional; "pixels" [batch, channels, height, width] of images.
/// Outputs: "logits" [batch, tokens, vocabulary] or [batch, classes] where there is a head, "hidden" [batch, tokens,
/// width] for encoders and models without a head, "pooled" [batch, width]. Refused by name: model types no front end
/// knows, settings and layers it does not understand, weights already quantized beside scales.
Result<graph::Graph> buildGraph(const Model& model);

} // namespace ql
