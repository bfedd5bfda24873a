// SPDX-License-Identifier: GPL-3.0-or-later
// Encoders of text: BERT (and MiniLM), RoBERTa. Norms follow attention and MLP. Sources: transformers,
// models/{bert,roberta}/modeling_*.py; llama.cpp, src/llama-model.cpp.
#include "core/model/frontends/frontend.h"

#include <array>

namespace ql {

namespace {

using graph::kLeftOut;
using graph::ValueId;

constexpr std::array kTypes{ModelType{"bert", R"({"layer_norm_eps": 1e-12})"},
                            ModelType{"roberta", R"({"layer_norm_eps": 1e-12, "pad_token_id": 1})"}};

ValueId embeddings(ModelBuilder& builder, ValueId tokens)
{
    const ModelConfig& config = builder.config();
    // RoBERTa counts from behind its padding id. Padding inside a sequence, which would shift it, does not occur.
    const auto offset =
        config.type() == "roberta" ? static_cast<std::int64_t>(config.number("pad_token_id", 1)) + 1 : 0;
    const ValueId positions = builder.node("positions", "positions", {tokens}, {{"offset", offset}});
    ValueId x = builder.embedding("embedding", tokens);
    if (builder.has("token_type_embedding"))
        x = builder.add("typed", x, builder.embedding("token_type_embedding", builder.input("token_types", 0)));
    x = builder.add("embeddings", x, builder.embedding("position_embedding", positions));
    return builder.layerNorm("embedding_norm", x);
}

Outputs build(ModelBuilder& builder)
{
    const ModelConfig& config = builder.config();
    const std::int64_t blocks = builder.count("num_hidden_layers");
    AttentionParts parts;
    parts.heads = parts.kvHeads = builder.count("num_attention_heads");
    parts.headSize = builder.count("hidden_size") / parts.heads;
    const std::string function = builder.activation("hidden_act", "gelu");
    if (const auto kind = config.text("position_embedding_type").value_or("absolute"); kind != "absolute")
        builder.refuse("has positions of type '" + kind + "', which is not known");
    for (const char* decoder : {"is_decoder", "add_cross_attention", "attention.causal"})
        if (config.flag(decoder, false))
            builder.refuse(std::string("is a decoder (") + decoder + ")");

    const ValueId tokens = builder.input("tokens");
    parts.mask = builder.input("attention_mask", 1);
    builder.segment("embedding");
    ValueId x = embeddings(builder, tokens);
    for (std::int64_t block = 0; block < blocks && builder.block(block); ++block) {
        x = builder.layerNorm("post_attention_norm", builder.add("attention_residual", x, builder.attention(x, parts)));
        x = builder.layerNorm("post_mlp_norm", builder.add("mlp_residual", x, builder.mlp(x, function)));
    }
    builder.segment("head");
    Outputs outputs;
    if (builder.has("head_transform")) { // of masked language models
        const ValueId made = builder.activate("head_activation", function, builder.linear("head_transform", x));
        if (const ValueId logits = builder.head(builder.layerNorm("head_norm", made)); logits != kLeftOut)
            outputs.emplace_back("logits", logits);
    }
    outputs.emplace_back("hidden", x);
    if (builder.has("pooler"))
        outputs.emplace_back("pooled",
                             builder.activate("pooled", "tanh", builder.linear("pooler", builder.firstToken(x))));
    return outputs;
}

} // namespace

namespace frontends {
extern const Frontend bert;
const Frontend bert{.id = "bert",
                    .title = "BERT, MiniLM, RoBERTa",
                    .source = "transformers, models/{bert,roberta}; llama.cpp, llama-model.cpp",
                    .types = kTypes,
                    .build = build};
} // namespace frontends

} // namespace ql
