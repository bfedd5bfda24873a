// SPDX-License-Identifier: GPL-3.0-or-later
// Encoders of images: ViT. The image is cut into patches by a convolution, a class token stands before them. Source:
// transformers, models/vit/modeling_vit.py; Dosovitskiy et al. 2021.
#include "core/model/frontends/frontend.h"

#include <array>

namespace ql {

namespace {

using graph::ValueId;
using Integers = std::vector<std::int64_t>;

constexpr std::array kTypes{ModelType{"vit", R"({"layer_norm_eps": 1e-12})"}};

/// From pixels [batch, channels, height, width] to [batch, 1 + patches, width].
ValueId embeddings(ModelBuilder& builder, ValueId pixels)
{
    const std::int64_t layer = builder.layer("patch_embedding");
    const Shape shape = layer < 0 ? Shape() : builder.model().layers[static_cast<std::size_t>(layer)].shape;
    if (shape.size() != 4)
        builder.refuse("has no convolution that makes patches");
    const ValueId patches =
        builder.node("conv", "patch_embedding",
                     {pixels, builder.weights("patch_embedding"), builder.weightsIfAny("patch_embedding_bias")},
                     {{"strides", shape.size() == 4 ? Integers{shape[2], shape[3]} : Integers()}});
    const ValueId rows = builder.node("reshape", "patch_rows", {patches}, {{"shape", Integers{0, 0, -1}}});
    const ValueId tokens = builder.node("transpose", "patches", {rows}, {{"axes", Integers{0, 2, 1}}});
    // One class token per image: zeros of that shape, and the token on top of them.
    const ValueId one = builder.node("slice", "one_patch", {tokens},
                                     {{"axes", Integers{1}}, {"starts", Integers{0}}, {"ends", Integers{1}}});
    const ValueId token = builder.add("class_token", builder.node("scale", "zeros", {one}, {{"factor", 0.0}}),
                                      builder.weights("cls_token"));
    const ValueId all = builder.node("concat", "tokens", {token, tokens}, {{"axis", std::int64_t{1}}});
    return builder.add("embeddings", all, builder.weights("position_embedding"));
}

Outputs build(ModelBuilder& builder)
{
    const std::int64_t blocks = builder.count("num_hidden_layers");
    AttentionParts parts;
    parts.heads = parts.kvHeads = builder.count("num_attention_heads");
    parts.headSize = builder.count("hidden_size") / parts.heads;
    const std::string function = builder.activation("hidden_act", "gelu");

    const ValueId pixels = builder.input("pixels");
    builder.segment("embedding");
    ValueId x = embeddings(builder, pixels);
    for (std::int64_t block = 0; block < blocks && builder.block(block); ++block) {
        x = builder.add("attention_residual", x, builder.attention(builder.layerNorm("input_norm", x), parts));
        x = builder.add("mlp_residual", x, builder.mlp(builder.layerNorm("pre_mlp_norm", x), function));
    }
    builder.segment("head");
    x = builder.layerNorm("final_norm", x);
    const ValueId first = builder.firstToken(x);
    Outputs outputs;
    if (builder.has("classifier"))
        outputs.emplace_back("logits", builder.linear("classifier", first));
    outputs.emplace_back("hidden", x);
    if (builder.has("pooler"))
        outputs.emplace_back("pooled", builder.activate("pooled", builder.activation("pooler_act", "tanh"),
                                                        builder.linear("pooler", first)));
    return outputs;
}

} // namespace

namespace frontends {
extern const Frontend vit;
const Frontend vit{.id = "vit", .title = "ViT", .source = "transformers, models/vit", .types = kTypes, .build = build};
} // namespace frontends

} // namespace ql
