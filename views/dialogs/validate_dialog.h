// SPDX-License-Identifier: GPL-3.0-or-later
// Choosing what proves the plan: held-out text, arrays or pictures, how many, and whose rounding of activations; and
// what that will take. The validation panel shows the run.
#pragma once

#include <QDialog>

class QComboBox;
class QLabel;
class QLineEdit;
class QPushButton;

namespace ql {
struct Runtime;
}

namespace ql::views {

class Document;
class JobRunner;
class SourceChoice;
struct Runs;

class ValidateDialog : public QDialog {
    Q_OBJECT
public:
    ValidateDialog(Document& document, JobRunner& jobs, Runs& runs, QWidget* parent = nullptr);

Q_SIGNALS:
    void started();

private:
    const Runtime* runtime() const;
    void refresh();
    void start();

    Document& m_document;
    Runs& m_runs;
    SourceChoice* m_source;
    QComboBox* m_runtime;
    QLabel* m_plan;
    QLabel* m_cost;
    QLineEdit* m_command;
    QPushButton* m_start;
};

} // namespace ql::views
