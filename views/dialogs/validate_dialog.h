// SPDX-License-Identifier: GPL-3.0-or-later
// Choosing what proves the plan: held-out text, arrays or pictures, how many, and whose rounding of activations; and
// what that will take. The validation panel shows the run.
#pragma once

#include "core/plan/plan.h"

#include <QDialog>

#include <optional>

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

/// A plan of the variant shown, that need not be the one that is edited.
struct PlanToMeasure {
    QString name;
    Plan plan;
};

/// Validates the plan on what the last validation ran on, or asks on what.
void measurePlan(Document& document, JobRunner& jobs, Runs& runs, const PlanToMeasure& plan, QWidget* parent);

class ValidateDialog : public QDialog {
    Q_OBJECT
public:
    /// Without a plan: the one that is edited, as it is at the start.
    ValidateDialog(Document& document, JobRunner& jobs, Runs& runs, QWidget* parent = nullptr,
                   std::optional<PlanToMeasure> plan = {});

Q_SIGNALS:
    void started();

private:
    const Runtime* runtime() const;
    void refresh();
    void start();

    Document& m_document;
    Runs& m_runs;
    std::optional<PlanToMeasure> m_measured;
    SourceChoice* m_source;
    QComboBox* m_runtime;
    QLabel* m_plan;
    QLabel* m_cost;
    QLineEdit* m_command;
    QPushButton* m_start;
};

} // namespace ql::views
