// SPDX-License-Identifier: GPL-3.0-or-later
// The shortcut sheet, made from the window's actions and the keys that views say they have.
#pragma once

#include <QDialog>

class QAction;

namespace ql::views {

class ShortcutsDialog : public QDialog {
    Q_OBJECT
public:
    /// Lists every action below root that has a shortcut.
    explicit ShortcutsDialog(const QWidget& root, QWidget* parent = nullptr);
};

} // namespace ql::views
