// SPDX-License-Identifier: GPL-3.0-or-later
// Measuring losses of the open model's layers: on what text, how long, and what that will take, told before it starts;
// then how far it is, and stop. It may be closed meanwhile; opened again it shows the run under way.
#pragma once

#include "views/runs/loss_run.h"

#include <QDialog>

class QLabel;
class QLineEdit;
class QProgressBar;
class QPushButton;
class QSpinBox;

namespace ql::views {

class SourceChoice;
struct Runs;

class LossesDialog : public QDialog {
    Q_OBJECT
public:
    LossesDialog(Document& document, JobRunner& jobs, Runs& runs, QWidget* parent = nullptr);

private:
    LossChoice choice() const;
    void buildForm();
    void refresh();
    void showProgress();
    QString costText() const;
    QString commandText() const;

    Document& m_document;
    JobRunner& m_jobs;
    LossRun& m_run;
    SourceChoice* m_source;
    QSpinBox* m_minutes;
    QLabel* m_cost;
    QLineEdit* m_command;
    QProgressBar* m_progress;
    QLabel* m_status;
    QPushButton* m_start;
    QPushButton* m_stop;
};

/// Shows the dialog, for an action of a menu or panel.
void measureLosses(Document& document, JobRunner& jobs, Runs& runs, QWidget* parent);

} // namespace ql::views
