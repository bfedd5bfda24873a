// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "views/panels/view_menu.h"

class QTableView;

namespace ql::views {

/// The look of a panel's table: rows that are selected one at a time, told apart by colour instead of lines; Tab leaves
/// it.
void showAsRows(QTableView& table);

/// The columns that are shown, for addViewMenu: what Qt::UserRole says where that is a figure (double or long long;
/// nothing where it is no number), else the text. An int there is a place in an order and no figure.
ViewTable tableOf(const QTableView& table);

} // namespace ql::views
