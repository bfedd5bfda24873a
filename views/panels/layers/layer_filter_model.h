// SPDX-License-Identifier: GPL-3.0-or-later
// Filters and sorts the layer tree. A block stays while one of its layers does. Unknown values sort last either way.
#pragma once

#include "views/panels/layers/layer_filter.h"

#include <QSortFilterProxyModel>

namespace ql::views {

class LayerTreeModel;

class LayerFilterModel : public QSortFilterProxyModel {
    Q_OBJECT
public:
    explicit LayerFilterModel(LayerTreeModel& source, QObject* parent = nullptr);
    void setFilter(const LayerFilter& filter);

protected:
    bool filterAcceptsRow(int row, const QModelIndex& parent) const override;
    bool lessThan(const QModelIndex& left, const QModelIndex& right) const override;

private:
    LayerTreeModel& m_source;
    LayerFilter m_filter;
};

} // namespace ql::views
