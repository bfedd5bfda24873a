// SPDX-License-Identifier: GPL-3.0-or-later
// Which plans were validated: finds the validation that measured the decisions of a plan. Locks, names and targets do
// not matter. GUI thread only.
#pragma once

#include "core/plan/plan.h"
#include "views/runs/validation_record.h"

#include <QCoreApplication>
#include <QHash>

#include <memory>

namespace ql::views {

class Document;
class ValidationRuns;

struct MeasuredPlan {
    std::shared_ptr<const Plan> plan;
    const ValidationRecord* record = nullptr; // valid until there are other records
};

class MeasuredPlans {
    Q_DECLARE_TR_FUNCTIONS(MeasuredPlans)
public:
    MeasuredPlans(const Document& document, const ValidationRuns& runs) : m_document(document), m_runs(runs) {}

    /// The one with the most windows or cases, the newest of equals; null: none.
    const ValidationRecord* of(const Plan& plan);
    /// Every plan of the variant shown that was validated, once, the first that was first.
    std::vector<MeasuredPlan> all();

private:
    std::shared_ptr<const Plan> planOf(const ValidationRecord& record);

    const Document& m_document;
    const ValidationRuns& m_runs;
    std::shared_ptr<const Model> m_model;                // of which the plans are
    QHash<QString, std::shared_ptr<const Plan>> m_plans; // by text; null where it does not fit
};

/// What a validation found, short: the KLD of a language model in nats per token, else the SQNR of its output.
QString figureText(const ValidationRecord& record);
/// The number behind it, to sort by: dB of an output are counted down.
double figureOf(const ValidationRecord& record);
/// On what it was found: "KLD in nats per token on test.txt, 40 × 512 tokens, as llama.cpp".
QString figureTip(const ValidationRecord& record);
/// B's figure less A's, where both were found on the same; empty where they do not compare. The error is that of
/// independent figures; on the same text the true one is mostly smaller.
QString figureDifference(const ValidationRecord& a, const ValidationRecord& b);

} // namespace ql::views
