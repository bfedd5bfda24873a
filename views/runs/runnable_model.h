// SPDX-License-Identifier: GPL-3.0-or-later
// A model with its graph, and what can be run on it: text, pictures, arrays. Immutable and shared.
#pragma once

#include "core/model/graph/graph.h"
#include "core/model/model.h"

#include <QString>
#include <QStringList>

#include <memory>

namespace ql::views {

struct RunnableModel {
    std::shared_ptr<const Model> model;
    graph::Graph graph;
    bool isLanguageModel = false; // each token is predicted from those before it
    bool readsText = false;       // a language model or an encoder
    bool seesPictures = false;
    QStringList inputs; // names of the arrays that it takes
};

/// An error names what there is no graph for.
Result<std::shared_ptr<const RunnableModel>> prepareModel(const std::shared_ptr<const Model>& model);

/// What a path names: a text file, ids of tokens (.npy, of language models .npz too), arrays named as the inputs
/// (.npz), a folder of pictures.
enum class SourceKind { text, tokens, arrays, pictures };
SourceKind sourceKind(const RunnableModel& model, const QString& path);
/// Text or ids: its cases are windows.
inline bool isText(SourceKind kind)
{
    return kind == SourceKind::text || kind == SourceKind::tokens;
}

} // namespace ql::views
