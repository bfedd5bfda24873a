// SPDX-License-Identifier: GPL-3.0-or-later
// GPT-2. Its Conv1D weights are stored as [in, out], transposed against nn.Linear: the layers say so, and schemes take
// the stored rows (one row = one input feature). Source: transformers, pytorch_utils.Conv1D, models/gpt2.
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
    layer.transposed = layer.op == kLinear && layer.role != "output";
}

} // namespace

namespace architectures {
extern const Architecture gpt2;
const Architecture gpt2{
    .id = "gpt2", .title = "GPT-2", .source = "names of transformers' models/gpt2", .fits = fits, .describe = describe};
} // namespace architectures

} // namespace ql
