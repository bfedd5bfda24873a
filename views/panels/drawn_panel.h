// SPDX-License-Identifier: GPL-3.0-or-later
// A panel that is drawn anew as a whole. It works only while it is visible and catches up when it is shown.
#pragma once

#include <QWidget>

namespace ql::views {

class DrawnPanel : public QWidget {
    Q_OBJECT
public:
    using QWidget::QWidget;

protected:
    virtual void draw() = 0;
    /// What is shown has changed.
    void touch();
    void showEvent(QShowEvent* event) override;

private:
    bool m_stale = false;
};

} // namespace ql::views
