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
constexpr double kBarSqnrDb = 60;     // a full bar
constexpr double kBarOutliers = 1e-3; // share of a full bar

QVariant number(double value)
{
    return std::isnan(value) ? QVariant() : QVariant(value);
}

bool isNumeric(int column)
{
    return column == LayerTreeModel::kParameters || column >= LayerTreeModel::kBits;
}

} // namespace

LayerTreeModel::LayerTreeModel(Document& document, QObject* parent) : QAbstractItemModel(parent), m_document(document)
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
        Q_EMIT dataChanged(index(range.first, kCandidate, parent), index(range.second, kColumnCount - 1, parent),
                           roles);
    }
    if (tops.first >= 0)
        Q_EMIT dataChanged(index(tops.first, kCandidate), index(tops.second, kColumnCount - 1), roles);
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
    return kColumnCount;
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

double LayerTreeModel::lossOf(std::int64_t layer) const
{
    const auto cell = m_document.plannedCell(layer);
    return cell ? m_document.lossOf(*cell) : LayerValues::kUnknown;
}

double LayerTreeModel::sqnrOf(std::int64_t layer) const
{
    const auto cell = m_document.plannedCell(layer);
    return cell ? cell->error.sqnrDb() : LayerValues::kUnknown;
}

QString LayerTreeModel::shortName(std::int64_t layer) const
{
    const Layer& l = m_document.layer(layer);
    QString name = toQString(l.name);
    if (l.block >= 0) {
        const QString number = QStringLiteral(".%1.").arg(l.block);
        const qsizetype at = name.indexOf(number);
        if (at >= 0)
            name = name.mid(at + number.size());
    }
    if (name.endsWith(QLatin1String(".weight")))
        name.chop(7);
    return name;
}

LayerValues LayerTreeModel::valuesOf(std::int64_t layer) const
{
    const Layer& l = m_document.layer(layer);
    LayerValues values;
    values.name = toQString(l.name);
    values.role = toQString(l.role);
    values.op = toQString(info(l.op).id);
    values.dtype = toQString(info(l.dtype).word);
    values.block = l.block >= 0 ? static_cast<double>(l.block) : LayerValues::kUnknown;
    values.params = static_cast<double>(l.numel());
    values.size = static_cast<double>(m_document.layerBytes(layer));
    values.bits = m_document.layerBits(layer);
    if (l.quantizable) {
        values.candidate = toQString(printCandidate(m_document.candidate(layer)));
        values.loss = lossOf(layer);
        values.sqnr = sqnrOf(layer);
    }
    const LayerFacts& facts = m_document.facts(layer);
    if (facts.known) {
        values.outliers = facts.outlierShare * 100;
        values.crest = facts.statistics.crestFactor();
        values.kurtosis = facts.statistics.kurtosis;
    }
    return values;
}

QVariant LayerTreeModel::sortValue(std::int64_t layer, int column) const
{
    const Layer& l = m_document.layer(layer);
    const LayerFacts& facts = m_document.facts(layer);
    switch (column) {
    case kName:
        return toQString(l.name);
    case kRole:
        return toQString(l.role.empty() ? info(l.op).id : std::string_view(l.role));
    case kShape:
        return toQString(formatShape(l.shape));
    case kParameters:
        return static_cast<qlonglong>(l.numel());
    case kDtype:
        return toQString(info(l.dtype).word);
    case kCandidate:
        return l.quantizable ? toQString(printCandidate(m_document.candidate(layer))) : QVariant();
    case kBits:
        return m_document.layerBits(layer);
    case kSize:
        return static_cast<qlonglong>(m_document.layerBytes(layer));
    case kLoss:
        return l.quantizable ? number(lossOf(layer)) : QVariant();
    case kSqnr:
        return l.quantizable ? number(sqnrOf(layer)) : QVariant();
    case kOutliers:
        return facts.known ? number(facts.outlierShare) : QVariant();
    case kCrest:
        return facts.known ? number(facts.statistics.crestFactor()) : QVariant();
    case kKurtosis:
        return facts.known ? number(facts.statistics.kurtosis) : QVariant();
    default:
        return {};
    }
}

QVariant LayerTreeModel::display(std::int64_t layer, int column) const
{
    const Layer& l = m_document.layer(layer);
    const QVariant raw = sortValue(layer, column);
    switch (column) {
    case kName:
        return shortName(layer);
    case kRole:
        return raw;
    case kShape:
        return raw;
    case kDtype:
        return raw;
    case kParameters:
        return shortCountText(l.numel());
    case kCandidate:
        return raw;
    case kBits:
        return fixedText(raw.toDouble(), 2);
    case kSize:
        return bytesText(raw.toLongLong());
    case kLoss:
        return raw.isValid() ? numberText(raw.toDouble()) : l.quantizable ? QStringLiteral("…") : QString();
    case kSqnr:
        return raw.isValid() ? fixedText(raw.toDouble(), 1) : l.quantizable ? QStringLiteral("…") : QString();
    case kOutliers:
        return raw.isValid() ? percentText(raw.toDouble()) : QString();
    case kCrest:
    case kKurtosis:
        return raw.isValid() ? numberText(raw.toDouble()) : QString();
    default:
        return {};
    }
}

QVariant LayerTreeModel::barValue(std::int64_t layer, int column) const
{
    const QVariant raw = sortValue(layer, column);
    if (!raw.isValid())
        return {};
    switch (column) {
    case kBits:
        return std::clamp(raw.toDouble() / 16, 0.0, 1.0);
    case kSqnr:
        return std::isfinite(raw.toDouble()) ? QVariant(std::clamp(raw.toDouble() / kBarSqnrDb, 0.0, 1.0)) : QVariant();
    case kOutliers:
        return std::clamp(raw.toDouble() / kBarOutliers, 0.0, 1.0);
    default:
        return {};
    }
}

QVariant LayerTreeModel::blockData(const Top& top, int column, int role) const
{
    if (role == kLayerRole)
        return qlonglong{-1};
    if (role == Qt::TextAlignmentRole && isNumeric(column))
        return int(Qt::AlignRight | Qt::AlignVCenter);
    if (role != Qt::DisplayRole && role != kSortRole)
        return {};
    std::int64_t weights = 0;
    std::int64_t bytes = 0;
    double loss = 0;
    for (const std::int64_t layer : top.children) {
        weights += m_document.layer(layer).numel();
        bytes += m_document.layerBytes(layer);
        if (column == kLoss && m_document.layer(layer).quantizable)
            loss += lossOf(layer);
    }
    const bool raw = role == kSortRole;
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
    case kLoss:
        if (std::isnan(loss))
            return raw ? QVariant() : QVariant(QStringLiteral("…"));
        return raw ? QVariant(loss) : QVariant(numberText(loss));
    default:
        return {};
    }
}

QString LayerTreeModel::toolTip(std::int64_t layer, int column) const
{
    const Layer& l = m_document.layer(layer);
    switch (column) {
    case kName: {
        QString text = toQString(l.name);
        for (const std::string& alias : l.aliases)
            text += tr("\nalso used as %1").arg(toQString(alias));
        return text;
    }
    case kShape: {
        const Shape& stored = m_document.model()->checkpoint->tensors()[static_cast<std::size_t>(l.tensor)].shape;
        return stored == l.shape ? QString() : tr("Stored as %1").arg(toQString(formatShape(stored)));
    }
    case kParameters:
        return tr("%1 weights").arg(countText(l.numel()));
    case kSize:
        return tr("%1 bytes, %2 bits")
            .arg(countText(m_document.layerBytes(layer)), countText(layerPayloadBits(l, m_document.candidate(layer))));
    case kCandidate:
        return l.quantizable ? tr("Double click or F2 to change it; the selection changes along") : QString();
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
        return display(layer, column);
    case Qt::EditRole:
        return column == kCandidate ? display(layer, column) : QVariant();
    case kSortRole:
        return sortValue(layer, column);
    case kBarRole:
        return barValue(layer, column);
    case kLayerRole:
        return static_cast<qlonglong>(layer);
    case Qt::ToolTipRole:
        return toolTip(layer, column);
    case Qt::DecorationRole:
        return column == kCandidate && m_document.layer(layer).quantizable
                   ? QVariant(bitsColor(m_document.layerBits(layer)))
                   : QVariant();
    case Qt::TextAlignmentRole:
        return int((isNumeric(column) ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter);
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
    const Metric* metric = m_document.metric();
    if (role == Qt::TextAlignmentRole)
        return int((isNumeric(section) ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter);
    if (role == Qt::ToolTipRole) {
        switch (section) {
        case kShape:
            return tr("W[out, in…]: a row is an output, groups of a scheme lie along a row");
        case kCandidate:
            return tr("What the plan makes of the layer");
        case kBits:
            return tr("Bits per weight: codes, scales, zero points and padding ÷ weights");
        case kSize:
            return tr("Stored bytes under the plan (MB = 10⁶ bytes)");
        case kLoss:
            return metric ? tr("%1, in %2: %3")
                                .arg(toQString(metric->title), toQString(metric->unit), toQString(metric->formula))
                          : QString();
        case kSqnr:
            return tr("Signal to quantization noise, 10·log₁₀(Σw² ÷ Σ(w−ŵ)²) in dB; higher is better");
        case kOutliers:
            return tr("Share of weights beyond 6 standard deviations");
        case kCrest:
            return tr("Largest magnitude ÷ root mean square of the whole tensor");
        case kKurtosis:
            return tr("Pearson's kurtosis; a normal distribution has 3");
        default:
            return {};
        }
    }
    if (role != Qt::DisplayRole)
        return {};
    switch (section) {
    case kName:
        return tr("layer");
    case kRole:
        return tr("role");
    case kShape:
        return tr("shape");
    case kParameters:
        return tr("weights");
    case kDtype:
        return tr("dtype");
    case kCandidate:
        return tr("candidate");
    case kBits:
        return tr("bits");
    case kSize:
        return tr("size");
    case kLoss:
        return tr("loss");
    case kSqnr:
        return tr("SQNR/dB");
    case kOutliers:
        return tr("outliers");
    case kCrest:
        return tr("crest");
    case kKurtosis:
        return tr("kurtosis");
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
