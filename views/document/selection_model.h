// SPDX-License-Identifier: GPL-3.0-or-later
// What every view looks at: the current layer, the selected layers and the cell under the pointer. A change carries its
// origin, so that a view does not answer itself.
#pragma once

#include <QObject>

#include <cstdint>
#include <vector>

namespace ql::views {

class SelectionModel : public QObject {
    Q_OBJECT
public:
    using QObject::QObject;

    /// Index into model.layers, −1: none.
    std::int64_t current() const { return m_current; }
    const std::vector<std::int64_t>& selected() const { return m_selected; } // ascending
    std::int64_t hoveredRow() const { return m_row; }
    std::int64_t hoveredCol() const { return m_col; }

    void setCurrent(std::int64_t layer, const QObject* origin = nullptr);
    void setSelected(std::vector<std::int64_t> layers, const QObject* origin = nullptr);
    void setHovered(std::int64_t row, std::int64_t col, const QObject* origin = nullptr);
    /// Nothing is current, selected or hovered.
    void clear();

Q_SIGNALS:
    void currentChanged(qint64 layer, const QObject* origin);
    void selectedChanged(const QObject* origin);
    void hoveredChanged(qint64 row, qint64 col, const QObject* origin);

private:
    std::int64_t m_current = -1;
    std::vector<std::int64_t> m_selected;
    std::int64_t m_row = -1, m_col = -1;
};

} // namespace ql::views
