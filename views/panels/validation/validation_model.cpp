// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/validation/validation_model.h"

#include "core/sensitivity/metric.h"
#include "views/runs/validation_runs.h"
#include "views/text/format.h"

#include <QFileInfo>
#include <QLocale>

namespace ql::views {

namespace {

QString withError(const Measured& measured, int decimals)
{
    return QStringLiteral("%1 ± %2").arg(fixedText(measured.value, decimals), numberText(measured.error, 1));
}

QString unitOf(const QString& metric)
{
    const auto found = findMetric(metric.toStdString());
    return found ? toQString((*found)->unit) : QString();
}

QString textOf(const ValidationRecord& record, int column)
{
    const ValidationPoint& last = record.last();
    switch (column) {
    case ValidationModel::kTime:
        return QLocale().toString(record.time, QLocale::ShortFormat);
    case ValidationModel::kPlan:
        return record.runtime.isEmpty() ? record.plan
                                        : ValidationModel::tr("%1, as %2").arg(record.plan, record.runtime);
    case ValidationModel::kBits:
        return fixedText(record.bitsPerWeight, 3);
    case ValidationModel::kPerplexity:
        return fixedText(last.perplexity.value, 3);
    case ValidationModel::kPlanPerplexity:
        return fixedText(last.planPerplexity.value, 3);
    case ValidationModel::kKld:
        return withError(last.kld, 4);
    case ValidationModel::kSameTop:
        return percentText(last.sameTop.value);
    case ValidationModel::kPredicted:
        return numberText(record.predictedLoss);
    case ValidationModel::kWindows:
        return QStringLiteral("%1 × %2").arg(countText(last.windows), countText(record.length));
    default:
        return QFileInfo(record.text).fileName();
    }
}

QVariant sortValue(const ValidationRecord& record, int column)
{
    const ValidationPoint& last = record.last();
    switch (column) {
    case ValidationModel::kTime:
        return record.time;
    case ValidationModel::kBits:
        return record.bitsPerWeight;
    case ValidationModel::kPerplexity:
        return last.perplexity.value;
    case ValidationModel::kPlanPerplexity:
        return last.planPerplexity.value;
    case ValidationModel::kKld:
        return last.kld.value;
    case ValidationModel::kSameTop:
        return last.sameTop.value;
    case ValidationModel::kPredicted:
        return record.predictedLoss;
    case ValidationModel::kWindows:
        return static_cast<qlonglong>(last.windows);
    default:
        return textOf(record, column);
    }
}

int alignmentOf(int column)
{
    const bool isText =
        column == ValidationModel::kTime || column == ValidationModel::kPlan || column == ValidationModel::kText;
    return static_cast<int>((isText ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignVCenter);
}

QString tipOf(const ValidationRecord& record, int column)
{
    const ValidationPoint& last = record.last();
    switch (column) {
    case ValidationModel::kPlan:
        return record.plan;
    case ValidationModel::kPerplexity:
        return withError(last.perplexity, 4);
    case ValidationModel::kPlanPerplexity:
        return withError(last.planPerplexity, 4);
    case ValidationModel::kKld:
        return ValidationModel::tr("nats per token: mean %1, median %2, 99.9 % %3")
            .arg(withError(last.kld, 5), numberText(last.medianKld), numberText(last.kld999));
    case ValidationModel::kSameTop:
        return ValidationModel::tr("%1 ± %2 of the tokens have the same most likely next one")
            .arg(percentText(last.sameTop.value), percentText(last.sameTop.error));
    case ValidationModel::kPredicted:
        return ValidationModel::tr("%1, in %2; a prediction to rank plans by, in another unit than the KLD")
            .arg(record.metric, unitOf(record.metric));
    case ValidationModel::kText:
        return record.text;
    default:
        return {};
    }
}

} // namespace

ValidationModel::ValidationModel(ValidationRuns& runs, QObject* parent)
    : QAbstractTableModel(parent), m_runs(runs), m_count(static_cast<int>(runs.records().size()))
{
    connect(&m_runs, &ValidationRuns::added, this, [this] {
        beginInsertRows({}, 0, 0);
        ++m_count;
        endInsertRows();
    });
    connect(&m_runs, &ValidationRuns::grown, this, [this] {
        Q_EMIT dataChanged(index(0, 0), index(0, kColumns - 1), {Qt::DisplayRole, Qt::UserRole});
    });
    connect(&m_runs, &ValidationRuns::reset, this, [this] {
        beginResetModel();
        m_count = static_cast<int>(m_runs.records().size());
        endResetModel();
    });
}

const ValidationRecord& ValidationModel::record(int row) const
{
    return m_runs.records()[static_cast<std::size_t>(m_count - 1 - row)];
}

int ValidationModel::rowCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : m_count;
}

int ValidationModel::columnCount(const QModelIndex& parent) const
{
    return parent.isValid() ? 0 : kColumns;
}

QVariant ValidationModel::data(const QModelIndex& index, int role) const
{
    if (!checkIndex(index, CheckIndexOption::IndexIsValid | CheckIndexOption::ParentIsInvalid))
        return {};
    switch (role) {
    case Qt::DisplayRole:
        return textOf(record(index.row()), index.column());
    case Qt::UserRole:
        return sortValue(record(index.row()), index.column());
    case Qt::ToolTipRole:
        return tipOf(record(index.row()), index.column());
    case Qt::TextAlignmentRole:
        return alignmentOf(index.column());
    default:
        return {};
    }
}

QVariant ValidationModel::headerData(int section, Qt::Orientation orientation, int role) const
{
    if (orientation != Qt::Horizontal)
        return {};
    const QString titles[] = {tr("when"),       tr("plan"),       tr("bits"),      tr("perplexity"), tr("plan's"),
                              tr("KLD / nats"), tr("same top-1"), tr("predicted"), tr("windows"),    tr("text")};
    const QString tips[] = {{},
                            tr("Candidates and on how many layers; double click or Enter adopts the plan"),
                            tr("Stored bits per weight"),
                            tr("Of the unquantized model: exp of the mean negative log-likelihood"),
                            tr("Perplexity of the plan"),
                            tr("Mean KL divergence of the plan from the model, with its standard error over windows"),
                            tr("Tokens where both hold the same next token for the most likely"),
                            tr("Loss that was predicted before the run"),
                            tr("Windows × tokens in each"),
                            {}};
    switch (role) {
    case Qt::DisplayRole:
        return titles[section];
    case Qt::ToolTipRole:
        return tips[section];
    case Qt::TextAlignmentRole:
        return alignmentOf(section);
    default:
        return {};
    }
}

} // namespace ql::views
