// SPDX-License-Identifier: GPL-3.0-or-later
// What plans of the open model were predicted and measured at, as the study remembers it, and the study that its
// activations are of: how far the prediction of another plan reaches, and whether it holds. GUI thread only.
#pragma once

#include "core/plan/prediction_records.h"

#include <QObject>

#include <functional>
#include <memory>
#include <optional>

namespace ql::views {

class Document;
class JobRunner;

/// Of a source: a metric's title, or that losses were measured.
QString sourceTitle(std::string_view source);

class Predictions : public QObject {
    Q_OBJECT
public:
    Predictions(Document& document, JobRunner& jobs);
    ~Predictions() override;

    /// The later ones last; of the model as stored and of its variants.
    const std::vector<PredictionRecord>& records() const { return m_records; }
    /// One more, which the study keeps; an earlier one of the same plan and quantity gives way.
    void add(const PredictionRecord& record);

    // By what losses are of: the id of a metric, or kProbedLosses (Document::lossSource()).
    /// Of a plan whose items' losses add up to `sum`, with its standard error and whose part each is; nothing where no
    /// plan was measured.
    std::optional<Prediction> expected(std::string_view source, double sum, double error = 0,
                                       const SharesByGroup& shares = {}) const;
    /// The same of the plan that is edited; nothing, too, while a loss of it is not known.
    std::optional<Prediction> ofPlan() const;
    /// False while the last plan that was predicted so was measured outside of its interval.
    bool isTrusted(std::string_view source) const;
    /// What the predictions are off by, a role or block a line.
    QString suspects(std::string_view source) const;

Q_SIGNALS:
    void changed();

private:
    struct Fitted;
    Fitted* fitted(std::string_view source) const; // null without records
    void takeOver();
    void readFrom(std::function<Result<std::vector<PredictionRecord>>()> read);
    void readOther();
    void keep();

    Document& m_document;
    JobRunner& m_jobs;
    std::shared_ptr<const Model> m_base; // that the records are of
    std::filesystem::path m_other;       // study of the activations whose records were read
    std::vector<PredictionRecord> m_records;
    bool m_keepAgain = false;                 // there are others since the job that keeps them began
    mutable std::unique_ptr<Fitted> m_fitted; // of the source that was asked for last
};

} // namespace ql::views
