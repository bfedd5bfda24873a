// SPDX-License-Identifier: GPL-3.0-or-later
// How full the budget is: a bar with a mark at the budget, and by how much the plan is under or over it.
#pragma once

#include <QWidget>

namespace ql::views {

class BudgetBar : public QWidget {
    Q_OBJECT
public:
    explicit BudgetBar(QWidget* parent = nullptr);
    /// used and budget in the same unit; budget 0: none. The text stands inside.
    void setState(double used, double budget, const QString& text);
    QSize sizeHint() const override;
    QSize minimumSizeHint() const override { return {60, 16}; }

protected:
    void paintEvent(QPaintEvent* event) override;

private:
    double m_used = 0, m_budget = 0;
    QString m_text;
};

} // namespace ql::views
