// SPDX-License-Identifier: GPL-3.0-or-later
// What any plan of the model shown weighs and is predicted to lose, as Totals says it of the plan that is edited.
#pragma once

#include "core/plan/plan.h"

#include <QString>

#include <limits>
#include <optional>

namespace ql {
struct Target;
}

namespace ql::views {

class Document;

struct PlanFigures {
    const Target* target = nullptr; // the plan's; null: none
    double bitsPerWeight = 0;
    double loss = std::numeric_limits<double>::quiet_NaN(); // NaN while something is not measured, see `unknown`
    QString unknown;                                        // why there is no loss
    std::optional<std::int64_t> fileBytes;                  // exact, of the target's files
    QString refusal;                                        // why the target takes the plan not
};

/// The target that the plan names; null where it names none or one that is not known.
const Target* targetOf(const Plan& plan);
/// By the document's table; its loss is known only of candidates that are offered and measured.
PlanFigures figuresOf(const Document& document, const Plan& plan);
/// Fills in what more is measured by now: loss and unknown.
void refreshLoss(const Document& document, const Plan& plan, PlanFigures& figures);
/// The document's loss of a layer under a candidate: 0 of what is kept; NaN while it is not measured.
double lossOf(const Document& document, std::int64_t layer, const Candidate& candidate);

} // namespace ql::views
