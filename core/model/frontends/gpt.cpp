// SPDX-License-Identifier: GPL-3.0-or-later
// Decoders with a table of positions, LayerNorm and a plain MLP: GPT-2 and OPT. Sources: transformers,
// models/{gpt2,opt}/modeling_*.py; llama.cpp, src/llama-model.cpp.
#include "core/model/frontends/frontend.h"

#include <array>
#include <cmath>

namespace ql {

namespace {

using graph::kLeftOut;
using graph::ValueId;

constexpr std::array kTypes{ModelType{"gpt2", R"({"layer_norm_epsilon": 1e-5})"}, ModelType{"opt", "{}"}};

Outputs build(ModelBuilder& builder)
{
    const ModelConfig& config = builder.config();
    const bool isOpt = config.type() == "opt";
    const std::int64_t blocks = builder.count("num_hidden_layers");
    AttentionParts parts;
    parts.heads = parts.kvHeads = builder.count("num_attention_heads");
    parts.headSize = builder.count("hidden_size") / parts.heads;
    const double scale =
        config.flag("scale_attn_weights", true) ? 1 / std::sqrt(static_cast<double>(parts.headSize)) : 1;
    const bool scaledByBlock = config.flag("scale_attn_by_inverse_layer_idx", false);
    const std::string function = builder.activation("activation_function", isOpt ? "relu" : "gelu_new");
    const bool normsFirst = config.flag("do_layer_norm_before", true);
    if (config.flag("add_cross_attention", false))
        builder.refuse("attends to an encoder (add_cross_attention)");
    config.flag("reorder_and_upcast_attn", false); // the same in another order
    for (const char* size : {"n_positions", "n_ctx", "max_position_embeddings"})
        config.number(size); // the table of positions tells it

    const ValueId tokens = builder.input("tokens");
    builder.segment("embedding");
    ValueId x = builder.embedding("embedding", tokens);
    if (builder.has("project_in"))
        x = builder.linear("project_in", x);
    const ValueId positions =
        builder.node("positions", "positions", {tokens}, {{"offset", std::int64_t{isOpt ? 2 : 0}}});
    x = builder.add("embeddings", x, builder.embedding("position_embedding", positions));
    for (std::int64_t block = 0; block < blocks && builder.block(block); ++block) {
        parts.attributes = {{"causal", std::int64_t{1}},
                            {"scale", scaledByBlock ? scale / static_cast<double>(block + 1) : scale}};
        const auto norm = [&](std::string_view role, ValueId y, bool isHere) {
            return isHere ? builder.layerNorm(role, y) : y;
        };
        const ValueId attended = builder.attention(norm("input_norm", x, normsFirst), parts);
        x = norm("input_norm", builder.add("attention_residual", x, attended), !normsFirst);
        const ValueId made = builder.mlp(norm("pre_mlp_norm", x, normsFirst), function);
        x = norm("pre_mlp_norm", builder.add("mlp_residual", x, made), !normsFirst);
    }
    builder.segment("head", true);
    if (normsFirst && !config.flag("_remove_final_layer_norm", false))
        x = builder.layerNorm("final_norm", x);
    if (builder.has("project_out"))
        x = builder.linear("project_out", x);
    const ValueId logits = builder.head(x);
    return {logits == kLeftOut ? std::pair("hidden", x) : std::pair("logits", logits)};
}

} // namespace

namespace frontends {
extern const Frontend gpt;
const Frontend gpt{.id = "gpt",
                   .title = "GPT-2 and OPT",
                   .source = "transformers, models/{gpt2,opt}; llama.cpp, llama-model.cpp",
                   .types = kTypes,
                   .build = build};
} // namespace frontends

} // namespace ql
