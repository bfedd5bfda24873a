// SPDX-License-Identifier: GPL-3.0-or-later
// The residual stream of a model, which embeddings start, attention and MLPs add to and only norms read: where a
// rotation or another order of its channels can be folded into weights. Found in the graph.
#pragma once

#include "core/base/result.h"
#include "core/model/graph/graph.h"
#include "core/model/model.h"

namespace ql {

/// What is to become of the channels. Another order passes all norms, and is that of what they make, too.
enum class StreamChange { rotation, order };

struct ResidualStream {
    struct Norm {
        std::int64_t weights = -1, bias = -1; // vectors of `width` elements where the order changes
        double offset = 0;                    // it multiplies by offset + weight
        std::vector<std::int64_t> readers;    // layers that read what it makes
        bool feedsTiedHead = false;           // and the output head that uses an embedding
    };
    /// Rows are values of the stream, or of a stack of experts as many as there are, one below the other.
    struct Writer {
        std::int64_t layer = -1, bias = -1;
    };
    std::int64_t width = 0;
    std::vector<std::int64_t> tables; // embeddings, whose rows are values of the stream
    std::vector<Writer> writers;
    std::vector<Norm> norms;
    std::int64_t tiedHead = -1; // the embedding that is the output head, too
};

/// Refused, naming the node, where something else than RMS norms reads the stream (another order: than norms), or
/// something else than embeddings and linear layers writes it (another order: and norms behind them).
Result<ResidualStream> findResidualStream(const Model& model, const graph::Graph& graph, StreamChange change);

} // namespace ql
