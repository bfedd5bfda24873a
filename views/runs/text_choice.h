// SPDX-License-Identifier: GPL-3.0-or-later
// Rows of a form that choose what the model reads: a text file, the tokens in a window, how many windows. The text is
// tokenized by a job as soon as it is named, so that its size, or what is wrong with it, is known before the run.
#pragma once

#include "views/runs/prepared_text.h"

#include <QObject>

class QFormLayout;
class QLabel;
class QLineEdit;
class QPushButton;
class QSpinBox;

namespace ql::views {

class JobRunner;

/// Asks for a text file; empty if none was chosen.
QString askForText(QWidget* parent, const QString& current);

class TextChoice : public QObject {
    Q_OBJECT
public:
    TextChoice(Document& document, JobRunner& jobs, TextUse use, QFormLayout& form);

    /// Null while it is being read, or if it cannot be.
    const std::shared_ptr<const PreparedText>& text() const { return m_text; }
    std::int64_t length() const;
    std::int64_t limit() const; // 0: all
    /// Windows that will run; 0 while the text is not there or too short.
    std::int64_t windows() const;
    /// "--text … --context … --windows …" for the command line.
    QString arguments() const;
    void setEnabled(bool enabled);
    /// What will be used from now on.
    void remember() const;

Q_SIGNALS:
    void changed();

private:
    void browse();
    void read();
    void refresh();

    Document& m_document;
    JobRunner& m_jobs;
    TextUse m_use;
    QLineEdit* m_path;
    QPushButton* m_browse;
    QLabel* m_note;
    QSpinBox* m_length;
    QSpinBox* m_limit;
    std::shared_ptr<const PreparedText> m_text;
    QString m_problem;
};

} // namespace ql::views
