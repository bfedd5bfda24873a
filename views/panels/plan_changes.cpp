// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/plan_changes.h"

#include "core/base/checked.h"
#include "views/document/document.h"
#include "views/document/layer_names.h"
#include "views/document/plan_figures.h"
#include "views/panels/row_table.h"
#include "views/panels/view_menu.h"
#include "views/text/format.h"

#include <QHeaderView>
#include <QSortFilterProxyModel>
#include <QTableView>

#include <cmath>

namespace ql::views {

PlanChanges::PlanChanges(const Document& document, QObject* parent) : QAbstractTableModel(parent), m_document(document)
{}

void PlanChanges::setPlans(std::shared_ptr<const Plan> before, const QString& beforeTitle,
                           std::shared_ptr<const Plan> after, const QString& afterTitle)
{
    beginResetModel();
    m_before = std::move(before);
    m_after = std::move(after);
    m_beforeTitle = beforeTitle;
    m_afterTitle = afterTitle;
    m_layers.clear();
    if (m_before && m_after)
        for (const std::int64_t layer : m_document.planLayers())
            if (!(at(*m_before, layer) == at(*m_after, layer)))
                m_layers.push_back(layer);
    endResetModel();
}

void PlanChanges::refreshLosses()
{
    if (!m_layers.empty())
        Q_EMIT dataChanged(index(0, kLoss), index(rowCount() - 1, kLoss));
}

const Candidate& PlanChanges::at(const Plan& plan, std::int64_t layer) const
{
    return plan.candidates[static_cast<std::size_t>(layer)];
}

std::int64_t PlanChanges::bytesOf(std::int64_t layer) const
{
    const Layer& l = m_document.layer(layer);
    return ceilDiv(layerPayloadBits(l, at(*m_after, layer)), 8) - ceilDiv(layerPayloadBits(l, at(*m_before, layer)), 8);
}

double PlanChanges::lossOf(std::int64_t layer) const
{
    return views::lossOf(m_document, layer, at(*m_after, layer)) -
           views::lossOf(m_document, layer, at(*m_before, layer));
}

std::int64_t PlanChanges::bytes() const
{
    std::int64_t sum = 0;
    for (const std::int64_t layer : m_layers)
        sum += bytesOf(layer);
    return sum;
}

int PlanChanges::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : static_cast<int>(m_layers.size());
}

int PlanChanges::columnCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : kColumns;
}

QVariant PlanChanges::data(const QModelIndex& index, int role) const
{
    if (!index.isValid())
        return {};
    const std::int64_t layer = this->layer(index.row());
    const int column = index.column();
    if (role == Qt::TextAlignmentRole)
        return static_cast<int>((column >= kBytes ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter);
    const bool isText = role == Qt::DisplayRole;
    if (role == Qt::ToolTipRole)
        return column == kLayer ? toQString(m_document.layer(layer).name)
               : column == kLoss && std::isnan(lossOf(layer))
                   ? tr("One of both was not measured under the chosen loss, or is not offered")
                   : QString();
    if (!isText && role != Qt::UserRole)
        return {};
    switch (column) {
    case kLayer:
        return isText ? QVariant(nameWithBlock(m_document.layer(layer))) : QVariant(static_cast<qlonglong>(layer));
    case kBefore:
        return toQString(printCandidate(at(*m_before, layer)));
    case kAfter:
        return toQString(printCandidate(at(*m_after, layer)));
    case kBytes:
        return isText ? QVariant(signedText(bytesText(bytesOf(layer))))
                      : QVariant(static_cast<qlonglong>(bytesOf(layer)));
    case kLoss: {
        const double loss = lossOf(layer);
        if (std::isnan(loss))
            return isText ? QVariant(tr("not measured")) : QVariant();
        return isText ? QVariant(signedText(numberText(loss))) : QVariant(loss);
    }
    default:
        return {};
    }
}

QVariant PlanChanges::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal)
        return {};
    if (role == Qt::TextAlignmentRole)
        return static_cast<int>((section >= kBytes ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter);
    const Metric* metric = m_document.metric();
    if (role == Qt::ToolTipRole && section == kLoss && metric)
        return tr("%1, in %2").arg(toQString(metric->title), toQString(metric->unit));
    if (role == Qt::ToolTipRole && section == kBytes)
        return tr("Codes, scales and padding of the layer");
    if (role != Qt::DisplayRole)
        return {};
    switch (section) {
    case kLayer:
        return tr("layer");
    case kBefore:
        return m_beforeTitle;
    case kAfter:
        return m_afterTitle;
    case kBytes:
        return tr("Δ size");
    case kLoss:
        return tr("Δ loss");
    default:
        return {};
    }
}

void showChanges(QTableView& table, PlanChanges& changes)
{
    auto* proxy = new QSortFilterProxyModel(&table);
    proxy->setSourceModel(&changes);
    proxy->setSortRole(Qt::UserRole);
    table.setModel(proxy);
    table.setSortingEnabled(true);
    table.sortByColumn(PlanChanges::kLayer, Qt::AscendingOrder);
    showAsRows(table);
    table.setWordWrap(false);
    table.setMinimumSize(90, 40);
    table.horizontalHeader()->setHighlightSections(false);
    table.horizontalHeader()->setStretchLastSection(true);
    const auto wide = [&table](int column, const QString& sample) {
        table.setColumnWidth(column, table.fontMetrics().horizontalAdvance(sample) + 24);
    };
    wide(PlanChanges::kLayer, QStringLiteral("29 · self_attn.q_proj"));
    wide(PlanChanges::kBefore, QStringLiteral("int4:g64:s=f16@gptq"));
    wide(PlanChanges::kAfter, QStringLiteral("int4:g64:s=f16@gptq"));
    wide(PlanChanges::kBytes, QStringLiteral("+999.9 MB"));
    wide(PlanChanges::kLoss, QStringLiteral("not measured"));
    addViewMenu(&table, [proxy] {
        ViewTable copied{{QStringLiteral("layer"), proxy->headerData(PlanChanges::kBefore, Qt::Horizontal).toString(),
                          proxy->headerData(PlanChanges::kAfter, Qt::Horizontal).toString(),
                          QStringLiteral("bytes_difference"), QStringLiteral("loss_difference")},
                         {}};
        for (int row = 0; row < proxy->rowCount(); ++row) {
            const QVariant loss = proxy->index(row, PlanChanges::kLoss).data(Qt::UserRole);
            copied.rows.push_back(
                {proxy->index(row, PlanChanges::kLayer).data(Qt::ToolTipRole).toString(),
                 proxy->index(row, PlanChanges::kBefore).data().toString(),
                 proxy->index(row, PlanChanges::kAfter).data().toString(),
                 QString::number(proxy->index(row, PlanChanges::kBytes).data(Qt::UserRole).toLongLong()),
                 loss.isValid() ? plainNumber(loss.toDouble()) : QString()});
        }
        return copied;
    });
}

} // namespace ql::views
