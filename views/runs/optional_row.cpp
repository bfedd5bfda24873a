// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/runs/optional_row.h"

#include <QFormLayout>
#include <QLabel>

namespace ql::views {

OptionalRow::OptionalRow(QFormLayout& form, QWidget* above, QLabel* title, QWidget* field)
    : m_form(form), m_above(above), m_title(title), m_field(field)
{
    m_title->hide();
    m_field->hide();
}

void OptionalRow::setVisible(bool visible)
{
    if (visible == isVisible())
        return;
    if (visible) {
        int row = 0;
        QFormLayout::ItemRole role{};
        m_form.getWidgetPosition(m_above, &row, &role);
        m_form.insertRow(row + 1, m_title, m_field);
    } else {
        const QFormLayout::TakeRowResult taken = m_form.takeRow(m_field);
        delete taken.labelItem;
        delete taken.fieldItem;
    }
    m_title->setVisible(visible);
    m_field->setVisible(visible);
}

bool OptionalRow::isVisible() const
{
    return m_form.indexOf(m_field) >= 0;
}

} // namespace ql::views
