// SPDX-License-Identifier: GPL-3.0-or-later
// Validations of plans against the open model: the one under way, growing as windows or cases are through, and the
// earlier ones. What was measured before a cancel is kept. GUI thread only.
#pragma once

#include "core/plan/prediction_records.h"
#include "core/realize/runtime_activations.h"
#include "views/jobs/job_feed.h"
#include "views/runs/prepared_source.h"
#include "views/runs/validation_record.h"

#include <QObject>

#include <optional>

namespace ql::views {

class Document;
class Predictions;

struct ValidationChoice {
    std::shared_ptr<const PreparedSource> source;
    Portion portion;
    const Runtime* runtime = nullptr;
    std::optional<Plan> plan = {}; // of the variant shown; nothing: the document's as it is at the start
};

class ValidationRuns : public QObject {
    Q_OBJECT
public:
    /// What a language model's plan was predicted and measured at goes to `predictions`.
    ValidationRuns(Document& document, JobRunner& jobs, Predictions& predictions);

    void start(const ValidationChoice& choice);
    /// What the last one ran on, without its plan; nothing if that was of another model or variant.
    std::optional<ValidationChoice> lastChoice() const;
    void cancel();
    bool isRunning() const { return m_feed.isRunning(); }
    /// Windows or cases the run under way will take.
    std::int64_t wanted() const { return m_wanted; }
    /// Why the last one failed; empty if it did not.
    const QString& problem() const { return m_problem; }
    /// The last one while it runs is the one under way.
    const std::vector<ValidationRecord>& records() const { return m_records; }

Q_SIGNALS:
    void added();        // a record at the end
    void grown();        // the last record
    void reset();        // other records
    void stateChanged(); // running, failed, done

private:
    void take(const std::vector<ValidationStep>& steps);
    void finish(const Result<std::optional<PredictionRecord>>& result);
    void keep();
    void takeOver();

    Document& m_document;
    std::shared_ptr<const Model> m_base; // that the records are of
    JobRunner& m_jobs;
    Predictions& m_predictions;
    std::optional<ValidationChoice> m_last;
    std::vector<ValidationRecord> m_records;
    std::optional<ValidationRecord> m_begun; // nothing is measured yet
    std::int64_t m_wanted = 0;
    QString m_problem;
    JobFeed<ValidationStep> m_feed;
};

/// "int4:g64 ×84, int8:g64 ×12": the plan's candidates, the most frequent first; keep is left out unless it is all.
QString planInShort(const Document& document, const Plan& plan);

} // namespace ql::views
