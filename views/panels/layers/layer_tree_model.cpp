// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/layers/layer_tree_model.h"

#include "views/document/document.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace ql::views {

namespace {

constexpr int kFlushMs = 50;

} // namespace

LayerTreeModel::LayerTreeModel(Document& document, QObject* parent)
    : QAbstractItemModel(parent), m_document(document), m_columns(document)
{
    m_flush.setSingleShot(true);
    m_flush.setInterval(kFlushMs);
    connect(&m_flush, &QTimer::timeout, this, &LayerTreeModel::flush);
    connect(&document, &Document::modelChanged, this, &LayerTreeModel::rebuild);
    connect(&document, &Document::planChanged, this, &LayerTreeModel::touch);
    connect(&document, &Document::factsChanged, this, &LayerTreeModel::touch);
    const auto all = [this] { touch(m_document.planLayers()); };
    connect(&document, &Document::tableChanged, this, all);
    connect(&document, &Document::settingsChanged, this, all);
    rebuild();
}

void LayerTreeModel::rebuild()
{
    beginResetModel();
    m_tops.clear();
    m_places.clear();
    m_dirty.clear();
    if (m_document.isOpen()) {
        const auto& layers = m_document.model()->layers;
        std::map<std::int64_t, int> blockTop;
        for (std::size_t i = 0; i < layers.size(); ++i) {
            const auto index = static_cast<std::int64_t>(i);
            const std::int64_t block = layers[i].block;
            if (block < 0) {
                m_places.push_back({static_cast<int>(m_tops.size()), -1});
                m_tops.push_back({index, -1, {}});
                continue;
            }
            const auto [found, fresh] = blockTop.try_emplace(block, static_cast<int>(m_tops.size()));
            if (fresh)
                m_tops.push_back({-1, block, {}});
            Top& top = m_tops[static_cast<std::size_t>(found->second)];
            m_places.push_back({found->second, static_cast<int>(top.children.size())});
            top.children.push_back(index);
        }
    }
    endResetModel();
}

void LayerTreeModel::touch(const std::vector<std::int64_t>& layers)
{
    m_dirty.insert(layers.begin(), layers.end());
    if (!m_flush.isActive())
        m_flush.start();
}

void LayerTreeModel::flush()
{
    m_flush.stop();
    // One range per block: a signal per row would cost a hundred times more.
    std::map<int, std::pair<int, int>> ranges; // top → first and last child
    std::pair<int, int> tops{-1, -1};
    for (const std::int64_t layer : m_dirty) {
        if (layer < 0 || static_cast<std::size_t>(layer) >= m_places.size())
            continue;
        const Place& place = m_places[static_cast<std::size_t>(layer)];
        tops.first = tops.first < 0 ? place.top : std::min(tops.first, place.top);
        tops.second = std::max(tops.second, place.top);
        if (place.child < 0)
            continue;
        const auto [found, fresh] = ranges.try_emplace(place.top, place.child, place.child);
        if (!fresh) {
            found->second.first = std::min(found->second.first, place.child);
            found->second.second = std::max(found->second.second, place.child);
        }
    }
    m_dirty.clear();
    const QList<int> roles{Qt::DisplayRole, Qt::DecorationRole, kSortRole, kBarRole};
    for (const auto& [top, range] : ranges) {
        const QModelIndex parent = index(top, 0);
        Q_EMIT dataChanged(index(range.first, kCandidate, parent), index(range.second, columnCount() - 1, parent),
                           roles);
    }
    if (tops.first >= 0)
        Q_EMIT dataChanged(index(tops.first, kCandidate), index(tops.second, columnCount() - 1), roles);
}

QModelIndex LayerTreeModel::index(int row, int column, const QModelIndex& parent) const
{
    if (!hasIndex(row, column, parent))
        return {};
    return createIndex(row, column, parent.isValid() ? static_cast<quintptr>(parent.row()) + 1 : 0);
}

QModelIndex LayerTreeModel::parent(const QModelIndex& child) const
{
    if (!child.isValid() || child.internalId() == 0)
        return {};
    return createIndex(static_cast<int>(child.internalId() - 1), 0, quintptr{0});
}

int LayerTreeModel::rowCount(const QModelIndex& parent) const
{
    if (!parent.isValid())
        return static_cast<int>(m_tops.size());
    if (parent.internalId() != 0 || parent.column() != 0)
        return 0;
    return static_cast<int>(m_tops[static_cast<std::size_t>(parent.row())].children.size());
}

int LayerTreeModel::columnCount(const QModelIndex&) const
{
    return LayerColumns::count();
}

std::int64_t LayerTreeModel::layerOf(const QModelIndex& index) const
{
    if (!index.isValid())
        return -1;
    if (index.internalId() == 0)
        return m_tops[static_cast<std::size_t>(index.row())].layer;
    return m_tops[static_cast<std::size_t>(index.internalId() - 1)].children[static_cast<std::size_t>(index.row())];
}

QModelIndex LayerTreeModel::indexOf(std::int64_t layer, int column) const
{
    if (layer < 0 || static_cast<std::size_t>(layer) >= m_places.size())
        return {};
    const Place& place = m_places[static_cast<std::size_t>(layer)];
    if (place.child < 0)
        return index(place.top, column);
    return index(place.child, column, index(place.top, 0));
}

QVariant LayerTreeModel::blockData(const Top& top, int column, int role) const
{
    if (role == kLayerRole)
        return qlonglong{-1};
    if (role == Qt::TextAlignmentRole && LayerColumns::isNumeric(column))
        return int(Qt::AlignRight | Qt::AlignVCenter);
    if (role != Qt::DisplayRole && role != kSortRole)
        return {};
    std::int64_t weights = 0;
    std::int64_t bytes = 0;
    double loss = 0;
    for (const std::int64_t layer : top.children) {
        weights += m_document.layer(layer).numel();
        bytes += m_document.layerBytes(layer);
        if ((column == kLoss || LayerColumns::metricOf(column)) && m_document.layer(layer).quantizable)
            loss += m_columns.loss(layer, column);
    }
    const bool raw = role == kSortRole;
    if (column == kLoss || LayerColumns::metricOf(column)) {
        if (std::isnan(loss))
            return raw ? QVariant() : QVariant(m_document.isMeasuring() ? QStringLiteral("…") : QStringLiteral("—"));
        return raw ? QVariant(loss) : QVariant(numberText(loss));
    }
    switch (column) {
    case kName:
        return raw ? QVariant(static_cast<qlonglong>(top.block)) : QVariant(tr("block %1").arg(top.block));
    case kParameters:
        return raw ? QVariant(static_cast<qlonglong>(weights)) : QVariant(shortCountText(weights));
    case kSize:
        return raw ? QVariant(static_cast<qlonglong>(bytes)) : QVariant(bytesText(bytes));
    case kBits: {
        const double bits = weights > 0 ? 8.0 * static_cast<double>(bytes) / static_cast<double>(weights) : 0;
        return raw ? QVariant(bits) : QVariant(fixedText(bits, 2));
    }
    default:
        return {};
    }
}

QVariant LayerTreeModel::data(const QModelIndex& index, int role) const
{
    if (!index.isValid())
        return {};
    const std::int64_t layer = layerOf(index);
    const int column = index.column();
    if (layer < 0)
        return blockData(m_tops[static_cast<std::size_t>(index.row())], column, role);
    switch (role) {
    case Qt::DisplayRole:
        return m_columns.text(layer, column);
    case Qt::EditRole:
        return column == kCandidate ? m_columns.text(layer, column) : QVariant();
    case kSortRole:
        return m_columns.raw(layer, column);
    case kBarRole:
        return m_columns.bar(layer, column);
    case kLayerRole:
        return static_cast<qlonglong>(layer);
    case Qt::ToolTipRole:
        return m_columns.tip(layer, column);
    case Qt::DecorationRole:
        return column == kCandidate && m_document.layer(layer).quantizable
                   ? QVariant(bitsColor(m_document.layerBits(layer)))
                   : QVariant();
    case Qt::TextAlignmentRole:
        return int((LayerColumns::isNumeric(column) ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter);
    default:
        return {};
    }
}

bool LayerTreeModel::setData(const QModelIndex& index, const QVariant& value, int role)
{
    const std::int64_t layer = layerOf(index);
    if (role != Qt::EditRole || index.column() != kCandidate || layer < 0)
        return false;
    const QString text = value.toString();
    std::optional<std::size_t> column;
    for (std::size_t i = 0; i < m_document.table().candidates.size(); ++i) {
        if (m_document.columnText(i) == text)
            column = i;
    }
    if (!column)
        return false;
    std::vector<LayerColumn> changes{{layer, *column}};
    const auto& selected = m_document.selection().selected();
    if (std::find(selected.begin(), selected.end(), layer) != selected.end()) {
        for (const std::int64_t other : selected) {
            if (other != layer)
                changes.push_back({other, *column});
        }
    }
    m_document.assign(changes, tr("Set %1").arg(text));
    return true;
}

QVariant LayerTreeModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal)
        return {};
    switch (role) {
    case Qt::DisplayRole:
        return LayerColumns::title(section);
    case Qt::ToolTipRole:
        return m_columns.titleTip(section);
    case Qt::TextAlignmentRole:
        return int((LayerColumns::isNumeric(section) ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter);
    default:
        return {};
    }
}

Qt::ItemFlags LayerTreeModel::flags(const QModelIndex& index) const
{
    Qt::ItemFlags flags = QAbstractItemModel::flags(index);
    const std::int64_t layer = layerOf(index);
    if (layer >= 0 && index.column() == kCandidate && m_document.layer(layer).quantizable &&
        !m_document.isLocked(layer))
        flags |= Qt::ItemIsEditable;
    return flags;
}

} // namespace ql::views
