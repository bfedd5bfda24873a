// SPDX-License-Identifier: GPL-3.0-or-later
// The document's named plans, a row each: what they weigh, are predicted to lose, and were measured to lose. The
// current one follows every edit. Names are edited in place. Qt::UserRole sorts by the number.
#pragma once

#include "views/document/plan_figures.h"
#include "views/runs/measured_plans.h"

#include <QAbstractTableModel>

namespace ql::views {

class PlansModel : public QAbstractTableModel {
    Q_OBJECT
public:
    enum Column { kName, kSize, kBits, kLoss, kMeasured, kTarget, kColumns };

    PlansModel(Document& document, const ValidationRuns& runs, QObject* parent = nullptr);

    /// Other plans, or another model.
    void reset();
    /// Whether the rows are of another model or list: reset() before anything else.
    bool isStale() const;
    /// The current plan was edited.
    void refreshCurrent();
    /// Losses or validations are others.
    void refreshAll();

    /// Null where its text does not fit the model.
    const std::shared_ptr<const Plan>& plan(int row) const { return m_rows[static_cast<std::size_t>(row)].plan; }
    const PlanFigures& figures(int row) const { return m_rows[static_cast<std::size_t>(row)].figures; }
    QString name(int row) const;
    int current() const;
    const ValidationRecord* measured(int row);

    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;
    Qt::ItemFlags flags(const QModelIndex& index) const override;
    bool setData(const QModelIndex& index, const QVariant& value, int role = Qt::EditRole) override;

private:
    struct Row {
        std::shared_ptr<const Plan> plan;
        QString problem; // why there is none
        PlanFigures figures;
        QString measured, measuredTip;
        double measuredFigure = std::numeric_limits<double>::quiet_NaN();
    };
    Row rowOf(std::size_t index) const;
    void takeMeasured(Row& row);
    QString textOf(const Row& row, int column) const;
    QVariant sortValue(const Row& row, int column) const;
    QString tipOf(const Row& row, int column) const;

    Document& m_document;
    MeasuredPlans m_measured;
    std::shared_ptr<const Model> m_of; // that the rows are of
    std::vector<Row> m_rows;
};

} // namespace ql::views
