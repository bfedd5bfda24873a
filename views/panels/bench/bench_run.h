// SPDX-License-Identifier: GPL-3.0-or-later
// The bench's job: candidates tried on layers, entry by entry as each is ready; what was there before a stop is kept.
// GUI thread only.
#pragma once

#include "core/sensitivity/bench.h"
#include "views/jobs/job_feed.h"

#include <QObject>

namespace ql::views {

class Document;

class BenchRun : public QObject {
    Q_OBJECT
public:
    BenchRun(Document& document, JobRunner& jobs, QObject* parent);

    /// Of the document's model as it is now. Entries stay while variants of that model are shown.
    void start(std::vector<std::int64_t> layers, std::vector<Candidate> candidates,
               std::vector<TransformSpecs> transforms);
    void stop() { m_feed.cancel(); }
    bool isRunning() const { return m_feed.isRunning(); }
    /// Entries that the run will have when it is through.
    std::size_t wanted() const { return m_layers.size() * m_candidates.size() * m_transforms.size(); }
    /// In the order they came, fronts marked; those of the last run after it has ended.
    const std::vector<BenchEntry>& entries() const { return m_entries; }
    const Candidate& candidateOf(const BenchEntry& entry) const { return m_candidates[entry.candidate]; }
    const TransformSpecs& transformOf(const BenchEntry& entry) const { return m_transforms[entry.transform]; }
    /// The variant an entry is of, as Document::variantText() names it.
    std::string variantOf(const BenchEntry& entry) const;
    const std::vector<TransformSpecs>& transforms() const { return m_transforms; }
    /// That the run's layers are those of; null before the first.
    const std::shared_ptr<const Model>& model() const { return m_model; }
    const Layer& layer(std::int64_t index) const { return m_model->layers[static_cast<std::size_t>(index)]; }
    /// Layers of the run.
    const std::vector<std::int64_t>& layers() const { return m_layers; }
    /// Whether fronts are of the error of the weights, even where that of the output is known.
    void setByWeights(bool byWeights);
    bool isByWeights() const { return m_byWeights; }
    /// Why it failed; empty if it did not.
    const QString& problem() const { return m_problem; }

Q_SIGNALS:
    void reset();        // no entries any more
    void arrived();      // entries at the end, and fronts may be others
    void marked();       // fronts are others
    void stateChanged(); // began, failed, was stopped, is through

private:
    void take(std::vector<BenchEntry> entries);
    void clear();

    Document& m_document;
    std::shared_ptr<const Model> m_base, m_model;
    std::vector<std::int64_t> m_layers;
    std::vector<Candidate> m_candidates;
    std::vector<TransformSpecs> m_transforms;
    std::vector<BenchEntry> m_entries;
    bool m_byWeights = false;
    QString m_problem;
    JobFeed<BenchEntry> m_feed;
};

} // namespace ql::views
