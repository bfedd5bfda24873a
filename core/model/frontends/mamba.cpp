// SPDX-License-Identifier: GPL-3.0-or-later
// Mamba: blocks of a causal convolution and a selective scan between two projections. Sources: Gu and Dao 2023;
// transformers, models/mamba/modeling_mamba.py; llama.cpp, src/llama-model.cpp.
#include "core/model/frontends/frontend.h"

#include <array>

namespace ql {

namespace {

using graph::kLeftOut;
using graph::ValueId;

constexpr std::array kTypes{ModelType{"mamba", R"({"layer_norm_epsilon": 1e-5})"}};

/// A dimension of a layer in the block at hand; 0 if there is none.
std::int64_t sizeOf(ModelBuilder& builder, std::string_view role, bool last)
{
    const std::int64_t layer = builder.layer(role);
    if (layer < 0)
        return 0;
    const Shape& shape = builder.model().layers[static_cast<std::size_t>(layer)].shape;
    return shape.empty() ? 0 : last ? shape.back() : shape.front();
}

/// transformers stores ln(−A), GGUF files A itself.
ValueId decays(ModelBuilder& builder)
{
    if (builder.has("ssm_a"))
        return builder.weights("ssm_a");
    return builder.scale("ssm_a", builder.activate("ssm_a_exp", "exp", builder.weights("ssm_a_log")), -1);
}

ValueId mixer(ModelBuilder& builder, ValueId x, const std::string& function)
{
    const std::int64_t inner = sizeOf(builder, "ssm_out", true);
    const std::int64_t rank = sizeOf(builder, "ssm_dt", true);
    const std::int64_t states = sizeOf(builder, builder.has("ssm_a") ? "ssm_a" : "ssm_a_log", true);
    const ValueId both = builder.linear("ssm_in", x);
    const ValueId gate = builder.slice("ssm_gate", both, inner, 2 * inner);
    const ValueId mixed = builder.node("causal_conv", "ssm_conv1d",
                                       {builder.slice("ssm_inner", both, 0, inner), builder.weights("ssm_conv1d"),
                                        builder.weightsIfAny("ssm_conv1d_bias")});
    const ValueId u = builder.activate("ssm_u", function, mixed);
    const ValueId selected = builder.linear("ssm_x", u);
    const ValueId step = builder.linear("ssm_dt", builder.slice("ssm_dt_in", selected, 0, rank));
    const ValueId scanned =
        builder.node("selective_scan", "ssm_scan",
                     {u, builder.activate("ssm_delta", "softplus", step), decays(builder),
                      builder.slice("ssm_b", selected, rank, rank + states),
                      builder.slice("ssm_c", selected, rank + states, rank + 2 * states), builder.weights("ssm_d")});
    return builder.linear("ssm_out", builder.node("gated", "ssm_gated", {gate, scanned}, {{"function", function}}));
}

Outputs build(ModelBuilder& builder)
{
    const ModelConfig& config = builder.config();
    const std::int64_t blocks = builder.count("num_hidden_layers");
    const std::string function = builder.activation("hidden_act", "silu");
    const graph::Attributes norm{
        {"epsilon", config.isGguf() ? config.number("rms_norm_eps", 1e-5) : config.number("layer_norm_epsilon", 1e-5)}};
    for (const char* unused : {"attention.head_count", "conv_kernel"}) // none; the weights tell
        config.has(unused);

    const ValueId tokens = builder.input("tokens");
    builder.segment("embedding");
    ValueId x = builder.embedding("embedding", tokens);
    for (std::int64_t block = 0; block < blocks && builder.block(block); ++block) {
        x = builder.add("residual", x, mixer(builder, builder.rmsNorm("input_norm", x, norm), function));
    }
    builder.segment("head", true);
    x = builder.rmsNorm("final_norm", x, norm);
    const ValueId logits = builder.head(x);
    return {logits == kLeftOut ? std::pair("hidden", x) : std::pair("logits", logits)};
}

} // namespace

namespace frontends {
extern const Frontend mamba;
const Frontend mamba{.id = "mamba",
                     .title = "Mamba",
                     .source = "transformers, models/mamba; llama.cpp, llama-model.cpp",
                     .types = kTypes,
                     .build = build};
} // namespace frontends

} // namespace ql
