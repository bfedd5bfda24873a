// SPDX-License-Identifier: GPL-3.0-or-later
// The layers as a tree: blocks with their layers, and what lies outside the blocks; behind the columns that are named
// here one for the loss by each metric. Read-only but for the candidate.
// Roles: kSortRole the raw number or text, kBarRole 0…1 for the bar in a cell, kLayerRole the layer's index (−1 for a
// block). Changes of the document are gathered and told once per 50 ms, one range per block.
#pragma once

#include "views/panels/layers/layer_columns.h"

#include <QAbstractItemModel>
#include <QTimer>

#include <set>
#include <vector>

namespace ql::views {

class Document;

class LayerTreeModel : public QAbstractItemModel {
    Q_OBJECT
public:
    using enum LayerColumns::Id;
    enum Role { kSortRole = Qt::UserRole, kBarRole, kLayerRole };

    explicit LayerTreeModel(Document& document, QObject* parent = nullptr);

    QModelIndex index(int row, int column, const QModelIndex& parent = {}) const override;
    QModelIndex parent(const QModelIndex& child) const override;
    int rowCount(const QModelIndex& parent = {}) const override;
    int columnCount(const QModelIndex& parent = {}) const override;
    QVariant data(const QModelIndex& index, int role) const override;
    bool setData(const QModelIndex& index, const QVariant& value, int role) override;
    QVariant headerData(int section, Qt::Orientation orientation, int role) const override;
    Qt::ItemFlags flags(const QModelIndex& index) const override;

    std::int64_t layerOf(const QModelIndex& index) const;
    QModelIndex indexOf(std::int64_t layer, int column = 0) const;
    LayerValues valuesOf(std::int64_t layer) const { return m_columns.filterValues(layer); }
    /// Tells changes gathered so far at once.
    void flush();

private:
    struct Top {
        std::int64_t layer = -1; // a layer outside the blocks, or
        std::int64_t block = -1; // a block with
        std::vector<std::int64_t> children;
    };
    struct Place {
        int top = -1, child = -1; // child −1: at top level
    };
    void rebuild();
    void touch(const std::vector<std::int64_t>& layers);
    QVariant blockData(const Top& top, int column, int role) const;

    Document& m_document;
    LayerColumns m_columns;
    std::vector<Top> m_tops;
    std::vector<Place> m_places; // by layer
    std::set<std::int64_t> m_dirty;
    QTimer m_flush;
};

} // namespace ql::views
