// SPDX-License-Identifier: GPL-3.0-or-later
// Mamba, named as in transformers and mamba_ssm; roles are GGUF's words. Source: transformers, models/mamba.
#include "core/model/name_rules.h"

#include <array>

namespace ql {

namespace {

constexpr auto kLinear = Operator::linear;
constexpr auto kNorm = Operator::norm;
constexpr auto kOther = Operator::other; // kept in full precision, as llama.cpp does

constexpr std::array kRules{
    NameRule{"mixer.in_proj", "ssm_in", kLinear},
    NameRule{"mixer.x_proj", "ssm_x", kLinear},
    NameRule{"mixer.dt_proj", "ssm_dt", kLinear},
    NameRule{"mixer.out_proj", "ssm_out", kLinear},
    NameRule{"mixer.conv1d", "ssm_conv1d", kOther},
    NameRule{"mixer.A_log", "ssm_a_log", kOther},
    NameRule{"mixer.D", "ssm_d", kOther},
    NameRule{"norm", "input_norm", kNorm},
    NameRule{"norm_f", "final_norm", kNorm},
    NameRule{"lm_head", "output", kLinear},
    NameRule{"embeddings", "embedding", Operator::embedding},
    NameRule{"embedding", "embedding", Operator::embedding},
};

bool fits(const Checkpoint& checkpoint)
{
    return anyName(checkpoint, ".mixer.x_proj.");
}

void describe(const Checkpoint& checkpoint, Layer& layer)
{
    describeGenerically(checkpoint, layer);
    applyRules(kRules, layer);
}

} // namespace

namespace architectures {
extern const Architecture mamba;
const Architecture mamba{.id = "mamba",
                         .title = "Mamba",
                         .source = "names of transformers' models/mamba",
                         .fits = fits,
                         .describe = describe};
} // namespace architectures

} // namespace ql
