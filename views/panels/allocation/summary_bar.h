// SPDX-License-Identifier: GPL-3.0-or-later
// The line above the bars: target, metric and budget to choose, what the plan weighs and is predicted to lose, Balance.
#pragma once

#include <QWidget>

class QComboBox;
class QLabel;
class QLineEdit;
class QPushButton;

namespace ql::views {

class BudgetBar;
class Document;

class SummaryBar : public QWidget {
    Q_OBJECT
public:
    explicit SummaryBar(Document& document, QWidget* parent = nullptr);
    void setBusy(bool busy);

Q_SIGNALS:
    void balanceRequested();

private:
    void refreshChoices();
    void refreshTotals();
    void takeBudget();

    Document& m_document;
    QComboBox* m_target;
    QComboBox* m_metric;
    QLineEdit* m_budget;
    QPushButton* m_balance;
    BudgetBar* m_bar;
    QLabel* m_size;
    QLabel* m_loss;
    bool m_busy = false;
};

} // namespace ql::views
