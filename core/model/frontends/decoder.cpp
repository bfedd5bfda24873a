// SPDX-License-Identifier: GPL-3.0-or-later
// Decoders of the Llama family: blocks of grouped-query attention with rotary positions and a gated MLP or a mixture of
// experts, each between norms. What a checkpoint has decides (biases, norms of heads, norms behind attention and MLP,
// fused projections); the configuration says the rest. Sources: transformers, models/{llama,mistral,qwen2,qwen3,gemma,
// gemma2,gemma3,phi3,granite,mixtral,qwen2_moe,qwen3_moe}/modeling_*.py; llama.cpp, src/llama-model.cpp.
#include "core/model/frontends/frontend.h"
#include "core/model/frontends/rope_settings.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace ql {

namespace {

using graph::Attributes;
using graph::kLeftOut;
using graph::ValueId;

// What configurations on the hub leave out.
constexpr std::array kTypes{
    ModelType{"llama", R"({"rms_norm_eps": 1e-6})"},
    ModelType{"mistral", R"({"num_key_value_heads": 8, "rms_norm_eps": 1e-6, "sliding_window": 4096})"},
    ModelType{"qwen2", R"({"rms_norm_eps": 1e-6, "sliding_window": 4096, "max_window_layers": 28})"},
    ModelType{"qwen3", R"({"head_dim": 128, "rms_norm_eps": 1e-6, "sliding_window": 4096, "max_window_layers": 28})"},
    ModelType{"granite", R"({"rms_norm_eps": 1e-6})"},
    ModelType{"gemma", R"({"num_attention_heads": 16, "num_key_value_heads": 16, "head_dim": 256,
                           "rms_norm_eps": 1e-6})"},
    ModelType{"gemma2", R"({"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "rms_norm_eps": 1e-6,
                            "query_pre_attn_scalar": 256, "sliding_window": 4096, "final_logit_softcapping": 30.0,
                            "attn_logit_softcapping": 50.0})"},
    ModelType{"gemma3_text", R"({"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256,
                                 "rms_norm_eps": 1e-6, "query_pre_attn_scalar": 256, "sliding_window": 4096,
                                 "rope_theta": 1000000.0, "rope_local_base_freq": 10000.0})"},
    ModelType{"gemma3", R"({"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "rms_norm_eps": 1e-6,
                            "query_pre_attn_scalar": 256, "sliding_window": 4096, "rope_theta": 1000000.0,
                            "rope_local_base_freq": 10000.0})"},
    ModelType{"phi3", R"({"rms_norm_eps": 1e-5, "original_max_position_embeddings": 4096})"},
    ModelType{"mixtral", R"({"num_key_value_heads": 8, "rms_norm_eps": 1e-5, "rope_theta": 1000000.0,
                             "num_local_experts": 8, "num_experts_per_tok": 2})"},
    ModelType{"qwen2_moe", R"({"rms_norm_eps": 1e-6, "num_experts": 60, "num_experts_per_tok": 4,
                               "norm_topk_prob": false})"},
    ModelType{"qwen3_moe", R"({"rms_norm_eps": 1e-6, "num_key_value_heads": 4, "num_experts": 128,
                               "num_experts_per_tok": 8, "norm_topk_prob": false, "sliding_window": 4096})"},
    ModelType{"qwen2moe", "{}"}, // GGUF's words
    ModelType{"qwen3moe", "{}"},
};

class Decoder {
public:
    explicit Decoder(ModelBuilder& builder)
        : m_builder(builder),
          m_config(builder.config()),
          m_type(m_config.type()),
          m_isGemma(m_type.starts_with("gemma")),
          m_isGemma3(m_type.starts_with("gemma3")),
          m_isGranite(m_type == "granite")
    {
        m_blocks = builder.count("num_hidden_layers");
        m_parts.heads = builder.count("num_attention_heads");
        m_parts.kvHeads = builder.count("num_key_value_heads");
        m_parts.headSize = builder.count("head_dim");
        m_parts.attributes["causal"] = std::int64_t{1};
        m_parts.rope = &m_rope;
        m_rope = rope("full_attention");
        m_localRope = m_isGemma3 ? rope("sliding_attention") : m_rope;
        m_function = builder.activation("hidden_act", m_isGemma ? "gelu_pytorch_tanh" : "silu");
        if (m_type == "gemma" && m_function == "gelu") // what its first configurations say and nobody does
            m_function = "gelu_pytorch_tanh";
        // Gemma stores weight − 1 of its norms; llama.cpp's files add the 1.
        if (m_isGemma && !m_config.isGguf())
            m_norm["offset"] = 1.0;
        setScores();
        setWindows();
    }

    Outputs run()
    {
        const ValueId tokens = m_builder.input("tokens");
        m_builder.segment("embedding");
        ValueId x = m_builder.embedding("embedding", tokens, embeddingScale());
        const double residual = m_isGranite ? m_config.number("residual_multiplier", 1) : 1;
        for (std::int64_t block = 0; block < m_blocks && m_builder.block(block); ++block) {
            const ValueId attended = behind("post_attention_norm", attention(block, norm("input_norm", x)));
            x = m_builder.add("attention_residual", x, m_builder.scale("attention_scale", attended, residual));
            const ValueId made = behind("post_mlp_norm", mlp(norm("pre_mlp_norm", x)));
            x = m_builder.add("mlp_residual", x, m_builder.scale("mlp_scale", made, residual));
        }
        m_builder.segment("head", true);
        x = norm("final_norm", x);
        ValueId logits = m_builder.head(x);
        if (logits == kLeftOut)
            return {{"hidden", x}};
        if (m_isGranite)
            logits = m_builder.scale("logits_scale", logits, 1 / m_config.number("logits_scaling", 1));
        if (const double cap = m_isGemma ? m_config.number("final_logit_softcapping", 0) : 0; cap > 0)
            logits = m_builder.node("softcap", "logits_cap", {logits}, {{"cap", cap}});
        return {{"logits", logits}};
    }

private:
    Rope rope(const std::string& layerType)
    {
        Rope made = ropeOf(m_builder, m_parts.headSize, layerType);
        // llama.cpp's files of these families hold q and k with the pairs side by side.
        if (m_config.isGguf() && (m_type == "llama" || m_type == "granite"))
            made.attributes["pairing"] = std::string("interleaved");
        return made;
    }

    void setScores()
    {
        if (m_isGranite) {
            m_parts.attributes["scale"] = m_config.number("attention_multiplier", 1);
        } else if (m_type == "gemma2" || m_isGemma3) {
            // GGUF files leave it out: it is the head's size, but in the largest models the width's share of a head.
            const bool isLargest = m_config.isGguf() && m_blocks == (m_isGemma3 ? 62 : 46);
            const double scalar = isLargest
                                      ? m_config.number("hidden_size", 0) / static_cast<double>(m_parts.heads)
                                      : m_config.number("query_pre_attn_scalar", static_cast<double>(m_parts.headSize));
            m_parts.attributes["scale"] = 1 / std::sqrt(scalar);
        }
        if (const double cap = m_config.number("attn_logit_softcapping", 0); cap > 0) {
            if (m_type != "gemma2") // transformers ignores it elsewhere
                m_builder.refuse("bounds attention scores by attn_logit_softcapping, which only Gemma 2 does");
            m_parts.attributes["softcap"] = cap;
        }
        for (const char* told : {"decoder_sparse_step", "mlp_only_layers"}) // by the weights
            m_config.has(told);
        if (m_config.flag("use_bidirectional_attention", false))
            m_builder.refuse("attends to later tokens (use_bidirectional_attention)");
    }

    double embeddingScale() const
    {
        return m_isGemma     ? std::sqrt(m_config.number("hidden_size", 0))
               : m_isGranite ? m_config.number("embedding_multiplier", 1)
                             : 1;
    }

    void setWindows()
    {
        m_window = static_cast<std::int64_t>(m_config.number("sliding_window", 0));
        // Qwen's files carry a window that is not used unless they say so.
        if (m_type.starts_with("qwen") && !m_config.flag("use_sliding_window", false))
            m_window = 0;
        if (m_isGemma || m_type.starts_with("qwen"))
            m_layerTypes = m_config.texts("layer_types");
        for (const std::string& type : m_layerTypes)
            if (type != "sliding_attention" && type != "full_attention")
                m_builder.refuse("has layers of type '" + type + "', which is not known");
        if (!m_layerTypes.empty() && std::ssize(m_layerTypes) != m_blocks)
            m_builder.refuse("names " + std::to_string(m_layerTypes.size()) + " layer_types for " +
                             std::to_string(m_blocks) + " blocks");
        if (m_type == "qwen2_moe" && m_window > 0 && m_layerTypes.empty())
            m_builder.refuse("uses sliding windows but has no layer_types that say where");
        const double pattern = m_isGemma3 ? 6 : m_type == "gemma2" ? 2 : 0;
        m_pattern = static_cast<std::int64_t>(m_config.number("sliding_window_pattern", pattern));
        if (m_config.has("sliding_window_pattern") && !m_config.number("sliding_window_pattern"))
            m_builder.refuse("has a sliding_window_pattern that is no number");
        const auto firstLocal = static_cast<std::int64_t>(m_config.number("max_window_layers", 0));
        if (m_type == "qwen2" || m_type == "qwen3")
            m_firstLocal = firstLocal;
    }

    /// Whether a block looks back over a window only.
    bool isLocal(std::int64_t block) const
    {
        if (!m_layerTypes.empty())
            return m_layerTypes[static_cast<std::size_t>(block)] == "sliding_attention";
        if (m_pattern > 0)
            return (block + 1) % m_pattern != 0;
        return m_window > 0 && block >= m_firstLocal;
    }

    ValueId norm(std::string_view role, ValueId x) { return m_builder.rmsNorm(role, x, m_norm); }
    ValueId behind(std::string_view role, ValueId x) { return m_builder.has(role) ? norm(role, x) : x; }

    ValueId attention(std::int64_t block, ValueId x)
    {
        AttentionParts parts = m_parts;
        if (isLocal(block)) {
            parts.rope = &m_localRope;
            if (m_window > 0)
                parts.attributes["window"] = m_window;
        }
        return m_builder.attention(x, parts, m_norm);
    }

    ValueId mlp(ValueId x) { return m_builder.has("router") ? experts(x) : m_builder.mlp(x, m_function); }

    /// Each token goes to the best experts of the router, and to the shared expert where there is one.
    ValueId experts(ValueId x)
    {
        const std::int64_t count = m_builder.count("num_local_experts");
        const Shape& router = m_builder.model().layers[static_cast<std::size_t>(m_builder.layer("router"))].shape;
        if (router.size() != 2 || router.front() != count)
            m_builder.refuse("has a router that does not choose among its " + std::to_string(count) + " experts");
        const bool normalizes = m_config.flag("norm_topk_prob", m_type != "qwen2_moe" && m_type != "qwen2moe");
        const ValueId weights = m_builder.node(
            "moe_route", "route", {m_builder.linear("router", x)},
            {{"top_k", m_builder.count("num_experts_per_tok")}, {"normalize", std::int64_t{normalizes}}});
        std::vector<ValueId> outputs{weights};
        for (std::int64_t expert = 0; expert < count && !m_builder.failed(); ++expert) {
            m_builder.expert(expert, count);
            const ValueId rows = m_builder.node("moe_dispatch", "tokens", {x, weights}, {{"expert", expert}});
            outputs.push_back(m_builder.mlp(rows, m_function));
        }
        m_builder.expert(LayerPlace::kPlain);
        const ValueId y = m_builder.node("moe_combine", "experts", std::move(outputs));
        const ValueId shared = sharedExpert(x);
        return shared == kLeftOut ? y : m_builder.add("all_experts", y, shared);
    }

    ValueId sharedExpert(ValueId x)
    {
        m_builder.expert(LayerPlace::kShared);
        const bool exists = m_builder.has("down_proj");
        ValueId y = kLeftOut;
        if (exists) {
            const std::int64_t gate = m_builder.layer("router");
            ValueId weights = m_builder.weights("router");
            if (gate >= 0 && m_builder.model().layers[static_cast<std::size_t>(gate)].shape.size() == 1) // GGUF
                weights =
                    m_builder.node("reshape", "router_row", {weights}, {{"unsqueeze", std::vector<std::int64_t>{0}}});
            const ValueId share = m_builder.node("linear", "router", {x, weights});
            y = m_builder.node("multiply", "shared",
                               {m_builder.mlp(x, m_function), m_builder.activate("share", "sigmoid", share)});
        }
        m_builder.expert(LayerPlace::kPlain);
        return y;
    }

    ModelBuilder& m_builder;
    const ModelConfig& m_config;
    std::string m_type;
    bool m_isGemma, m_isGemma3, m_isGranite;
    std::int64_t m_blocks = 1;
    std::int64_t m_window = 0, m_pattern = 0, m_firstLocal = 0;
    std::vector<std::string> m_layerTypes;
    std::string m_function;
    Attributes m_norm;
    Rope m_rope, m_localRope;
    AttentionParts m_parts;
};

Outputs build(ModelBuilder& builder)
{
    return Decoder(builder).run();
}

} // namespace

namespace frontends {
extern const Frontend decoder;
const Frontend decoder{
    .id = "decoder",
    .title = "Llama family (Llama, Mistral, SmolLM, Qwen2, Qwen3, Granite, Gemma, Phi-3, Mixtral, Qwen-MoE)",
    .source = "transformers, models/llama and its relatives; llama.cpp, llama-model.cpp",
    .types = kTypes,
    .build = build};
} // namespace frontends

} // namespace ql
