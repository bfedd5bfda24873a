// SPDX-License-Identifier: GPL-3.0-or-later
// Where a factor, a shift or an order of channels can be folded into weights: a value that one producer makes and only
// layers read. Found in the graph, so any architecture that has such places has them here:
//   norm   the output of a norm with weights, which q, k and v, gate and up, experts or the output head read
//   inner  the inside of an MLP, made by up_proj beside a gate (or behind ReLU), read by down_proj
//   value  attention's output, made by v_proj per key-value head, read by o_proj per query head
// What looks like one and is none is named with the reason.
#pragma once

#include "core/model/graph/graph.h"
#include "core/model/model.h"

namespace ql {

struct FoldSite {
    enum class Kind { norm, inner, value };
    /// Rows [first, first + channels) of W[out, in], and of its bias if it has one.
    struct Rows {
        std::int64_t layer = -1, bias = -1;
        std::int64_t first = 0;
    };
    struct Reader {
        std::int64_t layer = -1, bias = -1;
    };
    Kind kind = Kind::norm;
    std::string name;
    std::int64_t block = -1;
    std::int64_t channels = 0;
    std::int64_t norm = -1, normBias = -1; // weights of the norm; the bias may be missing
    double normOffset = 0;                 // the norm multiplies by offset + weight
    Rows producer;                         // of inner and value
    std::optional<Rows> gate;              // of inner: has the same order of channels
    std::vector<Reader> readers;
    std::int64_t heads = 0, keyValueHeads = 0; // of value
    bool scales = true;                        // factors pass; not through an activation function other than ReLU

    /// Columns of the readers: channels, or channels of each query head.
    std::int64_t columns() const { return kind == Kind::value ? channels / keyValueHeads * heads : channels; }
    /// The channel that a column of a reader meets.
    std::int64_t channelOf(std::int64_t column) const;
};

struct FoldSites {
    std::vector<FoldSite> sites; // in the order of the graph
    std::vector<Warning> others; // named, with the reason
};

/// The first few of what was named, and how many more there are: a model has a place of each kind in every block.
std::vector<Warning> abridged(std::vector<Warning> named);

FoldSites findFoldSites(const Model& model, const graph::Graph& graph);

} // namespace ql
