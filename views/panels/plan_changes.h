// SPDX-License-Identifier: GPL-3.0-or-later
// Two plans side by side: the layers that differ, what each has there, and by how much the second is larger and loses
// more, layer by layer; totals are the caller's. Qt::UserRole sorts by the number.
#pragma once

#include "core/plan/plan.h"

#include <QAbstractTableModel>

#include <memory>

class QTableView;

namespace ql::views {

class Document;
struct ViewTable;

class PlanChanges : public QAbstractTableModel {
    Q_OBJECT
public:
    enum Column { kLayer, kBefore, kAfter, kBytes, kLoss, kColumns };

    explicit PlanChanges(const Document& document, QObject* parent = nullptr);

    /// Titles name the plans in the header. Null plans: nothing to compare.
    void setPlans(std::shared_ptr<const Plan> before, const QString& beforeTitle, std::shared_ptr<const Plan> after,
                  const QString& afterTitle);
    /// Losses are others by now.
    void refreshLosses();
    std::int64_t layer(int row) const { return m_layers[static_cast<std::size_t>(row)]; }
    /// Payload of all layers, after less before.
    std::int64_t bytes() const;

    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;

private:
    const Candidate& at(const Plan& plan, std::int64_t layer) const;
    std::int64_t bytesOf(std::int64_t layer) const;
    double lossOf(std::int64_t layer) const;

    const Document& m_document;
    std::shared_ptr<const Plan> m_before, m_after;
    QString m_beforeTitle, m_afterTitle;
    std::vector<std::int64_t> m_layers; // that differ
};

/// The look of a table of such changes, sortable, with the menu that copies it.
void showChanges(QTableView& table, PlanChanges& changes);

} // namespace ql::views
