// SPDX-License-Identifier: GPL-3.0-or-later
// What is known of a layer's losses, a row each: what every metric says of it, and, where probes ran the model, what
// they measured under each candidate; how sure that is, what it rests on and where the layer stands among the others.
#pragma once

#include "core/sensitivity/layer_report.h"

#include <QTableWidget>

namespace ql::views {

class Document;

class WhyTable : public QTableWidget {
    Q_OBJECT
public:
    enum Column { kLoss, kValue, kEvidence, kTokens, kAge, kInRole, kInAll, kBefore, kBehind, kColumns };

    /// Qt::UserRole of an item is what is copied of it.
    WhyTable(const Document& document, QWidget* parent);
    void showReport(const LayerReport& report);

private:
    QTableWidgetItem* put(int row, int column, const QString& text, const QString& copied);
    void putFigure(int row, std::size_t index, const LayerReport& report);
    void putProbed(int row, std::size_t column, const LayerReport& report);
    void putRanks(int row, const LayerRanks& ranks);
    void putNeighbours(int row, const LayerReport& report, const std::function<double(const LayerNeighbour&)>& valueOf);
    /// The candidates of the layer, if any of them was probed.
    std::vector<std::size_t> probedColumns(std::int64_t layer) const;
    double probedLoss(std::int64_t layer, std::size_t column) const;

    const Document& m_document;
};

} // namespace ql::views
