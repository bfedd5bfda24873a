// SPDX-License-Identifier: GPL-3.0-or-later
// What the bench found, a row per layer, candidate and transform. Qt::UserRole sorts by the number; a candidate that
// was refused is grey and says why in its tool tip.
#pragma once

#include <QAbstractTableModel>

#include <cstdint>

namespace ql {
struct BenchEntry;
}

namespace ql::views {

class BenchRun;

class BenchModel : public QAbstractTableModel {
    Q_OBJECT
public:
    enum Column {
        kLayer,
        kCandidate,
        kTransform,
        kFront,
        kBits,
        kOutput,
        kSqnr,
        kMse,
        kMax,
        kObjective,
        kTime,
        kRunsIn,
        kColumns
    };

    explicit BenchModel(const BenchRun& run, QObject* parent = nullptr);

    const BenchEntry& entry(int row) const;
    /// Whether the column says something of any entry.
    bool isUsed(int column) const;
    /// The row under the pointer, in the table or in the chart; −1: none.
    void setHovered(int row);
    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role = Qt::DisplayRole) const override;
    QVariant headerData(int section, Qt::Orientation orientation, int role = Qt::DisplayRole) const override;

private:
    void takeNew();
    QString textOf(const BenchEntry& entry, int column) const;
    QVariant sortValue(const BenchEntry& entry, int column) const;
    QString tipOf(const BenchEntry& entry, int column) const;
    void tell(int row);

    const BenchRun& m_run;
    int m_count = 0; // rows the views know of
    int m_hovered = -1;
};

} // namespace ql::views
