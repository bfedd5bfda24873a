// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/text.h"
#include "core/model/model.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>

namespace ql {

namespace {

/// One meaning under its names: transformers' usual one, those of other families, and GGUF's (behind "<arch>.").
struct Key {
    std::string_view name;
    std::array<std::string_view, 4> others;
    std::string_view gguf;
};
constexpr std::array<Key, 17> kKeys{{
    {"hidden_size", {"n_embd", "dim", "d_model"}, "embedding_length"},
    {"num_hidden_layers", {"n_layer", "n_layers", "num_layers"}, "block_count"},
    {"num_attention_heads", {"n_head", "n_heads", "num_heads"}, "attention.head_count"},
    {"num_key_value_heads", {"n_kv_heads", "multi_query_group_num"}, "attention.head_count_kv"},
    {"head_dim", {"attention_head_dim", "kv_channels"}, "attention.key_length"},
    {"intermediate_size", {"n_inner", "hidden_dim", "ffn_dim", "d_ff"}, "feed_forward_length"},
    {"max_position_embeddings", {"n_positions", "n_ctx", "max_seq_len"}, "context_length"},
    {"vocab_size", {}, "vocab_size"},
    {"rms_norm_eps", {"norm_eps", "rms_norm_epsilon"}, "attention.layer_norm_rms_epsilon"},
    {"layer_norm_eps", {"layer_norm_epsilon", "layernorm_epsilon"}, "attention.layer_norm_epsilon"},
    {"rope_theta", {"rotary_emb_base", "rope_base"}, "rope.freq_base"},
    {"rope_dimension_count", {"rotary_dim"}, "rope.dimension_count"},
    {"num_local_experts", {"num_experts", "n_routed_experts", "moe_num_experts"}, "expert_count"},
    {"num_experts_per_tok", {"num_experts_per_token", "moe_top_k"}, "expert_used_count"},
    {"sliding_window", {}, "attention.sliding_window"},
    {"moe_intermediate_size", {}, "expert_feed_forward_length"},
    {"partial_rotary_factor", {}, {}},
}};

const Key* keyOf(std::string_view name)
{
    for (const Key& key : kKeys)
        if (key.name == name || (!name.empty() && std::ranges::find(key.others, name) != key.others.end()))
            return &key;
    return nullptr;
}

std::optional<double> numberAt(const nlohmann::json& config, std::string_view name)
{
    const auto found = config.find(name);
    return found != config.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

/// At the top, then in the parts that hold the language model of a multimodal one.
std::optional<double> numberIn(const nlohmann::json& config, std::string_view name)
{
    if (const auto value = numberAt(config, name))
        return value;
    for (const char* inner : {"text_config", "llm_config", "decoder", "rope_parameters"})
        if (const auto found = config.find(inner); found != config.end() && found->is_object())
            if (const auto value = numberAt(*found, name))
                return value;
    return std::nullopt;
}

std::optional<double> configNumberOf(const Checkpoint& checkpoint, std::string_view name)
{
    const auto config = nlohmann::json::parse(checkpoint.configJson(), nullptr, false);
    if (!config.is_object())
        return std::nullopt;
    if (const auto value = numberIn(config, name))
        return value;
    if (const Key* key = keyOf(name)) {
        if (const auto value = numberIn(config, key->name))
            return value;
        for (const std::string_view other : key->others)
            if (!other.empty())
                if (const auto value = numberIn(config, other))
                    return value;
    }
    return std::nullopt;
}

std::optional<double> ggufNumberOf(const Checkpoint& checkpoint, std::string_view name)
{
    const auto text = [&](std::string_view key) -> std::string_view {
        const auto metadata = checkpoint.metadata();
        const auto found = std::ranges::find(metadata, key, &std::pair<std::string, std::string>::first);
        return found == metadata.end() ? std::string_view() : std::string_view(found->second);
    };
    if (const auto value = parseDouble(text(name)))
        return value;
    const Key* key = keyOf(name);
    if (!key || key->gguf.empty())
        return std::nullopt;
    return parseDouble(text(std::string(text("general.architecture")) + "." + std::string(key->gguf)));
}

} // namespace

std::optional<double> Model::configNumber(std::string_view key) const
{
    const auto value =
        checkpoint->reader() == "gguf" ? ggufNumberOf(*checkpoint, key) : configNumberOf(*checkpoint, key);
    if (value)
        return value;
    if (key == "num_key_value_heads")
        return configNumber("num_attention_heads");
    if (key == "head_dim") {
        const auto width = configNumber("hidden_size");
        const auto heads = configNumber("num_attention_heads");
        if (width && heads && *heads > 0)
            return *width / *heads;
    }
    if (key == "vocab_size")
        for (const Layer& layer : layers)
            if (layer.role == "embedding" && !layer.shape.empty())
                return static_cast<double>(layer.shape.front());
    return std::nullopt;
}

} // namespace ql
