// SPDX-License-Identifier: GPL-3.0-or-later
// The context menu that every view has: copy or save the picture, copy or save the numbers behind it.
#pragma once

#include <QString>
#include <QStringList>

#include <functional>
#include <vector>

class QMenu;
class QWidget;

namespace ql::views {

/// Numbers of a view: a header row and rows of cells, numbers with a decimal point whatever the locale.
struct ViewTable {
    QStringList header;
    std::vector<QStringList> rows;
};

/// Adds the entries to the widget as actions (Qt::ActionsContextMenu) with Ctrl+C for the picture's numbers.
void addViewMenu(QWidget* view, std::function<ViewTable()> table);
QString toTsv(const ViewTable& table);
/// RFC 4180, a decimal point, a header row.
QString toCsv(const ViewTable& table);
/// Shortest text of a number, for tables.
QString plainNumber(double value);

} // namespace ql::views
