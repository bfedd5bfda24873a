// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/runs/measured_plans.h"

#include "views/document/document.h"
#include "views/runs/validation_runs.h"
#include "views/text/format.h"

#include <QFileInfo>

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {

bool isBetter(const ValidationRecord& record, const ValidationRecord* best)
{
    return !best || record.count() > best->count() || (record.count() == best->count() && record.time >= best->time);
}

} // namespace

std::shared_ptr<const Plan> MeasuredPlans::planOf(const ValidationRecord& record)
{
    if (record.isEmpty() || !m_document.isOpen() || record.variant.toStdString() != m_document.variantText())
        return nullptr;
    if (m_model != m_document.model()) {
        m_model = m_document.model();
        m_plans.clear();
    }
    const auto known = m_plans.constFind(record.planJson);
    if (known != m_plans.constEnd())
        return *known;
    auto parsed = parsePlan(record.planJson.toStdString(), *m_model, true);
    auto plan = parsed ? std::make_shared<const Plan>(std::move(*parsed)) : nullptr;
    m_plans.insert(record.planJson, plan);
    return plan;
}

const ValidationRecord* MeasuredPlans::of(const Plan& plan)
{
    const ValidationRecord* best = nullptr;
    for (const ValidationRecord& record : m_runs.records())
        if (const auto measured = planOf(record);
            measured && measured->candidates == plan.candidates && isBetter(record, best))
            best = &record;
    return best;
}

std::vector<MeasuredPlan> MeasuredPlans::all()
{
    std::vector<MeasuredPlan> plans;
    for (const ValidationRecord& record : m_runs.records()) {
        const auto plan = planOf(record);
        if (!plan)
            continue;
        const auto same = std::ranges::find_if(
            plans, [&](const MeasuredPlan& other) { return other.plan->candidates == plan->candidates; });
        if (same == plans.end())
            plans.push_back({.plan = plan, .record = &record});
        else if (isBetter(record, same->record))
            same->record = &record;
    }
    return plans;
}

QString figureText(const ValidationRecord& record)
{
    return record.outputs ? MeasuredPlans::tr("%1 dB").arg(fixedText(record.outputs->leading().sqnrDb, 2))
                          : QStringLiteral("%1 ± %2").arg(numberText(record.last().kld.value),
                                                          numberText(record.last().kld.error, 2));
}

double figureOf(const ValidationRecord& record)
{
    return record.outputs ? -record.outputs->leading().sqnrDb : record.last().kld.value;
}

QString figureTip(const ValidationRecord& record)
{
    QString text = record.outputs ? MeasuredPlans::tr("SQNR of %1").arg(toQString(record.outputs->leading().name))
                                  : MeasuredPlans::tr("KLD in nats per token");
    text = MeasuredPlans::tr("%1 on %2, %3")
               .arg(text, QFileInfo(record.source).fileName(),
                    record.length > 0
                        ? MeasuredPlans::tr("%1 × %2 tokens").arg(countText(record.count()), countText(record.length))
                        : MeasuredPlans::tr("%1 cases").arg(countText(record.count())));
    return record.runtime.isEmpty() ? text : MeasuredPlans::tr("%1, activations as %2").arg(text, record.runtime);
}

QString figureDifference(const ValidationRecord& a, const ValidationRecord& b)
{
    if (a.source != b.source || a.length != b.length || a.count() != b.count() || a.runtime != b.runtime ||
        a.outputs.has_value() != b.outputs.has_value())
        return {};
    if (a.outputs)
        return MeasuredPlans::tr("%1 dB").arg(
            signedText(fixedText(b.outputs->leading().sqnrDb - a.outputs->leading().sqnrDb, 2)));
    const Measured& of = a.last().kld;
    const Measured& other = b.last().kld;
    return MeasuredPlans::tr("%1 ± %2 nats per token")
        .arg(signedText(numberText(other.value - of.value)), numberText(std::hypot(of.error, other.error), 2));
}

} // namespace ql::views
