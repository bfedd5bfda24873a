// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/predictions/predictions_model.h"

#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QFileInfo>
#include <QGuiApplication>

#include <cmath>

namespace ql::views {

void PredictionsModel::setRows(std::vector<Row> rows)
{
    beginResetModel();
    m_rows = std::move(rows);
    endResetModel();
}

int PredictionsModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : static_cast<int>(m_rows.size());
}

int PredictionsModel::columnCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : kColumns;
}

QString PredictionsModel::textOf(const Row& row, int column) const
{
    const PredictionRecord& record = row.record;
    switch (column) {
    case kPlan:
        return row.plan;
    case kText:
        return record.of.runtime.empty()
                   ? tr("%1, %2 windows")
                         .arg(QFileInfo(toQString(record.text)).fileName(), countText(record.windowCount))
                   : tr("%1, %2 windows, as %3")
                         .arg(QFileInfo(toQString(record.text)).fileName(), countText(record.windowCount),
                              toQString(record.of.runtime));
    case kPredicted:
        return numberText(row.expected.value, 4);
    case kInterval:
        return record.wasPredicted
                   ? QStringLiteral("%1 … %2").arg(numberText(row.expected.low), numberText(row.expected.high))
                   : QString();
    case kMeasured:
        return QStringLiteral("%1 ± %2").arg(numberText(record.point.measured, 4),
                                             numberText(record.point.standardError, 2));
    case kVerdict:
        return !record.wasPredicted ? tr("not predicted before") : row.isInside() ? tr("inside") : tr("outside");
    default:
        return {};
    }
}

QString PredictionsModel::originOf(const Row& row)
{
    const QString sum = tr("sum of the layers %1, floor %2; from %3 other plans")
                            .arg(numberText(row.record.point.predicted.sum, 4),
                                 numberText(row.record.point.predicted.floor, 3), countText(row.expected.plans));
    return row.record.losses.empty() ? sum
                                     : sum + QLatin1Char('\n') + tr("losses of %1").arg(toQString(row.record.losses));
}

QVariant PredictionsModel::sortValue(const Row& row, int column) const
{
    const auto number = [](double value) { return std::isfinite(value) ? QVariant(value) : QVariant(); };
    switch (column) {
    case kPredicted:
        return number(row.expected.value);
    case kInterval:
        return number(row.expected.high);
    case kMeasured:
        return number(row.record.point.measured);
    default:
        return textOf(row, column);
    }
}

QVariant PredictionsModel::data(const QModelIndex& index, int role) const
{
    if (!index.isValid())
        return {};
    const Row& row = m_rows[static_cast<std::size_t>(index.row())];
    const int column = index.column();
    const bool isNumber = column == kPredicted || column == kInterval || column == kMeasured;
    switch (role) {
    case Qt::DisplayRole:
        return textOf(row, column);
    case Qt::UserRole:
        return sortValue(row, column);
    case Qt::ToolTipRole:
        return column == kPlan ? QVariant(row.plan) : column == kPredicted ? QVariant(originOf(row)) : QVariant();
    case Qt::TextAlignmentRole:
        return static_cast<int>((isNumber ? Qt::AlignRight : Qt::AlignLeft) | Qt::AlignVCenter);
    case Qt::ForegroundRole:
        if (!row.record.wasPredicted)
            return colors(QGuiApplication::palette()).dim;
        return column == kVerdict && !row.isInside() ? QVariant(colors(QGuiApplication::palette()).bad) : QVariant();
    default:
        return {};
    }
}

QString PredictionsModel::headerTip(int column)
{
    switch (column) {
    case kPredicted:
        return tr("KLD in nats per token, before it was measured; of plans that were not predicted, by the others now");
    case kInterval:
        return tr("Nats per token; what is measured lies inside with a probability of %1")
            .arg(percentText(LossModelSettings().level));
    case kMeasured:
        return tr("KLD ± standard error, in nats per token");
    default:
        return {};
    }
}

QVariant PredictionsModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal)
        return {};
    if (role == Qt::TextAlignmentRole)
        return static_cast<int>(
            (section == kPredicted || section == kInterval || section == kMeasured ? Qt::AlignRight : Qt::AlignLeft) |
            Qt::AlignVCenter);
    if (role == Qt::ToolTipRole)
        return headerTip(section);
    if (role != Qt::DisplayRole)
        return {};
    switch (section) {
    case kPlan:
        return tr("plan");
    case kText:
        return tr("on");
    case kPredicted:
        return tr("predicted");
    case kInterval:
        return tr("interval");
    case kMeasured:
        return tr("measured");
    case kVerdict:
        return tr("verdict");
    default:
        return {};
    }
}

} // namespace ql::views
