// SPDX-License-Identifier: GPL-3.0-or-later
// The line above the bars: what the plan weighs and is predicted to lose, how many limits it does not keep; target,
// metric and budget to choose; Balance.
// Two lines where one is too narrow.
#pragma once

#include <QWidget>

class QBoxLayout;
class QComboBox;
class QLineEdit;
class QPushButton;
class QToolButton;

namespace ql::views {

class BudgetBar;
class Document;
class LimitCheck;
class PlanNumbers;
class Predictions;

class SummaryBar : public QWidget {
    Q_OBJECT
public:
    SummaryBar(Document& document, const Predictions& predictions, const LimitCheck& limits, QWidget* parent = nullptr);
    void setBusy(bool busy);

    QSize minimumSizeHint() const override;

Q_SIGNALS:
    void balanceRequested();

protected:
    void resizeEvent(QResizeEvent* event) override;

private:
    void arrange();
    void refreshChoices();
    void refreshTotals();
    void showNumbers();
    void showLimits();
    void takeBudget();

    Document& m_document;
    const Predictions& m_predictions;
    const LimitCheck& m_limits;
    QBoxLayout* m_lines;
    QBoxLayout* m_choices;
    QComboBox* m_target;
    QComboBox* m_metric;
    QLineEdit* m_budget;
    QPushButton* m_balance;
    BudgetBar* m_bar;
    PlanNumbers* m_numbers;
    QToolButton* m_passed; // limits
    bool m_busy = false;
};

} // namespace ql::views
