// SPDX-License-Identifier: GPL-3.0-or-later
// Plans that were measured, a row each, the newest first: on what, what was predicted before, in which interval, what
// was measured, and whether that is inside. Qt::UserRole sorts by the number.
#pragma once

#include "core/plan/prediction_records.h"

#include <QAbstractTableModel>

namespace ql::views {

class PredictionsModel : public QAbstractTableModel {
    Q_OBJECT
public:
    enum Column { kPlan, kText, kPredicted, kInterval, kMeasured, kVerdict, kColumns };

    struct Row {
        PredictionRecord record;
        QString plan;        // in short, or the beginning of its hash
        Prediction expected; // before it was measured; of those that were not predicted then, by the others now
        bool isInside() const { return expected.holds(record.point.measured); }
    };

    using QAbstractTableModel::QAbstractTableModel;
    void setRows(std::vector<Row> rows);
    const std::vector<Row>& rows() const { return m_rows; }

    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;

private:
    QString textOf(const Row& row, int column) const;
    /// What the prediction is from.
    static QString originOf(const Row& row);
    static QString headerTip(int column);
    QVariant sortValue(const Row& row, int column) const;

    std::vector<Row> m_rows;
};

} // namespace ql::views
