// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/config_keys.h"

#include <algorithm>

namespace ql {

namespace {

// Sources: transformers, models/*/configuration_*.py (attribute_map); gguf-py, constants.py.
constexpr std::array kKeys{
    ConfigKey{"hidden_size", {"n_embd", "dim", "d_model"}, "embedding_length"},
    ConfigKey{"num_hidden_layers", {"n_layer", "n_layers", "num_layers"}, "block_count"},
    ConfigKey{"num_attention_heads", {"n_head", "n_heads", "num_heads"}, "attention.head_count"},
    ConfigKey{"num_key_value_heads", {"n_kv_heads", "multi_query_group_num"}, "attention.head_count_kv"},
    ConfigKey{"head_dim", {"attention_head_dim", "kv_channels"}, "attention.key_length"},
    ConfigKey{"intermediate_size", {"n_inner", "hidden_dim", "ffn_dim", "d_ff"}, "feed_forward_length"},
    ConfigKey{"max_position_embeddings", {"n_positions", "n_ctx", "max_seq_len"}, "context_length"},
    ConfigKey{"vocab_size", {}, "vocab_size"},
    ConfigKey{"rms_norm_eps", {"norm_eps", "rms_norm_epsilon"}, "attention.layer_norm_rms_epsilon"},
    ConfigKey{"layer_norm_eps", {"layer_norm_epsilon", "layernorm_epsilon"}, "attention.layer_norm_epsilon"},
    ConfigKey{"hidden_act", {"hidden_activation", "activation_function"}, {}},
    ConfigKey{"partial_rotary_factor", {}, {}},
    ConfigKey{"rope_theta", {"rotary_emb_base", "rope_base"}, "rope.freq_base"},
    ConfigKey{"rope_dimension_count", {"rotary_dim"}, "rope.dimension_count"},
    ConfigKey{"rope_local_base_freq", {}, "rope.freq_base_swa"},
    ConfigKey{"rope_scaling.rope_type", {"rope_scaling.type"}, "rope.scaling.type"},
    ConfigKey{"rope_scaling.factor", {}, "rope.scaling.factor"},
    ConfigKey{"rope_scaling.original_max_position_embeddings", {}, "rope.scaling.original_context_length"},
    ConfigKey{"rope_scaling.attention_factor", {}, "rope.scaling.attn_factor"},
    ConfigKey{"rope_scaling.beta_fast", {}, "rope.scaling.yarn_beta_fast"},
    ConfigKey{"rope_scaling.beta_slow", {}, "rope.scaling.yarn_beta_slow"},
    ConfigKey{"sliding_window", {}, "attention.sliding_window"},
    ConfigKey{"sliding_window_pattern", {"_sliding_window_pattern"}, "attention.sliding_window_pattern"},
    ConfigKey{"attn_logit_softcapping", {}, "attn_logit_softcapping"},
    ConfigKey{"final_logit_softcapping", {}, "final_logit_softcapping"},
    ConfigKey{"embedding_multiplier", {}, "embedding_scale"},
    ConfigKey{"attention_multiplier", {}, "attention.scale"},
    ConfigKey{"residual_multiplier", {}, "residual_scale"},
    ConfigKey{"logits_scaling", {}, "logit_scale"},
    ConfigKey{"num_local_experts", {"num_experts", "n_routed_experts", "moe_num_experts"}, "expert_count"},
    ConfigKey{"num_experts_per_tok", {"num_experts_per_token", "moe_top_k"}, "expert_used_count"},
    ConfigKey{"moe_intermediate_size", {}, "expert_feed_forward_length"},
    ConfigKey{"norm_topk_prob", {}, "expert_weights_norm"},
};

} // namespace

const ConfigKey* findConfigKey(std::string_view name)
{
    const auto found = std::ranges::find_if(kKeys, [name](const ConfigKey& key) {
        return key.name == name || (!name.empty() && std::ranges::find(key.others, name) != key.others.end());
    });
    return found == kKeys.end() ? nullptr : &*found;
}

} // namespace ql
