// SPDX-License-Identifier: GPL-3.0-or-later
// Decoders named as in transformers' Llama: Llama, Mistral, Mixtral, Qwen2/3, SmolLM, Gemma, Phi-3, OLMo, DeepSeek, and
// the same models under Meta's own names (wq, w1, …). Source: transformers, models/{llama,mixtral,phi3,qwen3,gemma2,…}.
#include "core/model/name_rules.h"

#include <array>

namespace ql {

namespace {

constexpr auto kLinear = Operator::linear;
constexpr auto kNorm = Operator::norm;

constexpr std::array kRules{
    NameRule{"q_proj", "q_proj", kLinear},
    NameRule{"k_proj", "k_proj", kLinear},
    NameRule{"v_proj", "v_proj", kLinear},
    NameRule{"qkv_proj", "qkv_proj", kLinear},
    NameRule{"query_key_value", "qkv_proj", kLinear},
    NameRule{"o_proj", "o_proj", kLinear},
    NameRule{"self_attn.out_proj", "o_proj", kLinear},
    NameRule{"self_attn.dense", "o_proj", kLinear},
    NameRule{"attention.dense", "o_proj", kLinear},
    NameRule{"gate_proj", "gate_proj", kLinear},
    NameRule{"up_proj", "up_proj", kLinear},
    NameRule{"gate_up_proj", "gate_up_proj", kLinear},
    NameRule{"down_proj", "down_proj", kLinear},
    NameRule{"mlp.fc1", "up_proj", kLinear},
    NameRule{"mlp.fc2", "down_proj", kLinear},
    NameRule{"fc1", "up_proj", kLinear},
    NameRule{"fc2", "down_proj", kLinear},
    NameRule{"dense_h_to_4h", "up_proj", kLinear},
    NameRule{"dense_4h_to_h", "down_proj", kLinear},
    NameRule{"block_sparse_moe.gate", "router", kLinear},
    NameRule{"mlp.gate", "router", kLinear},
    NameRule{"mlp.router", "router", kLinear},
    NameRule{"feed_forward.router", "router", kLinear},
    NameRule{"shared_expert_gate", "router", kLinear},
    NameRule{"w1", "gate_proj", kLinear},
    NameRule{"w3", "up_proj", kLinear},
    NameRule{"w2", "down_proj", kLinear},
    NameRule{"attention.wq", "q_proj", kLinear},
    NameRule{"attention.wk", "k_proj", kLinear},
    NameRule{"attention.wv", "v_proj", kLinear},
    NameRule{"attention.wo", "o_proj", kLinear},
    NameRule{"embed_tokens", "embedding", Operator::embedding},
    NameRule{"embed_in", "embedding", Operator::embedding},
    NameRule{"tok_embeddings", "embedding", Operator::embedding},
    NameRule{"embed_positions", "position_embedding", Operator::embedding},
    NameRule{"lm_head", "output", kLinear},
    NameRule{"embed_out", "output", kLinear},
    NameRule{"input_layernorm", "input_norm", kNorm},
    NameRule{"attention_norm", "input_norm", kNorm},
    NameRule{"post_attention_layernorm", "post_attention_norm", kNorm},
    NameRule{"pre_feedforward_layernorm", "pre_mlp_norm", kNorm},
    NameRule{"post_feedforward_layernorm", "post_mlp_norm", kNorm},
    NameRule{"ffn_norm", "pre_mlp_norm", kNorm},
    NameRule{"self_attn_layer_norm", "input_norm", kNorm}, // OPT
    NameRule{"final_layer_norm", "final_norm", kNorm},     // OPT
    NameRule{"q_norm", "q_norm", kNorm},
    NameRule{"k_norm", "k_norm", kNorm},
    NameRule{"model.norm", "final_norm", kNorm},
    NameRule{"final_layernorm", "final_norm", kNorm},
};

/// Whether experts are stacked as [experts, in, out] (Llama 4, gpt-oss), not [experts, out, in]: gate_up_proj makes
/// twice as many features as down_proj takes.
bool expertsAreInOut(const Checkpoint& checkpoint, std::string_view name)
{
    constexpr std::string_view kModule = "experts.";
    const auto at = name.find(kModule);
    if (at == std::string_view::npos)
        return false;
    const std::string module(name.substr(0, at + kModule.size()));
    const auto shapeOf = [&](const char* weight) {
        const std::int64_t tensor = checkpoint.indexOf(module + weight);
        return tensor < 0 ? Shape() : checkpoint.tensors()[static_cast<std::size_t>(tensor)].shape;
    };
    const Shape both = shapeOf("gate_up_proj");
    const Shape down = shapeOf("down_proj");
    return both.size() == 3 && down.size() == 3 && both[2] / 2 == down[1] && both[1] == down[2] && both[2] % 2 == 0 &&
           down[1] != 0;
}

bool fits(const Checkpoint& checkpoint)
{
    for (const std::string_view inside : {".self_attn.", ".mlp.gate_proj", ".mlp.gate_up_proj", ".block_sparse_moe.",
                                          ".attention.wq", "query_key_value"})
        if (anyName(checkpoint, inside))
            return true;
    return false;
}

void describe(const Checkpoint& checkpoint, Layer& layer)
{
    describeGenerically(checkpoint, layer);
    applyRules(kRules, layer);
    // Llama's post_attention_layernorm is the norm before the MLP; where another has that place (Gemma 2), it follows
    // the attention as its name says.
    if (layer.role == "post_attention_norm") {
        std::string other(splitName(layer.name).stem);
        other.resize(other.size() - std::string_view("post_attention_layernorm").size());
        if (checkpoint.indexOf(other + "pre_feedforward_layernorm.weight") < 0)
            layer.role = "pre_mlp_norm";
    }
    if (layer.role.starts_with("final_norm") && layer.block >= 0) // OPT has one of that name in each block
        layer.role.replace(0, 10, "pre_mlp_norm");
    if (layer.name == "norm.weight")
        layer.role = "final_norm";
    if (layer.name == "output.weight" && layer.op == kLinear) // Meta's name of the head
        layer.role = "output";
    if (layer.shape.size() == 3 && layer.op == Operator::convolution && layer.name.find("experts") != std::string::npos)
        layer.op = kLinear;
    if (layer.op == kLinear && layer.shape.size() == 3 && expertsAreInOut(checkpoint, layer.name))
        storedAsInOut(layer);
}

} // namespace

namespace architectures {
extern const Architecture llama;
const Architecture llama{.id = "llama",
                         .title = "Llama family (Llama, Mistral, Mixtral, Qwen, SmolLM, Gemma, Phi-3, …)",
                         .source = "names of transformers' models/llama and its relatives",
                         .fits = fits,
                         .describe = describe};
} // namespace architectures

} // namespace ql
