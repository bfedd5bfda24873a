// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/document/plan_figures.h"

#include "views/document/document.h"
#include "views/text/format.h"

#include <cmath>

namespace ql::views {

const Target* targetOf(const Plan& plan)
{
    if (plan.target.empty())
        return nullptr;
    const auto found = findTarget(plan.target);
    return found ? *found : nullptr;
}

PlanFigures figuresOf(const Document& document, const Plan& plan)
{
    const Model& model = *document.model();
    PlanFigures figures{.target = targetOf(plan), .unknown = {}, .fileBytes = {}, .refusal = {}};
    const TargetProfile* profile = figures.target ? &figures.target->profile : nullptr;
    figures.bitsPerWeight = bitsPerWeight(model, plan, layersInPlan(model, profile));
    if (profile) {
        const auto bytes = profile->fileBytes(model, plan);
        if (bytes)
            figures.fileBytes = *bytes;
        else
            figures.refusal = errorText(bytes.error());
    }
    refreshLoss(document, plan, figures);
    return figures;
}

void refreshLoss(const Document& document, const Plan& plan, PlanFigures& figures)
{
    figures.loss = predictLoss(document.table(), plan);
    figures.unknown = !std::isnan(figures.loss) ? QString()
                      : document.isMeasuring()  ? Document::tr("still being measured")
                      : figures.target != document.target()
                          ? Document::tr("its target is another: what it has is not measured for this one")
                          : Document::tr("has candidates that were not measured");
}

double lossOf(const Document& document, std::int64_t layer, const Candidate& candidate)
{
    if (candidate.weights.isKeep())
        return 0;
    const auto item = document.itemOf(layer);
    const auto column = item ? document.table().columnOf(*item, candidate) : std::nullopt;
    return column ? document.knownLoss(layer, *column).loss : std::numeric_limits<double>::quiet_NaN();
}

} // namespace ql::views
