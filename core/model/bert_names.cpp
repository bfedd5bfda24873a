// SPDX-License-Identifier: GPL-3.0-or-later
// Encoders named as in transformers' BERT: BERT, RoBERTa, MiniLM, ViT and DeiT (the same names), DistilBERT.
#include "core/model/name_rules.h"

#include <array>

namespace ql {

namespace {

constexpr auto kLinear = Operator::linear;
constexpr auto kNorm = Operator::norm;

constexpr std::array kRules{
    NameRule{"attention.self.query", "q_proj", kLinear},
    NameRule{"attention.self.key", "k_proj", kLinear},
    NameRule{"attention.self.value", "v_proj", kLinear},
    NameRule{"attention.attention.query", "q_proj", kLinear},
    NameRule{"attention.attention.key", "k_proj", kLinear},
    NameRule{"attention.attention.value", "v_proj", kLinear},
    NameRule{"attention.output.dense", "o_proj", kLinear},
    NameRule{"attention.output.LayerNorm", "post_attention_norm", kNorm},
    NameRule{"intermediate.dense", "up_proj", kLinear},
    NameRule{"output.dense", "down_proj", kLinear},
    NameRule{"output.LayerNorm", "post_mlp_norm", kNorm},
    NameRule{"layernorm_before", "input_norm", kNorm},
    NameRule{"layernorm_after", "pre_mlp_norm", kNorm},
    NameRule{"layernorm", "final_norm", kNorm},
    NameRule{"attention.q_lin", "q_proj", kLinear},
    NameRule{"attention.k_lin", "k_proj", kLinear},
    NameRule{"attention.v_lin", "v_proj", kLinear},
    NameRule{"attention.out_lin", "o_proj", kLinear},
    NameRule{"ffn.lin1", "up_proj", kLinear},
    NameRule{"ffn.lin2", "down_proj", kLinear},
    NameRule{"sa_layer_norm", "post_attention_norm", kNorm},
    NameRule{"output_layer_norm", "post_mlp_norm", kNorm},
    NameRule{"word_embeddings", "embedding", Operator::embedding},
    NameRule{"position_embeddings", "position_embedding", Operator::embedding},
    NameRule{"token_type_embeddings", "token_type_embedding", Operator::embedding},
    NameRule{"embeddings.LayerNorm", "embedding_norm", kNorm},
    NameRule{"patch_embeddings.projection", "patch_embedding", Operator::convolution},
    NameRule{"pooler.dense", "pooler", kLinear},
    NameRule{"predictions.transform.dense", "head_transform", kLinear},
    NameRule{"predictions.transform.LayerNorm", "head_norm", kNorm},
    NameRule{"predictions.decoder", "output", kLinear},
    NameRule{"cls.predictions", "output", kLinear}, // its bias
    NameRule{"lm_head.dense", "head_transform", kLinear},
    NameRule{"lm_head.layer_norm", "head_norm", kNorm},
    NameRule{"lm_head.decoder", "output", kLinear},
    NameRule{"lm_head", "output", kLinear},
    NameRule{"classifier", "classifier", kLinear},
};

bool fits(const Checkpoint& checkpoint)
{
    for (const std::string_view inside : {".attention.self.query", ".attention.attention.query", ".attention.q_lin"})
        if (anyName(checkpoint, inside))
            return true;
    return false;
}

void describe(const Checkpoint& checkpoint, Layer& layer)
{
    describeGenerically(checkpoint, layer);
    applyRules(kRules, layer);
}

} // namespace

namespace architectures {
extern const Architecture bert;
const Architecture bert{.id = "bert",
                        .title = "BERT family (BERT, RoBERTa, MiniLM, DistilBERT, ViT)",
                        .source = "names of transformers' models/{bert,vit,distilbert}",
                        .fits = fits,
                        .describe = describe};
} // namespace architectures

} // namespace ql
