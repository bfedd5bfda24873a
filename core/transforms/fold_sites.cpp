// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/transforms/fold_sites.h"

#include "core/transforms/graph_uses.h"

#include <algorithm>

namespace ql {

namespace {

using graph::Graph;
using graph::kLeftOut;
using graph::Node;
using graph::ValueId;

/// Why a place is no site; empty: it is one.
using Reason = std::string;

class Finder {
public:
    Finder(const Model& model, const Graph& graph) : m_model(model), m_uses(graph) {}

    void visit(const Node& node, std::int64_t block)
    {
        FoldSite site;
        site.name = node.name;
        site.block = block;
        std::optional<Reason> reason;
        if (GraphUses::is(&node, "rms_norm") || GraphUses::is(&node, "layer_norm"))
            reason = norm(node, site);
        else if (GraphUses::is(&node, "gated") || GraphUses::is(&node, "activation"))
            reason = inner(node, site);
        else if (GraphUses::is(&node, "attention"))
            reason = value(node, site);
        if (!reason)
            return;
        if (reason->empty())
            m_found.sites.push_back(std::move(site));
        else
            m_found.others.push_back({node.name, "takes no factors: " + *reason});
    }

    FoldSites found() && { return std::move(m_found); }

private:
    const Layer& layer(std::int64_t index) const { return m_model.layers[static_cast<std::size_t>(index)]; }

    /// Nothing for norms of heads and norms without weights, which nobody would look for here.
    std::optional<Reason> norm(const Node& node, FoldSite& site) const
    {
        site.norm = m_uses.layerAt(node, 1);
        site.normBias = m_uses.layerAt(node, 2);
        if (site.norm < 0 || node.attributes.contains("size"))
            return std::nullopt;
        site.kind = FoldSite::Kind::norm;
        site.normOffset = node.number("offset", 0);
        site.channels = layer(site.norm).numel();
        if (m_uses.usesOf(site.norm) > 1 || (site.normBias >= 0 && m_uses.usesOf(site.normBias) > 1))
            return "its weights are used elsewhere, too";
        if (node.inputs.size() > 2 && node.inputs[2] != kLeftOut && site.normBias < 0)
            return "its bias is computed";
        return addReaders(node.outputs.front(), site);
    }

    /// down(f(gate) · up), or down(f(up)).
    std::optional<Reason> inner(const Node& node, FoldSite& site) const
    {
        site.kind = FoldSite::Kind::inner;
        const bool isGated = GraphUses::is(&node, "gated");
        const bool isFused = isGated && (node.inputs.size() < 2 || node.inputs[1] == kLeftOut);
        const ValueId up = isGated && !isFused ? node.inputs[1] : node.inputs[0];
        FoldSite::Rows rows;
        if (const Reason reason = writer(up, rows); !reason.empty())
            return isGated ? std::optional(reason) : std::nullopt; // activations elsewhere are none of an MLP
        site.channels = layer(rows.layer).shape[0] / (isFused ? 2 : 1);
        if (isFused) {
            site.gate = rows;
            rows.first = site.channels;
        } else if (isGated) {
            FoldSite::Rows gate;
            if (const Reason reason = writer(node.inputs[0], gate); !reason.empty())
                return reason;
            site.gate = gate;
        }
        site.producer = rows;
        site.scales = isGated || node.text("function", "") == "relu";
        const Reason reason = addReaders(node.outputs.front(), site);
        return isGated || reason.empty() ? std::optional(reason) : std::nullopt;
    }

    std::optional<Reason> value(const Node& node, FoldSite& site) const
    {
        site.kind = FoldSite::Kind::value;
        site.heads = node.integer("heads", 1);
        site.keyValueHeads = node.integer("kv_heads", site.heads);
        ValueId v = node.inputs[2];
        const Node* const slice = m_uses.producer(v);
        std::optional<std::int64_t> first;
        if (GraphUses::is(slice, "slice")) { // of q, k, v, one below the other
            const auto* const starts = slice->integers("starts");
            const auto* const ends = slice->integers("ends");
            const auto* const axes = slice->integers("axes");
            if (!starts || !ends || !axes || *axes != std::vector<std::int64_t>{-1} || m_uses.uses(v).size() != 1)
                return "its values are no plain part of another value";
            first = starts->front();
            site.channels = ends->front() - *first;
            v = slice->inputs[0];
        }
        if (const Reason reason = writer(v, site.producer, first.has_value()); !reason.empty())
            return reason;
        if (first)
            site.producer.first = *first;
        else
            site.channels = layer(site.producer.layer).shape[0];
        if (site.channels % site.keyValueHeads != 0 || site.heads % site.keyValueHeads != 0)
            return "its heads do not divide its channels";
        return addReaders(node.outputs.front(), site);
    }

    /// A linear layer that alone makes the value, and of whose output nothing else is made.
    Reason writer(ValueId id, FoldSite::Rows& rows, bool isShared = false) const
    {
        const Node* const node = m_uses.producer(id);
        rows.layer = GraphUses::is(node, "linear") ? m_uses.layerAt(*node, 1) : -1;
        if (rows.layer < 0 || layer(rows.layer).shape.size() != 2)
            return "what it reads is no layer's output";
        rows.bias = m_uses.layerAt(*node, 2);
        if (node->inputs.size() > 2 && node->inputs[2] != kLeftOut && rows.bias < 0)
            return "the bias of " + layer(rows.layer).name + " is computed";
        if (node->integer("experts", 1) > 1)
            return layer(rows.layer).name + " holds all experts in one array";
        if (!isShared && m_uses.uses(id).size() != 1)
            return "others read the output of " + layer(rows.layer).name + ", too";
        if (m_uses.usesOf(rows.layer) > 1 || (rows.bias >= 0 && m_uses.usesOf(rows.bias) > 1))
            return layer(rows.layer).name + " is used elsewhere, too";
        return {};
    }

    Reason addReaders(ValueId id, FoldSite& site) const
    {
        std::map<std::int64_t, std::int64_t> uses; // by layer
        if (const Reason reason = collect(id, site, uses); !reason.empty())
            return reason;
        if (site.readers.empty())
            return "no layer reads it";
        for (const auto& [index, count] : uses) {
            if (m_uses.usesOf(index) != count)
                return layer(index).name + " is used elsewhere, too" +
                       (layer(index).op == Operator::embedding ? ", as the embedding" : "");
            if (layer(index).shape[1] != site.columns())
                return layer(index).name + " reads another width";
        }
        return {};
    }

    Reason collect(ValueId id, FoldSite& site, std::map<std::int64_t, std::int64_t>& uses) const
    {
        if (m_uses.isOutput(id))
            return "it is an output of the model";
        for (const GraphUses::Use& use : m_uses.uses(id)) {
            const Node& node = *use.node;
            if (GraphUses::is(&node, "moe_dispatch") && use.input == 0) {
                if (const Reason reason = collect(node.outputs.front(), site, uses); !reason.empty())
                    return reason;
                continue;
            }
            const std::int64_t read = GraphUses::is(&node, "linear") && use.input == 0 ? m_uses.layerAt(node, 1) : -1;
            if (read < 0 || layer(read).shape.size() != 2)
                return node.name + " (" + std::string(node.op->id) + ") reads it";
            if (site.kind != FoldSite::Kind::norm && node.integer("experts", 1) > 1)
                return layer(read).name + " holds all experts in one array";
            if (uses[read]++ == 0)
                site.readers.push_back({read, m_uses.layerAt(node, 2)});
        }
        return {};
    }

    const Model& m_model;
    GraphUses m_uses;
    FoldSites m_found;
};

} // namespace

std::int64_t FoldSite::channelOf(std::int64_t column) const
{
    if (kind != Kind::value)
        return column;
    const std::int64_t size = channels / keyValueHeads;
    return column / size / (heads / keyValueHeads) * size + column % size;
}

std::vector<Warning> abridged(std::vector<Warning> named)
{
    constexpr std::size_t kShown = 3;
    if (named.size() > kShown + 1) {
        const std::size_t more = named.size() - kShown;
        named.resize(kShown);
        named.back().what += "; " + std::to_string(more) + " other places take none either";
    }
    return named;
}

FoldSites findFoldSites(const Model& model, const Graph& graph)
{
    Finder finder(model, graph);
    for (const graph::Segment& segment : graph.segments)
        for (std::size_t n = segment.begin; n < segment.end; ++n)
            finder.visit(graph.nodes[n], segment.block);
    return std::move(finder).found();
}

} // namespace ql
