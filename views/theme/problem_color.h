// SPDX-License-Identifier: GPL-3.0-or-later
// Texts that tell of a problem have a colour of their own.
#pragma once

#include <QWidget>

namespace ql::views {

/// The colour of problems, or again that of the widget's parent.
void setProblemColor(QWidget& text, bool isProblem = true);

} // namespace ql::views
