// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/bench/bench_model.h"

#include "core/export/export.h"
#include "views/panels/bench/bench_run.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QApplication>

#include <algorithm>

namespace ql::views {

namespace {

const QString kFrontMark = QStringLiteral("●");

bool isText(int column)
{
    return column == BenchModel::kLayer || column == BenchModel::kCandidate || column == BenchModel::kTransform ||
           column == BenchModel::kRunsIn;
}

bool hasObjective(const BenchEntry& entry)
{
    return entry.refusal.empty() && !entry.report.objective.empty();
}

QString objectiveText(const QuantizerReport& report)
{
    if (report.keptRtn)
        return BenchModel::tr("rtn kept");
    return report.rtn > 0 ? fixedText(report.reached / report.rtn, 3) : QStringLiteral("—");
}

/// The targets whose runtimes compute from it, or that there is none.
QString runsInText(const BenchEntry& entry)
{
    QStringList runtimes;
    QStringList stores;
    for (const std::string_view id : entry.runsIn) {
        const auto target = findTarget(id);
        (target && (*target)->profile.onlyStores ? stores : runtimes) << toQString(id);
    }
    if (!runtimes.isEmpty())
        return runtimes.join(QStringLiteral(", "));
    return stores.isEmpty() ? BenchModel::tr("nowhere")
                            : BenchModel::tr("stored in %1 only").arg(stores.join(QStringLiteral(", ")));
}

} // namespace

BenchModel::BenchModel(const BenchRun& run, QObject* parent) : QAbstractTableModel(parent), m_run(run)
{
    connect(&run, &BenchRun::reset, this, [this] {
        beginResetModel();
        m_count = 0;
        m_hovered = -1;
        endResetModel();
    });
    connect(&run, &BenchRun::arrived, this, &BenchModel::takeNew);
    connect(&run, &BenchRun::marked, this, [this] {
        if (m_count > 0)
            Q_EMIT dataChanged(index(0, kFront), index(m_count - 1, kFront));
    });
}

void BenchModel::takeNew()
{
    const int before = m_count;
    const int now = static_cast<int>(m_run.entries().size());
    beginInsertRows({}, before, now - 1);
    m_count = now;
    endInsertRows();
    if (before > 0)
        Q_EMIT dataChanged(index(0, kFront), index(before - 1, kFront));
}

const BenchEntry& BenchModel::entry(int row) const
{
    return m_run.entries()[static_cast<std::size_t>(row)];
}

bool BenchModel::isUsed(int column) const
{
    const auto any = [this](auto has) {
        return std::any_of(m_run.entries().begin(), m_run.entries().begin() + m_count, has);
    };
    switch (column) {
    case kLayer:
        return m_run.layers().size() > 1;
    case kTransform:
        return m_count > 0 && anyTransform(m_run.transforms());
    case kOutput:
        return any([](const BenchEntry& entry) { return entry.outputError.has_value(); });
    case kObjective:
        return any(hasObjective);
    default:
        return true;
    }
}

void BenchModel::tell(int row)
{
    if (row >= 0 && row < m_count)
        Q_EMIT dataChanged(index(row, 0), index(row, kColumns - 1), {Qt::BackgroundRole});
}

void BenchModel::setHovered(int row)
{
    if (row == m_hovered)
        return;
    tell(std::exchange(m_hovered, row));
    tell(row);
}

int BenchModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : m_count;
}

int BenchModel::columnCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : static_cast<int>(kColumns);
}

QString BenchModel::textOf(const BenchEntry& entry, int column) const
{
    switch (column) {
    case kLayer:
        return toQString(m_run.layer(entry.layer).name);
    case kCandidate:
        return toQString(printCandidate(m_run.candidateOf(entry)));
    case kTransform:
        return toQString(printTransform(m_run.transformOf(entry)));
    default:
        break;
    }
    if (!entry.refusal.empty() && entry.bitsPerWeight > 0) { // the quantizer refused, what is stored is known
        if (column == kBits)
            return fixedText(entry.bitsPerWeight, 3);
        if (column == kRunsIn)
            return runsInText(entry);
    }
    if (!entry.refusal.empty())
        return column == kFront ? QString() : column == kSqnr ? tr("refused") : QStringLiteral("—");
    switch (column) {
    case kBits:
        return fixedText(entry.bitsPerWeight, 3);
    case kRunsIn:
        return runsInText(entry);
    case kFront:
        return entry.onFront ? kFrontMark : QString();
    case kOutput:
        return entry.outputError ? numberText(*entry.outputError) : QStringLiteral("—");
    case kSqnr:
        return fixedText(entry.error.sqnrDb(), 2);
    case kMse:
        return numberText(entry.error.mse());
    case kMax:
        return numberText(entry.error.maxAbsError);
    case kObjective:
        return hasObjective(entry) ? objectiveText(entry.report) : QStringLiteral("—");
    case kTime:
        return fixedText(entry.seconds * 1e3, 1);
    default:
        return {};
    }
}

QVariant BenchModel::sortValue(const BenchEntry& entry, int column) const
{
    switch (column) {
    case kLayer:
        return static_cast<int>(entry.layer); // a place, no figure
    case kBits:
        return entry.bitsPerWeight > 0 ? QVariant(entry.bitsPerWeight) : QVariant();
    case kCandidate:
    case kTransform:
    case kRunsIn:
        return textOf(entry, column);
    default:
        break;
    }
    if (!entry.refusal.empty())
        return {}; // after all others
    switch (column) {
    case kFront:
        return entry.onFront ? 1 : 0;
    case kOutput:
        return entry.outputError ? QVariant(*entry.outputError) : QVariant();
    case kSqnr:
        return entry.error.sqnrDb();
    case kMse:
        return entry.error.mse();
    case kMax:
        return entry.error.maxAbsError;
    case kObjective:
        return hasObjective(entry) && entry.report.rtn > 0
                   ? QVariant(entry.report.keptRtn ? 1.0 : entry.report.reached / entry.report.rtn)
                   : QVariant();
    case kTime:
        return entry.seconds;
    default:
        return {};
    }
}

QString BenchModel::tipOf(const BenchEntry& entry, int column) const
{
    if (!entry.refusal.empty())
        return tr("Refused: %1").arg(toQString(entry.refusal));
    switch (column) {
    case kFront:
        return entry.onFront ? tr("No other candidate has fewer bits and no larger error.") : QString();
    case kLayer:
    case kCandidate:
    case kTransform:
        return textOf(entry, column);
    case kObjective:
        return hasObjective(entry) ? tr("%1: %2 of rtn's codes, %3 reached")
                                         .arg(toQString(entry.report.objective), numberText(entry.report.rtn, 4),
                                              numberText(entry.report.reached, 4))
                                   : tr("This quantizer has no objective of its own.");
    default:
        return {};
    }
}

QVariant BenchModel::data(const QModelIndex& index, int role) const
{
    if (!index.isValid() || index.row() >= m_count)
        return {};
    const BenchEntry& its = entry(index.row());
    const int column = index.column();
    switch (role) {
    case Qt::DisplayRole:
        return textOf(its, column);
    case Qt::UserRole:
        return sortValue(its, column);
    case Qt::ToolTipRole:
        return tipOf(its, column);
    case Qt::AccessibleTextRole:
        return column == kFront && its.onFront ? QVariant(tr("Pareto")) : QVariant();
    case Qt::TextAlignmentRole: {
        const bool isMark = column == kFront;
        return static_cast<int>((isText(column) ? Qt::AlignLeft
                                 : isMark       ? Qt::AlignHCenter
                                                : Qt::AlignRight) |
                                Qt::AlignVCenter);
    }
    case Qt::ForegroundRole: {
        const Colors c = colors(QApplication::palette());
        if (!its.refusal.empty())
            return c.dim;
        return column == kFront ? QVariant(c.accent) : QVariant();
    }
    case Qt::BackgroundRole:
        if (index.row() == m_hovered) {
            QColor tint = colors(QApplication::palette()).accent;
            tint.setAlpha(60);
            return tint;
        }
        return {};
    default:
        return {};
    }
}

QVariant BenchModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal || section < 0 || section >= kColumns)
        return {};
    struct Header {
        QString title, tip;
    };
    const auto header = [section]() -> Header {
        switch (section) {
        case kFront:
            return {tr("front"), tr("The Pareto set of the layer: no other entry has fewer bits and no larger "
                                    "error (of the output where it is known of all, else of the weights)")};
        case kLayer:
            return {tr("layer"), {}};
        case kCandidate:
            return {tr("candidate"), tr("scheme@quantizer; Enter explains it")};
        case kTransform:
            return {tr("transform"), tr("The variant it was tried on; none: the model that is shown, as it is")};
        case kBits:
            return {tr("bits/weight"), tr("Stored bits of codes, scales, zero points and padding ÷ number of weights")};
        case kOutput:
            return {tr("output error"),
                    tr("tr(ΔW·H·ΔWᵀ) ÷ tr(W·H·Wᵀ), H = XᵀX of the layer's inputs: the error of the layer's output "
                       "over its energy")};
        case kSqnr:
            return {tr("SQNR / dB"), tr("10·log₁₀(Σw² ÷ Σ(w − ŵ)²): higher is better")};
        case kMse:
            return {tr("weight MSE"), tr("Σ(w − ŵ)² ÷ number of weights")};
        case kMax:
            return {tr("max |Δw|"), tr("The largest |w − ŵ|")};
        case kObjective:
            return {tr("vs. rtn"), tr("The quantizer's own objective ÷ that of rtn's codes; \"rtn kept\" where it "
                                      "found nothing better and returned those")};
        case kTime:
            return {tr("time / ms"), tr("To choose scales and codes")};
        case kRunsIn:
            return {tr("runs in"),
                    tr("Targets that hold the candidate in this layer and whose runtimes compute from it")};
        default:
            return {};
        }
    }();
    if (role == Qt::DisplayRole)
        return header.title;
    if (role == Qt::ToolTipRole)
        return header.tip.isEmpty() ? QVariant() : header.tip;
    if (role == Qt::TextAlignmentRole)
        return static_cast<int>((isText(section)     ? Qt::AlignLeft
                                 : section == kFront ? Qt::AlignHCenter
                                                     : Qt::AlignRight) |
                                Qt::AlignVCenter);
    return {};
}

} // namespace ql::views
