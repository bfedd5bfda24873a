// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/bench/bench_run.h"

#include "core/checkpoint/stored_type.h"
#include "views/document/document.h"
#include "views/text/format.h"

namespace ql::views {

BenchRun::BenchRun(Document& document, JobRunner& jobs, QObject* parent)
    : QObject(parent),
      m_document(document),
      m_feed(jobs, this, QStringLiteral("bench"), [this](std::vector<BenchEntry> entries) { take(std::move(entries)); })
{
    connect(&document, &Document::modelChanged, this, [this] {
        if (m_base && m_base == m_document.baseModel())
            return;
        m_feed.drop();
        m_layers.clear();
        clear();
        Q_EMIT stateChanged();
    });
}

void BenchRun::clear()
{
    m_entries.clear();
    m_problem.clear();
    Q_EMIT reset();
}

void BenchRun::start(std::vector<std::int64_t> layers, std::vector<Candidate> candidates,
                     std::vector<TransformSpecs> transforms)
{
    clear();
    m_base = m_document.baseModel();
    m_model = m_document.model();
    m_layers = std::move(layers);
    m_candidates = std::move(candidates);
    m_transforms = std::move(transforms);
    BenchRequest request{.layers = m_layers,
                         .candidates = m_candidates,
                         .activations = m_document.activations(),
                         .targets = {},
                         .transforms = m_transforms};
    for (const Target* target : allTargets())
        request.targets.push_back(&target->profile);
    m_feed.start(
        tr("Bench"),
        [model = m_model, request = std::move(request)](JobMailbox<BenchEntry>& entries,
                                                        const JobContext& context) -> Result<bool> {
            QL_CHECK(bench(
                model, request, [&entries](const BenchEntry& entry) { entries.put(entry); }, context));
            return true;
        },
        [this](const Result<bool>& result) {
            if (!result && result.error().code != Errc::cancelled)
                m_problem = errorText(result.error());
            Q_EMIT stateChanged();
        });
    Q_EMIT stateChanged();
}

std::string BenchRun::variantOf(const BenchEntry& entry) const
{
    const std::string shown = ql::variantOf(*m_model->checkpoint);
    const std::string more = printTransforms(transformOf(entry));
    return shown + (shown.empty() || more.empty() ? "" : "+") + more;
}

void BenchRun::take(std::vector<BenchEntry> entries)
{
    m_entries.insert(m_entries.end(), std::make_move_iterator(entries.begin()), std::make_move_iterator(entries.end()));
    markFront(m_entries, m_byWeights);
    Q_EMIT arrived();
}

void BenchRun::setByWeights(bool byWeights)
{
    m_byWeights = byWeights;
    markFront(m_entries, m_byWeights);
    Q_EMIT marked();
}

} // namespace ql::views
