// SPDX-License-Identifier: GPL-3.0-or-later
// An entry of the catalogue on a page: the levels of its number format over the histogram of a layer's weights, and
// what core/plan/explain.h has to say of it.
#pragma once

#include "core/analysis/histogram.h"
#include "core/plan/explain.h"

#include <QDialog>

#include <memory>
#include <optional>

class QLabel;
class QTextBrowser;

namespace ql {
class Activations;
struct Model;
} // namespace ql

namespace ql::views {

class ChartView;
class Document;
class JobRunner;

class EntryPage : public QDialog {
    Q_OBJECT
public:
    /// On a layer of the document's model as it is now.
    EntryPage(const Document& document, JobRunner& jobs, std::int64_t layer, const Candidate& candidate,
              QWidget* parent = nullptr);
    ~EntryPage() override;

private:
    struct Picture {
        Histogram weights;
        std::vector<double> levels; // at the median scale
        QString refusal;            // why there are no levels
    };
    static Result<Picture> makePicture(const Model& model, std::int64_t layer, const Candidate& candidate,
                                       const Activations* activations, const JobContext& context);
    void draw();
    QString levelsNote(bool drawn) const;
    QString html(const Explanation& explanation, const QString& runsIn) const;

    JobRunner& m_jobs;
    QString m_layer;
    Candidate m_candidate;
    std::optional<Picture> m_picture;
    std::uint64_t m_job = 0;
    ChartView* m_view;
    QLabel* m_note;
    QTextBrowser* m_text;
};

} // namespace ql::views
