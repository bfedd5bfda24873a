// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/layers/layer_filter_model.h"

#include "views/panels/layers/layer_tree_model.h"

namespace ql::views {

LayerFilterModel::LayerFilterModel(LayerTreeModel& source, QObject* parent)
    : QSortFilterProxyModel(parent), m_source(source)
{
    setRecursiveFilteringEnabled(true);
    setSortRole(LayerTreeModel::kSortRole);
    setSourceModel(&source);
}

void LayerFilterModel::setFilter(const LayerFilter& filter)
{
    m_filter = filter;
    invalidateFilter();
}

bool LayerFilterModel::filterAcceptsRow(int row, const QModelIndex& parent) const
{
    if (m_filter.isEmpty())
        return true;
    const std::int64_t layer = m_source.layerOf(m_source.index(row, 0, parent));
    return layer >= 0 && m_filter.matches(m_source.valuesOf(layer));
}

bool LayerFilterModel::lessThan(const QModelIndex& left, const QModelIndex& right) const
{
    const QVariant a = left.data(LayerTreeModel::kSortRole);
    const QVariant b = right.data(LayerTreeModel::kSortRole);
    if (a.isValid() && b.isValid() && a.typeId() == b.typeId())
        return QSortFilterProxyModel::lessThan(left, right);
    if (a.isValid() != b.isValid())
        return a.isValid() == (sortOrder() == Qt::AscendingOrder);
    return left.row() < right.row(); // a block beside a layer: the model's order
}

} // namespace ql::views
