// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/plans/plans_model.h"

#include "views/document/document.h"
#include "views/runs/validation_runs.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QFont>
#include <QGuiApplication>
#include <QPainter>
#include <QPixmap>

#include <cmath>
#include <limits>

namespace ql::views {

namespace {

/// A dot before the current plan, and as much room before the others.
QPixmap mark(bool isCurrent)
{
    constexpr int kSize = 10;
    const qreal ratio = qGuiApp->devicePixelRatio();
    QPixmap pixmap(QSize(kSize, kSize) * ratio);
    pixmap.setDevicePixelRatio(ratio);
    pixmap.fill(Qt::transparent);
    if (isCurrent) {
        QPainter painter(&pixmap);
        painter.setRenderHint(QPainter::Antialiasing);
        painter.setPen(colors(QGuiApplication::palette()).surface); // it is seen on a chosen row, too
        painter.setBrush(colors(QGuiApplication::palette()).accent);
        painter.drawEllipse(QRectF(1, 1, kSize - 2, kSize - 2));
    }
    return pixmap;
}

} // namespace

PlansModel::PlansModel(Document& document, const ValidationRuns& runs, QObject* parent)
    : QAbstractTableModel(parent), m_document(document), m_measured(document, runs)
{}

bool PlansModel::isStale() const
{
    return m_of != m_document.model() || (m_of && m_rows.size() != m_document.namedPlans().plans.size());
}

void PlansModel::reset()
{
    m_of = m_document.model();
    std::vector<Row> rows;
    for (std::size_t i = 0; m_document.isOpen() && i < m_document.namedPlans().plans.size(); ++i) {
        rows.push_back(rowOf(i));
        takeMeasured(rows.back());
    }
    if (rows.size() == m_rows.size()) { // whoever names a plan at the moment goes on
        m_rows = std::move(rows);
        if (!m_rows.empty())
            Q_EMIT dataChanged(index(0, 0), index(rowCount() - 1, kColumns - 1));
        return;
    }
    beginResetModel();
    m_rows = std::move(rows);
    endResetModel();
}

PlansModel::Row PlansModel::rowOf(std::size_t index) const
{
    Row row;
    auto plan = m_document.namedPlan(index);
    if (!plan) {
        row.problem = errorText(plan.error());
        return row;
    }
    row.plan = std::make_shared<const Plan>(std::move(*plan));
    row.figures = figuresOf(m_document, *row.plan);
    return row;
}

void PlansModel::takeMeasured(Row& row)
{
    const ValidationRecord* record = row.plan ? m_measured.of(*row.plan) : nullptr;
    row.measured = record ? figureText(*record) : QString();
    row.measuredTip = record ? figureTip(*record) : tr("Measure validates the plan on held-out text or cases");
    row.measuredFigure = record ? figureOf(*record) : std::numeric_limits<double>::quiet_NaN();
}

void PlansModel::refreshCurrent()
{
    const int row = current();
    if (row < 0 || row >= rowCount())
        return;
    Row& current = m_rows[static_cast<std::size_t>(row)];
    const Totals& totals = m_document.totals(); // what figuresOf() would count once more
    current.plan = std::make_shared<const Plan>(m_document.plan());
    current.figures.target = m_document.target();
    current.figures.bitsPerWeight = totals.bitsPerWeight;
    current.figures.fileBytes = totals.fileBytes;
    current.figures.refusal = totals.refusal;
    refreshLoss(m_document, *current.plan, current.figures);
    takeMeasured(current);
    Q_EMIT dataChanged(index(row, kName + 1), index(row, kColumns - 1)); // a name that is typed stays
}

void PlansModel::refreshAll()
{
    if (m_rows.empty())
        return;
    for (Row& row : m_rows) {
        if (row.plan)
            refreshLoss(m_document, *row.plan, row.figures);
        takeMeasured(row);
    }
    Q_EMIT dataChanged(index(0, kName + 1), index(rowCount() - 1, kColumns - 1));
}

QString PlansModel::name(int row) const
{
    return m_document.namedPlans().plans[static_cast<std::size_t>(row)].name;
}

int PlansModel::current() const
{
    return m_document.isOpen() ? static_cast<int>(m_document.namedPlans().current) : -1;
}

const ValidationRecord* PlansModel::measured(int row)
{
    return plan(row) ? m_measured.of(*plan(row)) : nullptr;
}

int PlansModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : static_cast<int>(m_rows.size());
}

int PlansModel::columnCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : kColumns;
}

QString PlansModel::textOf(const Row& row, int column) const
{
    if (!row.plan)
        return {};
    const PlanFigures& figures = row.figures;
    switch (column) {
    case kSize:
        return figures.fileBytes ? bytesText(*figures.fileBytes) : QStringLiteral("—");
    case kBits:
        return fixedText(figures.bitsPerWeight, 3);
    case kLoss:
        return !std::isnan(figures.loss)  ? numberText(figures.loss, 4)
               : m_document.isMeasuring() ? QStringLiteral("…")
                                          : tr("not measured");
    case kMeasured:
        return row.measured.isEmpty() ? tr("not yet") : row.measured;
    case kTarget:
        return figures.target ? toQString(figures.target->profile.id) : tr("none");
    default:
        return {};
    }
}

QVariant PlansModel::sortValue(const Row& row, int column) const
{
    constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
    if (!row.plan)
        return {};
    switch (column) {
    case kSize:
        return row.figures.fileBytes ? QVariant(static_cast<qlonglong>(*row.figures.fileBytes)) : QVariant(kNone);
    case kBits:
        return row.figures.bitsPerWeight;
    case kLoss:
        return row.figures.loss;
    case kMeasured:
        return row.measuredFigure;
    default:
        return textOf(row, column);
    }
}

QString PlansModel::tipOf(const Row& row, int column) const
{
    if (!row.plan)
        return row.problem;
    switch (column) {
    case kName:
        return planInShort(m_document, *row.plan);
    case kSize:
        return row.figures.fileBytes ? tr("%1 bytes in the target's files").arg(countText(*row.figures.fileBytes))
                                     : row.figures.refusal;
    case kLoss:
        return row.figures.unknown;
    case kMeasured:
        return row.measuredTip;
    default:
        return {};
    }
}

QVariant PlansModel::data(const QModelIndex& index, int role) const
{
    if (!index.isValid())
        return {};
    const Row& row = m_rows[static_cast<std::size_t>(index.row())];
    const int column = index.column();
    const bool isCurrent = index.row() == current();
    switch (role) {
    case Qt::DisplayRole:
    case Qt::EditRole:
        return column == kName ? name(index.row()) : textOf(row, column);
    case Qt::UserRole:
        return column == kName ? QVariant(name(index.row())) : sortValue(row, column);
    case Qt::ToolTipRole:
        return tipOf(row, column);
    case Qt::DecorationRole:
        return column == kName ? QVariant(mark(isCurrent)) : QVariant();
    case Qt::AccessibleTextRole:
        return column == kName && isCurrent ? tr("%1, current").arg(name(index.row())) : QVariant();
    case Qt::TextAlignmentRole:
        return static_cast<int>((column == kName || column == kTarget ? Qt::AlignLeft : Qt::AlignRight) |
                                Qt::AlignVCenter);
    case Qt::FontRole: {
        QFont font;
        font.setBold(isCurrent);
        return isCurrent ? QVariant(font) : QVariant();
    }
    case Qt::ForegroundRole: {
        const bool isMissing = column != kName && (row.measured.isEmpty() && column == kMeasured);
        return isMissing || !row.plan ? QVariant(colors(QGuiApplication::palette()).dim) : QVariant();
    }
    default:
        return {};
    }
}

QVariant PlansModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal)
        return {};
    if (role == Qt::TextAlignmentRole)
        return static_cast<int>((section == kName || section == kTarget ? Qt::AlignLeft : Qt::AlignRight) |
                                Qt::AlignVCenter);
    const Metric* metric = m_document.metric();
    if (role == Qt::ToolTipRole && section == kSize)
        return tr("All files that the target would write");
    if (role == Qt::ToolTipRole && section == kBits)
        return tr("Stored bits per weight: codes, scales, zero points and padding ÷ number of weights");
    if (role == Qt::ToolTipRole && section == kLoss && metric)
        return tr("%1, in %2, summed over the layers").arg(toQString(metric->title), toQString(metric->unit));
    if (role == Qt::ToolTipRole && section == kMeasured)
        return tr("What the last and longest validation found: KLD ± standard error in nats per token, or the SQNR of "
                  "the output");
    if (role != Qt::DisplayRole)
        return {};
    switch (section) {
    case kName:
        return tr("plan");
    case kSize:
        return tr("size");
    case kBits:
        return tr("bits");
    case kLoss:
        return tr("predicted");
    case kMeasured:
        return tr("measured");
    case kTarget:
        return tr("target");
    default:
        return {};
    }
}

Qt::ItemFlags PlansModel::flags(const QModelIndex& index) const
{
    return QAbstractTableModel::flags(index) | (index.column() == kName ? Qt::ItemIsEditable : Qt::NoItemFlags);
}

bool PlansModel::setData(const QModelIndex& index, const QVariant& value, int role)
{
    if (!index.isValid() || index.column() != kName || role != Qt::EditRole || value.toString().trimmed().isEmpty())
        return false;
    m_document.renamePlan(static_cast<std::size_t>(index.row()), value.toString()); // the rows are made anew
    return true;
}

} // namespace ql::views
