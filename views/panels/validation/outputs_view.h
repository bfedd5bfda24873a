// SPDX-License-Identifier: GPL-3.0-or-later
// How far the outputs of a plan are from the model's, one by one, and how often both find the answers.
#pragma once

#include "views/runs/validation_record.h"

#include <QWidget>

class QLabel;
class QTableWidget;

namespace ql::views {

class OutputsView : public QWidget {
    Q_OBJECT
public:
    explicit OutputsView(QWidget* parent = nullptr);
    void setPoint(const OutputsPoint& point);

private:
    QTableWidget* m_outputs;
    QLabel* m_answersTitle;
    QTableWidget* m_answers;
};

} // namespace ql::views
