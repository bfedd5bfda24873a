// SPDX-License-Identifier: GPL-3.0-or-later
// The parts that architectures share, put together to a graph by front ends: layers by role in the block at hand,
// norms, attention, MLPs, head. The first thing that is missing or not understood is kept and returned by finish(), so
// that front ends read like the model. Not thread-safe.
#pragma once

#include "core/model/frontends/layer_roles.h"
#include "core/model/frontends/model_config.h"
#include "core/model/graph/graph.h"

namespace ql {

/// Rotary positions: attributes of the operator `rope`, and what stretches the frequencies.
struct Rope {
    graph::Attributes attributes;
    graph::ValueId factors = graph::kLeftOut;
    graph::ValueId longFactors = graph::kLeftOut;
};

struct AttentionParts {
    std::int64_t heads = 1;
    std::int64_t kvHeads = 1;
    std::int64_t headSize = 0;
    graph::Attributes attributes;          // "causal", "window", "scale", "softcap" of the operator
    const Rope* rope = nullptr;            // none: positions come from elsewhere
    graph::ValueId mask = graph::kLeftOut; // integers [batch, tokens], 0 where there is only padding
};

class ModelBuilder {
public:
    ModelBuilder(const Model& model, const ModelConfig& config) : m_model(model), m_config(config), m_roles(model) {}

    const Model& model() const { return m_model; }
    const ModelConfig& config() const { return m_config; }

    /// Keeps the error, unless there is one.
    void fail(Error error);
    bool failed() const { return m_error.has_value(); }
    void refuse(const std::string& what) { fail(m_config.refusal(what)); }
    /// A positive integer of the configuration; 1 after an error.
    std::int64_t count(std::string_view key);
    /// The activation function that a key names.
    std::string activation(std::string_view key, std::string_view fallback);

    graph::ValueId input(std::string name) { return m_graph.input(std::move(name)); }
    /// Integers [batch, tokens] that may be left out: then all of them are `otherwise`.
    graph::ValueId input(std::string name, std::int64_t otherwise)
    {
        return m_graph.input(std::move(name), graph::Array<std::int64_t>::filled({1, 1}, otherwise));
    }
    graph::ValueId constant(std::string name, const std::vector<double>& values);
    template<typename T>
    graph::ValueId constant(std::string name, graph::Array<T> values)
    {
        return m_graph.constant(std::move(name), std::move(values));
    }
    /// What follows lies outside the blocks, in block `index`, or in an expert of that block (a LayerPlace::expert,
    /// of so many).
    void segment(const std::string& name, bool rowwise = false);
    /// False after an error: settings may claim more blocks than memory holds.
    bool block(std::int64_t index);
    void expert(std::int64_t expert, std::int64_t of = 0);

    /// The layer of that role where we are (for an expert, its own or the stack of all), or −1.
    std::int64_t layer(std::string_view role) const;
    bool has(std::string_view role) const { return layer(role) >= 0; }
    /// Its weights; an error if there is none.
    graph::ValueId weights(std::string_view role);
    graph::ValueId weightsIfAny(std::string_view role) { return weightsOf(layer(role)); }
    /// The same outside the blocks.
    graph::ValueId outsideIfAny(std::string_view role) { return weightsOf(m_roles.find({}, role)); }
    graph::ValueId weightsOf(std::int64_t layer);

    graph::ValueId node(std::string_view op, std::string_view name, std::vector<graph::ValueId> inputs,
                        graph::Attributes attributes = {});
    graph::ValueId linear(std::string_view role, graph::ValueId x);
    /// RMSNorm by rms_norm_eps, or LayerNorm by layer_norm_eps.
    graph::ValueId rmsNorm(std::string_view role, graph::ValueId x, graph::Attributes more = {});
    graph::ValueId layerNorm(std::string_view role, graph::ValueId x);
    graph::ValueId embedding(std::string_view role, graph::ValueId ids, double scale = 1);
    graph::ValueId add(std::string_view name, graph::ValueId a, graph::ValueId b) { return node("add", name, {a, b}); }
    graph::ValueId activate(std::string_view name, const std::string& function, graph::ValueId x);
    /// x · factor; x itself for 1.
    graph::ValueId scale(std::string_view name, graph::ValueId x, double factor);
    /// Features [begin, end) of x.
    graph::ValueId slice(std::string_view name, graph::ValueId x, std::int64_t begin, std::int64_t end);
    /// [batch, width] of x[batch, tokens, width].
    graph::ValueId firstToken(graph::ValueId x);

    /// From q_proj, k_proj, v_proj or qkv_proj (q, k, v one below the other) to o_proj, with norms of heads.
    graph::ValueId attention(graph::ValueId x, const AttentionParts& parts, const graph::Attributes& headNorm = {});
    /// down(f(gate) · up), with gate and up in one or two layers, or down(f(up)).
    graph::ValueId mlp(graph::ValueId x, const std::string& function);
    /// The output head, the embedding where it is tied. Nothing without a head.
    graph::ValueId head(graph::ValueId x);

    /// The file itself says what is computed: layers that nobody used are no sign that something was missed.
    void leaveUnused() { m_leavesUnused = true; }
    /// The graph, or the first error. Refuses settings and layers that nobody used.
    Result<graph::Graph> finish(const std::vector<std::pair<std::string, graph::ValueId>>& outputs) &&;

private:
    bool isStacked(std::string_view role) const { return m_place.expert >= 0 && m_roles.find(m_place, role) < 0; }
    std::string nodeName(std::string_view name) const;
    Result<void> checkLayersUsed(const graph::Graph& graph) const;

    const Model& m_model;
    const ModelConfig& m_config;
    LayerRoles m_roles;
    graph::GraphBuilder m_graph;
    LayerPlace m_place;
    std::int64_t m_experts = 0;
    bool m_leavesUnused = false;
    std::optional<Error> m_error;
};

} // namespace ql
