// SPDX-License-Identifier: GPL-3.0-or-later
// GPT-2. transformers keeps its weights in Conv1D modules, as [in, out]; other programs with the same names
// (GPT-BigCode, nanoGPT) as nn.Linear does. Source: transformers, pytorch_utils.Conv1D, models/{gpt2,gpt_bigcode}.
#include "core/model/name_rules.h"

#include <array>

namespace ql {

namespace {

constexpr auto kLinear = Operator::linear;
constexpr auto kNorm = Operator::norm;

constexpr std::array kRules{
    NameRule{"attn.c_attn", "qkv_proj", kLinear},
    NameRule{"attn.c_proj", "o_proj", kLinear},
    NameRule{"mlp.c_fc", "up_proj", kLinear},
    NameRule{"mlp.c_proj", "down_proj", kLinear},
    NameRule{"crossattention.c_attn", "cross_kv_proj", kLinear},
    NameRule{"crossattention.q_attn", "cross_q_proj", kLinear},
    NameRule{"crossattention.c_proj", "cross_o_proj", kLinear},
    NameRule{"wte", "embedding", Operator::embedding},
    NameRule{"wpe", "position_embedding", Operator::embedding},
    NameRule{"lm_head", "output", kLinear},
    NameRule{"ln_1", "input_norm", kNorm},
    NameRule{"ln_2", "pre_mlp_norm", kNorm},
    NameRule{"ln_f", "final_norm", kNorm},
};

/// c_attn makes q, k and v of its input, so its longer side is the output: its shape tells how the block is stored.
bool isConv1d(const Checkpoint& checkpoint, std::string_view name)
{
    for (const std::string_view module : {".attn.", ".crossattention.", ".mlp."})
        if (const auto at = name.find(module); at != std::string_view::npos) {
            const std::int64_t sibling = checkpoint.indexOf(std::string(name.substr(0, at)) + ".attn.c_attn.weight");
            if (sibling < 0)
                return true;
            const Shape& shape = checkpoint.tensors()[static_cast<std::size_t>(sibling)].shape;
            return shape.size() != 2 || shape[0] < shape[1];
        }
    return false;
}

bool fits(const Checkpoint& checkpoint)
{
    return anyName(checkpoint, ".attn.c_attn.");
}

void describe(const Checkpoint& checkpoint, Layer& layer)
{
    describeGenerically(checkpoint, layer);
    if (layer.name.ends_with(".attn.bias") || layer.name.ends_with(".attn.masked_bias")) { // the causal mask, a buffer
        layer.op = Operator::other;
        layer.role = "mask";
        return;
    }
    applyRules(kRules, layer);
    const bool hasGraph = checkpoint.reader() == "onnx"; // which knows better than names
    if (layer.op == kLinear && !hasGraph && isConv1d(checkpoint, layer.name))
        storedAsInOut(layer);
}

} // namespace

namespace architectures {
extern const Architecture gpt2;
const Architecture gpt2{
    .id = "gpt2", .title = "GPT-2", .source = "names of transformers' models/gpt2", .fits = fits, .describe = describe};
} // namespace architectures

} // namespace ql
