// SPDX-License-Identifier: GPL-3.0-or-later
// Decoders of the Llama family: pre-norm blocks of grouped-query attention with rotary positions and a gated MLP. What
// a checkpoint has decides (biases, norms of heads, norms behind attention and MLP); config.json says the rest. Source:
// transformers, models/{llama,mistral,qwen2,qwen3}/modeling_*.py; llama.cpp, src/llama-model.cpp.
#include "core/model/frontends/frontend.h"
#include "core/model/frontends/model_config.h"
#include "core/model/graph/activation_names.h"

#include <array>
#include <cmath>

namespace ql {

namespace {

using graph::Attributes;
using graph::kLeftOut;
using graph::ValueId;

struct Settings {
    std::int64_t blocks = 0, heads = 0, kvHeads = 0, headSize = 0;
    double normEpsilon = 1e-6;
    std::string activation;
    Attributes rope;
};

Result<Attributes> ropeOf(const ModelConfig& config, std::int64_t headSize)
{
    Attributes rope{{"head_size", headSize}, {"theta", config.number("rope_theta", 10000)}};
    const auto rotary = static_cast<std::int64_t>(config.number(
        "rope_dimension_count", static_cast<double>(headSize) * config.number("partial_rotary_factor", 1)));
    rope["rotary"] = rotary;
    // llama.cpp's files of these families hold q and k with the pairs side by side.
    if (config.isGguf() && config.type() == "llama")
        rope["pairing"] = std::string("interleaved");
    return rope;
}

Result<Settings> settingsOf(const Model& model, const ModelConfig& config)
{
    Settings settings;
    QL_TRY(blocks, config.count("num_hidden_layers"));
    QL_TRY(heads, config.count("num_attention_heads"));
    QL_TRY(kvHeads, config.count("num_key_value_heads"));
    QL_TRY(headSize, config.count("head_dim"));
    settings.blocks = blocks;
    settings.heads = heads;
    settings.kvHeads = kvHeads;
    settings.headSize = headSize;
    settings.normEpsilon = config.number("rms_norm_eps", 1e-6);
    settings.activation = config.text("hidden_act").value_or(config.text("hidden_activation").value_or("silu"));
    if (!graph::activationFromName(settings.activation))
        return refused("uses the activation function '" + settings.activation + "', which is not known",
                       model.checkpoint->path().string());
    QL_TRY(rope, ropeOf(config, headSize));
    settings.rope = std::move(rope);
    return settings;
}

class Builder {
public:
    Builder(const Model& model, const Settings& settings) : m_model(model), m_roles(model), m_settings(settings) {}

    Result<graph::Graph> run()
    {
        const ValueId tokens = m_graph.input("tokens");
        m_graph.segment("embedding");
        QL_TRY(table, m_roles.require(-1, "embedding"));
        ValueId x = m_graph.add("embedding", "embedding", {tokens, weights(table)});
        for (std::int64_t block = 0; block < m_settings.blocks; ++block) {
            m_graph.segment("block " + std::to_string(block), block);
            QL_TRY(attended, attention(block, x));
            QL_TRY(out, mlp(block, attended));
            x = out;
        }
        m_graph.segment("head", -1, true);
        QL_TRY(finalNorm, m_roles.require(-1, "final_norm"));
        x = norm("final_norm", finalNorm, x);
        std::int64_t head = m_roles.weights(-1, "output");
        if (m_model.tiedEmbedding || head < 0)
            head = table;
        return std::move(m_graph).finish({linear("output", head, x)});
    }

private:
    ValueId weights(std::int64_t layer)
    {
        return m_graph.weights(layer, layer < 0 ? "" : m_model.layers[static_cast<std::size_t>(layer)].name);
    }

    ValueId linear(const std::string& name, std::int64_t layer, ValueId x)
    {
        return m_graph.add("linear", name, {x, weights(layer), weights(m_roles.bias(layer))});
    }

    ValueId norm(const std::string& name, std::int64_t layer, ValueId x, Attributes more = {})
    {
        more["epsilon"] = m_settings.normEpsilon;
        return m_graph.add("rms_norm", name, {x, weights(layer)}, std::move(more));
    }

    /// The projection `role`, its optional norm of heads, and the rotation.
    Result<ValueId> rotated(std::int64_t block, const std::string& prefix, std::string_view which, ValueId x)
    {
        QL_TRY(projection, m_roles.require(block, std::string(which) + "_proj"));
        ValueId y = linear(prefix + std::string(which) + "_proj", projection, x);
        const std::string normRole = std::string(which) + "_norm";
        if (const std::int64_t layer = m_roles.weights(block, normRole); layer >= 0)
            y = norm(prefix + normRole, layer, y, {{"size", m_settings.headSize}});
        return m_graph.add("rope", prefix + std::string(which) + "_rope", {y}, m_settings.rope);
    }

    Result<ValueId> attention(std::int64_t block, ValueId x)
    {
        const std::string prefix = "blocks." + std::to_string(block) + ".";
        QL_TRY(inputNorm, m_roles.require(block, "input_norm"));
        const ValueId normed = norm(prefix + "input_norm", inputNorm, x);
        QL_TRY(q, rotated(block, prefix, "q", normed));
        QL_TRY(k, rotated(block, prefix, "k", normed));
        QL_TRY(vProjection, m_roles.require(block, "v_proj"));
        const ValueId v = linear(prefix + "v_proj", vProjection, normed);
        const ValueId mixed =
            m_graph.add("attention", prefix + "attention", {q, k, v},
                        {{"heads", m_settings.heads}, {"kv_heads", m_settings.kvHeads}, {"causal", std::int64_t{1}}});
        QL_TRY(oProjection, m_roles.require(block, "o_proj"));
        return m_graph.add("add", prefix + "attention_residual", {x, linear(prefix + "o_proj", oProjection, mixed)});
    }

    Result<ValueId> mlp(std::int64_t block, ValueId x)
    {
        const std::string prefix = "blocks." + std::to_string(block) + ".";
        QL_TRY(mlpNorm, m_roles.require(block, "pre_mlp_norm"));
        const ValueId normed = norm(prefix + "pre_mlp_norm", mlpNorm, x);
        QL_TRY(gate, m_roles.require(block, "gate_proj"));
        QL_TRY(up, m_roles.require(block, "up_proj"));
        QL_TRY(down, m_roles.require(block, "down_proj"));
        const ValueId inner =
            m_graph.add("gated", prefix + "gated",
                        {linear(prefix + "gate_proj", gate, normed), linear(prefix + "up_proj", up, normed)},
                        {{"function", m_settings.activation}});
        return m_graph.add("add", prefix + "mlp_residual", {x, linear(prefix + "down_proj", down, inner)});
    }

    const Model& m_model;
    LayerRoles m_roles;
    const Settings& m_settings;
    graph::GraphBuilder m_graph;
};

Result<graph::Graph> build(const Model& model)
{
    const ModelConfig config(model);
    QL_TRY(settings, settingsOf(model, config));
    return Builder(model, settings).run();
}

constexpr std::array<std::string_view, 4> kTypes{"llama", "mistral", "qwen2", "qwen3"};

} // namespace

namespace frontends {
extern const Frontend decoder;
const Frontend decoder{.id = "decoder",
                       .title = "Llama family (Llama, Mistral, SmolLM, Qwen2, Qwen3)",
                       .source = "transformers, models/llama and its relatives; llama.cpp, llama-model.cpp",
                       .types = kTypes,
                       .build = build};
} // namespace frontends

} // namespace ql
