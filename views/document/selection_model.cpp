// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/document/selection_model.h"

#include <algorithm>

namespace ql::views {

void SelectionModel::setCurrent(std::int64_t layer, const QObject* origin)
{
    if (layer == m_current)
        return;
    m_current = layer;
    Q_EMIT currentChanged(layer, origin);
}

void SelectionModel::setSelected(std::vector<std::int64_t> layers, const QObject* origin)
{
    std::sort(layers.begin(), layers.end());
    if (layers == m_selected)
        return;
    m_selected = std::move(layers);
    Q_EMIT selectedChanged(origin);
}

void SelectionModel::setHovered(std::int64_t row, std::int64_t col, const QObject* origin)
{
    if (row == m_row && col == m_col)
        return;
    m_row = row;
    m_col = col;
    Q_EMIT hoveredChanged(row, col, origin);
}

void SelectionModel::clear()
{
    setHovered(-1, -1);
    setSelected({});
    setCurrent(-1);
}

} // namespace ql::views
