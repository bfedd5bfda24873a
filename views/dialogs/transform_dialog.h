// SPDX-License-Identifier: GPL-3.0-or-later
// Choosing by which transforms the model is rewritten: ticked in the list, or typed with options; what each does and
// needs is beside it. The variant is made in the background, then shown by the document; what could not be done is told
// here. An empty line is the model as stored.
#pragma once

#include "core/transforms/transform.h"

#include <QDialog>

class QLabel;
class QLineEdit;
class QListWidget;
class QListWidgetItem;
class QProgressBar;
class QPushButton;
class QTextBrowser;

namespace ql::views {

class Document;
class JobRunner;
struct Runs;

class TransformDialog : public QDialog {
    Q_OBJECT
public:
    TransformDialog(Document& document, JobRunner& jobs, Runs& runs, QWidget* parent = nullptr);
    /// Transforms as text: what is shown at first is the document's variant.
    void setText(const QString& text);

private:
    void buildList();
    void explainCurrent();
    void takeTick(const QListWidgetItem* item);
    void followText();
    /// What is missing for the transforms written; empty if they can be tried.
    QString missing(const TransformSpecs& specs) const;
    void refresh();
    void showProgress();
    void start();
    void showNotes(const std::vector<Warning>& notes);
    void say(const QString& text, bool isProblem);

    Document& m_document;
    JobRunner& m_jobs;
    Runs& m_runs;
    QListWidget* m_list;
    QTextBrowser* m_about;
    QLineEdit* m_text;
    QLabel* m_result; // the name of the variant, or what is wrong
    QProgressBar* m_progress;
    QLabel* m_status;
    QPushButton* m_start;
    QPushButton* m_stop;
    bool m_started = false;
};

} // namespace ql::views
