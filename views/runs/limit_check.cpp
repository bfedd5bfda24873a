// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/runs/limit_check.h"

#include "views/document/document.h"
#include "views/jobs/job_runner.h"

#include <algorithm>

namespace ql::views {

namespace {

const QString kChannel = QStringLiteral("limits");

/// Nothing where the measures do not say all.
std::optional<std::vector<LimitUse>> measuredUses(const std::vector<Limit>& limits, const PlanMeasures& measures)
{
    std::vector<LimitUse> uses;
    for (const Limit& limit : limits) {
        auto use = measuredUse(limit, measures);
        if (!use)
            return std::nullopt;
        uses.push_back(std::move(*use));
    }
    return uses;
}

} // namespace

LimitCheck::LimitCheck(Document& document, JobRunner& jobs)
    : m_document(document), m_jobs(jobs), m_latencies(std::make_shared<LatencyFile>())
{
    connect(&m_document, &Document::modelChanged, this, &LimitCheck::look);
    connect(&m_document, &Document::settingsChanged, this, &LimitCheck::look);
    connect(&m_document, &Document::planChanged, this, &LimitCheck::look);
    connect(&m_document, &Document::totalsChanged, this, &LimitCheck::look);
}

std::shared_ptr<PlaceCount> LimitCheck::places()
{
    if (!m_places || m_placesOf.lock() != m_document.model()) {
        m_places = std::make_shared<PlaceCount>();
        m_placesOf = m_document.model();
    }
    return m_places;
}

int LimitCheck::passed() const
{
    return static_cast<int>(std::ranges::count_if(m_uses, [](const LimitUse& use) { return use.excess() > 0; }));
}

void LimitCheck::look()
{
    m_isStale = false;
    const std::vector<Limit> limits = m_document.isOpen() ? m_document.limits() : std::vector<Limit>();
    const Totals& totals = m_document.totals();
    const Metric* metric = m_document.metric();
    const PlanMeasures measures{.fileBytes = totals.fileBytes,
                                .bitsPerWeight = totals.bitsPerWeight,
                                .loss = totals.loss,
                                .lossUnit = metric ? std::string(metric->unit) : std::string()};
    if (auto uses = measuredUses(limits, measures)) {
        take(limits, std::move(*uses));
        return;
    }
    if (m_jobs.isRunning(kChannel)) {
        m_isStale = true; // looks again when that one is done
        return;
    }
    m_jobs.start(
        {.title = tr("Checking limits"), .channel = kChannel, .quiet = true}, this,
        [model = m_document.model(), plan = m_document.plan(), target = m_document.target(), limits, measures,
         latencies = m_latencies, counted = places()](const JobContext& context) {
            return limitUses(*model, plan, target ? &target->profile : nullptr, limits, measures, *latencies, *counted,
                             context);
        },
        [this, limits](Result<std::vector<LimitUse>> uses) {
            const bool isCurrent = m_document.isOpen() && limits == m_document.limits();
            if (uses && isCurrent)
                take(limits, std::move(*uses));
            if (m_isStale)
                look();
        });
}

void LimitCheck::take(const std::vector<Limit>& limits, std::vector<LimitUse> uses)
{
    if (limits.empty() && m_limits.empty())
        return;
    m_limits = limits;
    m_uses = std::move(uses);
    Q_EMIT changed();
}

} // namespace ql::views
