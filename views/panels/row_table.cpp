// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/row_table.h"

#include <QHeaderView>
#include <QTableView>

#include <cmath>

namespace ql::views {

void showAsRows(QTableView& table)
{
    table.setSelectionBehavior(QAbstractItemView::SelectRows);
    table.setSelectionMode(QAbstractItemView::SingleSelection);
    table.setAlternatingRowColors(true);
    table.setShowGrid(false);
    table.setTabKeyNavigation(false);
    table.verticalHeader()->hide();
    table.verticalHeader()->setDefaultSectionSize(table.fontMetrics().height() + 6);
}

ViewTable tableOf(const QTableView& table)
{
    const QAbstractItemModel& model = *table.model();
    ViewTable copied;
    std::vector<int> columns;
    for (int column = 0; column < model.columnCount(); ++column)
        if (!table.isColumnHidden(column)) {
            columns.push_back(column);
            copied.header << model.headerData(column, Qt::Horizontal).toString();
        }
    for (int row = 0; row < model.rowCount(); ++row) {
        QStringList& cells = copied.rows.emplace_back();
        for (const int column : columns) {
            const QModelIndex index = model.index(row, column);
            const QVariant value = index.data(Qt::UserRole);
            if (value.typeId() == QMetaType::Double)
                cells << (std::isnan(value.toDouble()) ? QString() : plainNumber(value.toDouble()));
            else
                cells << (value.typeId() == QMetaType::LongLong ? value.toString() : index.data().toString());
        }
    }
    return copied;
}

} // namespace ql::views
