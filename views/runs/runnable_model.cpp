// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/runs/runnable_model.h"

#include "core/model/evaluation/cases.h"
#include "core/model/evaluation/generate.h"
#include "core/model/frontends/frontend.h"
#include "views/text/format.h"

#include <QFileInfo>

namespace ql::views {

Result<std::shared_ptr<const RunnableModel>> prepareModel(const std::shared_ptr<const Model>& model)
{
    auto prepared = std::make_shared<RunnableModel>();
    prepared->model = model;
    QL_TRY(graph, buildGraph(*model));
    prepared->graph = std::move(graph);
    prepared->isLanguageModel = isCausalLanguageModel(prepared->graph);
    prepared->readsText = readsTokens(prepared->graph);
    prepared->seesPictures = seesPictures(prepared->graph);
    for (const graph::ValueId id : prepared->graph.inputs)
        if (const auto& input = prepared->graph.values[static_cast<std::size_t>(id)]; !input.isConstant())
            prepared->inputs << toQString(input.name);
    return std::shared_ptr<const RunnableModel>(std::move(prepared));
}

SourceKind sourceKind(const RunnableModel& model, const QString& path)
{
    const QString suffix = QFileInfo(path).suffix().toLower();
    if (suffix == QLatin1String("npz"))
        return model.isLanguageModel ? SourceKind::tokens : SourceKind::arrays;
    if (model.readsText)
        return suffix == QLatin1String("npy") ? SourceKind::tokens : SourceKind::text;
    return model.seesPictures ? SourceKind::pictures : SourceKind::arrays;
}

} // namespace ql::views
