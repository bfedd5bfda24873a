// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

class QTableView;

namespace ql::views {

/// The look of a panel's table: rows that are selected one at a time, told apart by colour instead of lines; Tab leaves
/// it.
void showAsRows(QTableView& table);

} // namespace ql::views
