// SPDX-License-Identifier: GPL-3.0-or-later
// A line of text that gives way: it can be as narrow as an ellipsis, ends in one where it is cut, and then shows the
// whole as a tool tip.
#pragma once

#include <QLabel>

namespace ql::views {

class ElidedLabel : public QLabel {
    Q_OBJECT
public:
    explicit ElidedLabel(QWidget* parent = nullptr);
    QSize minimumSizeHint() const override;

protected:
    void paintEvent(QPaintEvent* event) override;
    bool event(QEvent* event) override;
};

} // namespace ql::views
