// SPDX-License-Identifier: GPL-3.0-or-later
// Rows of a form that choose what the model is run on: a text and the tokens in a window, or arrays, or pictures and
// their labels, whatever the model takes; and how many windows or cases. A source is read by a job as soon as it is
// named, so that its size, or what is wrong with it, is known before the run.
#pragma once

#include "views/runs/optional_row.h"
#include "views/runs/prepared_source.h"
#include "views/runs/source_paths.h"

#include <QObject>

#include <optional>

class QFormLayout;
class QLabel;
class QLineEdit;
class QPushButton;
class QSpinBox;

namespace ql::views {

class JobRunner;

/// Asks for a text file; empty if none was chosen.
QString askForText(QWidget* parent, const QString& current);

class SourceChoice : public QObject {
    Q_OBJECT
public:
    SourceChoice(Document& document, JobRunner& jobs, SourceUse use, QFormLayout& form);

    /// Null while it is being read, or if it cannot be.
    const std::shared_ptr<const PreparedSource>& source() const { return m_source; }
    Portion portion() const;
    /// Windows or cases that will run; 0 while the source is not there or too short.
    std::int64_t count() const;
    /// "--text … --context … --windows …" for the command line, or what names the source there.
    QString arguments() const;
    /// The same of so many windows or cases; 0: all.
    QString arguments(std::int64_t limit) const;
    void setEnabled(bool enabled);
    /// What will be used from now on.
    void remember() const;

Q_SIGNALS:
    void changed();

private:
    void buildForm();
    void readModel();
    /// Asks for what the model takes.
    void offerSources();
    SourceKind kind() const;
    QString channel() const;
    void browseFile();
    void browseFolder();
    void browseLabels();
    void read();
    void refresh();
    QString note() const;

    Document& m_document;
    JobRunner& m_jobs;
    SourceUse m_use;
    QFormLayout& m_form;
    QLabel* m_title;
    QLineEdit* m_path;
    QPushButton* m_browse;
    QLabel* m_note;
    QLineEdit* m_labels;
    QPushButton* m_browseLabels;
    QSpinBox* m_length;
    QLabel* m_limitTitle;
    QSpinBox* m_limit;
    QLabel* m_limitUnit;
    std::optional<OptionalRow> m_labelsRow;          // of pictures to validate on
    std::optional<OptionalRow> m_lengthRow;          // of text
    std::shared_ptr<const RunnableModel> m_runnable; // null until the model is read
    std::shared_ptr<const PreparedSource> m_source;
    QString m_problem;
};

} // namespace ql::views
