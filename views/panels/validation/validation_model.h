// SPDX-License-Identifier: GPL-3.0-or-later
// Validations as a table, the newest first; the one under way grows in place. Qt::UserRole sorts by the number. Which
// figures there are depends on the model: cells of the others are empty.
#pragma once

#include <QAbstractTableModel>

namespace ql::views {

class ValidationRuns;
struct ValidationRecord;

class ValidationModel : public QAbstractTableModel {
    Q_OBJECT
public:
    enum Column {
        kTime,
        kPlan,
        kVariant,
        kBits,
        kSize,
        kPerplexity,
        kPlanPerplexity,
        kKld,
        kSqnr,
        kCosine,
        kLoss,
        kPlanLoss,
        kTop1,
        kPlanTop1,
        kSameTop,
        kPredicted,
        kCount,
        kSource,
        kColumns
    };

    explicit ValidationModel(ValidationRuns& runs, QObject* parent = nullptr);

    const ValidationRecord& record(int row) const;
    /// Whether the column says something of any validation; of none there are the columns of language models.
    bool isUsed(int column) const;
    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;

private:
    ValidationRuns& m_runs;
    int m_count = 0; // rows the views know of
};

} // namespace ql::views
