// SPDX-License-Identifier: GPL-3.0-or-later
// The names of GGUF files, the same for all architectures. Source: gguf-py, constants.py (TENSOR_NAMES).
#include "core/model/gguf_names.h"

#include "core/model/frontends/layer_roles.h"
#include "core/model/name_rules.h"

#include <algorithm>
#include <array>

namespace ql {

namespace {

constexpr auto kLinear = Operator::linear;
constexpr auto kNorm = Operator::norm;
constexpr auto kOther = Operator::other;

constexpr std::array kRules{
    NameRule{"attn_q", "q_proj", kLinear},
    NameRule{"attn_k", "k_proj", kLinear},
    NameRule{"attn_v", "v_proj", kLinear},
    NameRule{"attn_qkv", "qkv_proj", kLinear},
    NameRule{"attn_output", "o_proj", kLinear},
    NameRule{"attn_out", "o_proj", kLinear},
    NameRule{"ffn_gate", "gate_proj", kLinear},
    NameRule{"ffn_up", "up_proj", kLinear},
    NameRule{"ffn_down", "down_proj", kLinear},
    NameRule{"ffn_gate_inp", "router", kLinear},
    NameRule{"ffn_gate_inp_shexp", "router", kLinear},
    NameRule{"ffn_gate_exps", "gate_proj", kLinear},
    NameRule{"ffn_up_exps", "up_proj", kLinear},
    NameRule{"ffn_down_exps", "down_proj", kLinear},
    NameRule{"ffn_gate_up_exps", "gate_up_proj", kLinear},
    NameRule{"ffn_gate_shexp", "gate_proj", kLinear},
    NameRule{"ffn_up_shexp", "up_proj", kLinear},
    NameRule{"ffn_down_shexp", "down_proj", kLinear},
    NameRule{"token_embd", "embedding", Operator::embedding},
    NameRule{"per_layer_token_embd", "per_layer_embedding", Operator::embedding},
    NameRule{"position_embd", "position_embedding", Operator::embedding},
    NameRule{"token_types", "token_type_embedding", Operator::embedding},
    NameRule{"output", "output", kLinear},
    NameRule{"token_embd_norm", "embedding_norm", kNorm},
    NameRule{"attn_norm", "input_norm", kNorm},
    NameRule{"attn_q_norm", "q_norm", kNorm},
    NameRule{"attn_k_norm", "k_norm", kNorm},
    NameRule{"ffn_norm", "pre_mlp_norm", kNorm},
    NameRule{"attn_output_norm", "post_attention_norm", kNorm},
    NameRule{"post_attention_norm", "post_attention_norm", kNorm},
    NameRule{"layer_output_norm", "post_mlp_norm", kNorm},
    NameRule{"post_ffw_norm", "post_mlp_norm", kNorm},
    NameRule{"output_norm", "final_norm", kNorm},
    NameRule{"rope_freqs", "rope_freqs", kOther},
    NameRule{"rope_factors_long", "rope_factors_long", kOther},
    NameRule{"rope_factors_short", "rope_factors_short", kOther},
    // State-space parts that llama.cpp keeps in full precision.
    NameRule{"ssm_a", "ssm_a", kOther},
    NameRule{"ssm_d", "ssm_d", kOther},
    NameRule{"ssm_conv1d", "ssm_conv1d", kOther},
    NameRule{"shortconv.conv", "shortconv", kOther},
};

bool isPhi3(const Checkpoint& checkpoint)
{
    return std::ranges::any_of(checkpoint.metadata(), [](const auto& entry) {
        return entry.first == "general.architecture" && entry.second == "phi3";
    });
}

bool fits(const Checkpoint& checkpoint)
{
    return checkpoint.reader() == "gguf";
}

void describe(const Checkpoint& checkpoint, Layer& layer)
{
    describeGenerically(checkpoint, layer);
    const bool known = applyRules(kRules, layer);
    // Phi-3's files keep gate and up in one tensor under the name of the second.
    if (layer.role == "up_proj" && layer.block >= 0 &&
        checkpoint.indexOf("blk." + std::to_string(layer.block) + ".ffn_gate.weight") < 0 && isPhi3(checkpoint))
        layer.role = "gate_up_proj";
    if (layer.shape.size() == 3 && layer.op == Operator::convolution &&
        (known || layer.name.find("_exps") != std::string::npos))
        layer.op = kLinear; // experts stacked as [experts, out, in]
}

} // namespace

std::string ggufName(const Model& model, const Layer& layer)
{
    if (model.checkpoint->reader() == "gguf")
        return layer.name;
    const std::int64_t expert = LayerPlace::of(layer).expert;
    const auto rule = std::ranges::find(kRules, layer.role, &NameRule::role);
    std::string stem(rule == kRules.end() ? layer.role : rule->ending);
    if (expert == LayerPlace::kShared)
        stem += "_shexp";
    else if (expert != LayerPlace::kPlain && !stem.ends_with("_exps"))
        stem += "_exps";
    else if (layer.role == "gate_up_proj")
        stem = "ffn_up"; // as describe() has it
    return (layer.block < 0 ? "" : "blk." + std::to_string(layer.block) + ".") + stem + ".weight";
}

namespace architectures {
extern const Architecture gguf;
const Architecture gguf{.id = "gguf",
                        .title = "GGUF (any architecture of llama.cpp)",
                        .source = "gguf-py, constants.py",
                        .fits = fits,
                        .describe = describe};
} // namespace architectures

} // namespace ql
