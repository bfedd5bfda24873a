// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/frontends/model_builder.h"

#include "core/model/graph/activation_names.h"

#include <algorithm>
#include <array>

namespace ql {

using graph::Attributes;
using graph::kLeftOut;
using graph::ValueId;
using Integers = std::vector<std::int64_t>;

void ModelBuilder::fail(Error error)
{
    if (!m_error)
        m_error = std::move(error);
}

std::int64_t ModelBuilder::count(std::string_view key)
{
    auto value = m_config.count(key);
    if (value)
        return *value;
    fail(std::move(value.error()));
    return 1;
}

std::string ModelBuilder::activation(std::string_view key, std::string_view fallback)
{
    std::string function = m_config.text(key).value_or(std::string(fallback));
    if (!graph::activationFromName(function))
        refuse("uses the activation function '" + function + "', which is not known");
    return function;
}

ValueId ModelBuilder::constant(std::string name, const std::vector<double>& values)
{
    graph::Array<double> array({std::ssize(values)});
    std::ranges::copy(values, array.write());
    return m_graph.constant(std::move(name), std::move(array));
}

void ModelBuilder::segment(const std::string& name, bool rowwise)
{
    m_graph.segment(name, -1, rowwise);
    m_place = {};
}

bool ModelBuilder::block(std::int64_t index)
{
    m_graph.segment("block " + std::to_string(index), index);
    m_place = {.block = index};
    return !failed();
}

void ModelBuilder::expert(std::int64_t expert, std::int64_t of)
{
    m_place.expert = expert;
    m_experts = of;
}

std::int64_t ModelBuilder::layer(std::string_view role) const
{
    LayerPlace place = m_place;
    if (isStacked(role))
        place.expert = LayerPlace::kStack;
    return m_roles.find(place, role);
}

std::string ModelBuilder::nodeName(std::string_view name) const
{
    std::string prefix;
    if (m_place.block >= 0)
        prefix = "blocks." + std::to_string(m_place.block) + ".";
    if (m_place.expert >= 0)
        prefix += "experts." + std::to_string(m_place.expert) + ".";
    else if (m_place.expert == LayerPlace::kShared)
        prefix += "shared_expert.";
    return prefix + std::string(name);
}

ValueId ModelBuilder::weights(std::string_view role)
{
    const std::int64_t found = layer(role);
    if (found < 0)
        fail(badInput("has no " + std::string(role) +
                          (m_place.block >= 0 ? " in block " + std::to_string(m_place.block) : "") +
                          ", without which it cannot be run",
                      m_model.checkpoint->path().string()));
    return weightsOf(found);
}

ValueId ModelBuilder::weightsOf(std::int64_t layer)
{
    return m_graph.weights(layer, layer < 0 ? "" : m_model.layers[static_cast<std::size_t>(layer)].name);
}

ValueId ModelBuilder::node(std::string_view op, std::string_view name, std::vector<ValueId> inputs,
                           Attributes attributes)
{
    return m_graph.add(op, nodeName(name), std::move(inputs), std::move(attributes));
}

ValueId ModelBuilder::linear(std::string_view role, ValueId x)
{
    Attributes attributes;
    if (isStacked(role))
        attributes = {{"expert", m_place.expert}, {"experts", m_experts}};
    return node("linear", role, {x, weights(role), weightsIfAny(std::string(role) + "_bias")}, std::move(attributes));
}

ValueId ModelBuilder::rmsNorm(std::string_view role, ValueId x, Attributes more)
{
    more.try_emplace("epsilon", m_config.number("rms_norm_eps", 1e-6));
    return node("rms_norm", role, {x, weights(role)}, std::move(more));
}

ValueId ModelBuilder::layerNorm(std::string_view role, ValueId x)
{
    return node("layer_norm", role, {x, weightsIfAny(role), weightsIfAny(std::string(role) + "_bias")},
                {{"epsilon", m_config.number("layer_norm_eps", 1e-5)}});
}

ValueId ModelBuilder::embedding(std::string_view role, ValueId ids, double scale)
{
    return node("embedding", role, {ids, weights(role)}, {{"scale", scale}});
}

ValueId ModelBuilder::activate(std::string_view name, const std::string& function, ValueId x)
{
    return node("activation", name, {x}, {{"function", function}});
}

ValueId ModelBuilder::scale(std::string_view name, ValueId x, double factor)
{
    return factor == 1 ? x : node("scale", name, {x}, {{"factor", factor}});
}

ValueId ModelBuilder::slice(std::string_view name, ValueId x, std::int64_t begin, std::int64_t end)
{
    return node("slice", name, {x}, {{"axes", Integers{-1}}, {"starts", Integers{begin}}, {"ends", Integers{end}}});
}

ValueId ModelBuilder::firstToken(ValueId x)
{
    const ValueId first =
        node("slice", "first", {x}, {{"axes", Integers{1}}, {"starts", Integers{0}}, {"ends", Integers{1}}});
    return node("reshape", "first_token", {first}, {{"squeeze", Integers{1}}});
}

ValueId ModelBuilder::attention(ValueId x, const AttentionParts& parts, const Attributes& headNorm)
{
    const std::int64_t wide = parts.heads * parts.headSize;
    const std::int64_t narrow = parts.kvHeads * parts.headSize;
    const ValueId fused = has("qkv_proj") ? linear("qkv_proj", x) : kLeftOut;
    const auto projection = [&](const std::string& which, std::int64_t begin, std::int64_t size) {
        return fused == kLeftOut ? linear(which + "_proj", x) : slice(which, fused, begin, begin + size);
    };
    const auto placed = [&](const std::string& which, std::int64_t begin, std::int64_t size) {
        ValueId y = projection(which, begin, size);
        if (has(which + "_norm")) {
            Attributes attributes = headNorm;
            attributes["size"] = parts.headSize;
            y = rmsNorm(which + "_norm", y, std::move(attributes));
        }
        return parts.rope ? node("rope", which + "_rope", {y, parts.rope->factors, parts.rope->longFactors},
                                 parts.rope->attributes)
                          : y;
    };
    const ValueId q = placed("q", 0, wide);
    const ValueId k = placed("k", wide, narrow);
    const ValueId v = projection("v", wide + narrow, narrow);
    Attributes attributes = parts.attributes;
    attributes["heads"] = parts.heads;
    attributes["kv_heads"] = parts.kvHeads;
    return linear("o_proj", node("attention", "attention", {q, k, v, parts.mask}, std::move(attributes)));
}

ValueId ModelBuilder::mlp(ValueId x, const std::string& function)
{
    const Attributes attributes{{"function", function}};
    ValueId inner = kLeftOut;
    if (has("gate_up_proj"))
        inner = node("gated", "gated", {linear("gate_up_proj", x)}, attributes);
    else if (has("gate_proj"))
        inner = node("gated", "gated", {linear("gate_proj", x), linear("up_proj", x)}, attributes);
    else
        inner = activate("activation", function, linear("up_proj", x));
    return linear("down_proj", inner);
}

ValueId ModelBuilder::head(ValueId x)
{
    const std::string_view role = m_model.tiedEmbedding || !has("output") ? "embedding" : "output";
    if (role == "embedding" && !m_model.tiedEmbedding)
        return kLeftOut;
    return node("linear", "output", {x, weights(role), weightsIfAny("output_bias")});
}

Result<graph::Graph> ModelBuilder::finish(const std::vector<std::pair<std::string, ValueId>>& outputs) &&
{
    if (m_error)
        return *std::move(m_error);
    QL_CHECK(m_config.checkUnderstood());
    std::vector<ValueId> ids;
    for (const auto& [name, id] : outputs)
        ids.push_back(id);
    graph::Graph graph = std::move(m_graph).finish(ids);
    for (const auto& [name, id] : outputs)
        graph.values[static_cast<std::size_t>(id)].name = name;
    if (!m_leavesUnused)
        QL_CHECK(checkLayersUsed(graph));
    return graph;
}

Result<void> ModelBuilder::checkLayersUsed(const graph::Graph& graph) const
{
    // Buffers, heads of other tasks, a stored head that the configuration ties to the embedding.
    static constexpr std::array<std::string_view, 9> kRoles{"mask",       "inv_freq",   "position_ids",
                                                            "output",     "classifier", "seq_relationship",
                                                            "mask_token", "qa_outputs", "score"};
    std::vector<bool> used(m_model.layers.size(), false);
    for (const graph::ValueInfo& value : graph.values)
        if (value.layer >= 0)
            used[static_cast<std::size_t>(value.layer)] = true;
    for (std::size_t i = 0; i < m_model.layers.size(); ++i) {
        const Layer& layer = m_model.layers[i];
        std::string_view role = layer.role;
        if (role.ends_with("_bias"))
            role.remove_suffix(5);
        if (used[i] || LayerRoles::isBeside(layer) || std::ranges::find(kRoles, role) != kRoles.end() ||
            layer.name.ends_with("inv_freq") || layer.name.ends_with("position_ids"))
            continue;
        return m_config.refusal("has " + layer.name + ", of which it is not known what it does");
    }
    return {};
}

} // namespace ql
