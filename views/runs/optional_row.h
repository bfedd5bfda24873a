// SPDX-License-Identifier: GPL-3.0-or-later
// A row of a form that comes and goes, behind the row of another field. QFormLayout::setRowVisible() leaves gaps and
// rows without height where labels wrap (Qt 6.4).
#pragma once

class QFormLayout;
class QLabel;
class QWidget;

namespace ql::views {

class OptionalRow {
public:
    /// Not there at first. The title and the field are children of the form's widget, as `above` is.
    OptionalRow(QFormLayout& form, QWidget* above, QLabel* title, QWidget* field);
    void setVisible(bool visible);
    bool isVisible() const;

private:
    QFormLayout& m_form;
    QWidget* m_above;
    QLabel* m_title;
    QWidget* m_field;
};

} // namespace ql::views
