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
    return withErrorText(measured.value, measured.error, decimals);
}

QString unitOf(const QString& metric)
{
    const auto found = findMetric(metric.toStdString());
    return found ? toQString((*found)->unit) : QString();
}

/// Figures of a causal language model.
QString textOf(const ValidationPoint& point, int column)
{
    switch (column) {
    case ValidationModel::kPerplexity:
        return fixedText(point.perplexity.value, 3);
    case ValidationModel::kPlanPerplexity:
        return fixedText(point.planPerplexity.value, 3);
    case ValidationModel::kKld:
        return withError(point.kld, 4);
    case ValidationModel::kSameTop:
        return percentText(point.sameTop.value);
    default:
        return {};
    }
}

/// Figures of any other model, as far as there are answers and logits.
QString textOf(const OutputsPoint& point, int column)
{
    const OutputsScore& score = point.score;
    switch (column) {
    case ValidationModel::kSqnr:
        return fixedText(point.leading().sqnrDb, 2);
    case ValidationModel::kCosine:
        return fixedText(point.leading().cosine.value, 6);
    case ValidationModel::kSameTop:
        return point.hasLogits() ? percentText(score.sameTop.value) : QString();
    default:
        break;
    }
    if (!point.hasAnswers())
        return {};
    switch (column) {
    case ValidationModel::kLoss:
        return fixedText(score.model.loss.value, 4);
    case ValidationModel::kPlanLoss:
        return fixedText(score.other.loss.value, 4);
    case ValidationModel::kTop1:
        return percentText(score.model.top1.value);
    case ValidationModel::kPlanTop1:
        return percentText(score.other.top1.value);
    default:
        return {};
    }
}

QString textOf(const ValidationRecord& record, int column)
{
    switch (column) {
    case ValidationModel::kTime:
        return QLocale().toString(record.time, QLocale::ShortFormat);
    case ValidationModel::kPlan:
        return record.runtime.isEmpty() ? record.plan
                                        : ValidationModel::tr("%1, as %2").arg(record.plan, record.runtime);
    case ValidationModel::kVariant:
        return record.variant;
    case ValidationModel::kBits:
        return fixedText(record.bitsPerWeight, 3);
    case ValidationModel::kSize:
        return record.fileBytes > 0 ? bytesText(record.fileBytes) : QString();
    case ValidationModel::kPredicted:
        return numberText(record.predictedLoss);
    case ValidationModel::kCount:
        return record.length > 0 ? QStringLiteral("%1 × %2").arg(countText(record.count()), countText(record.length))
                                 : countText(record.count());
    case ValidationModel::kSource:
        return QFileInfo(record.source).fileName();
    default:
        return record.outputs ? textOf(*record.outputs, column) : textOf(record.last(), column);
    }
}

QVariant sortValue(const ValidationPoint& point, int column)
{
    switch (column) {
    case ValidationModel::kPerplexity:
        return point.perplexity.value;
    case ValidationModel::kPlanPerplexity:
        return point.planPerplexity.value;
    case ValidationModel::kKld:
        return point.kld.value;
    case ValidationModel::kSameTop:
        return point.sameTop.value;
    default:
        return {};
    }
}

QVariant sortValue(const OutputsPoint& point, int column)
{
    const OutputsScore& score = point.score;
    switch (column) {
    case ValidationModel::kSqnr:
        return point.leading().sqnrDb;
    case ValidationModel::kCosine:
        return point.leading().cosine.value;
    case ValidationModel::kLoss:
        return score.model.loss.value;
    case ValidationModel::kPlanLoss:
        return score.other.loss.value;
    case ValidationModel::kTop1:
        return score.model.top1.value;
    case ValidationModel::kPlanTop1:
        return score.other.top1.value;
    case ValidationModel::kSameTop:
        return score.sameTop.value;
    default:
        return {};
    }
}

QVariant sortValue(const ValidationRecord& record, int column)
{
    switch (column) {
    case ValidationModel::kTime:
        return record.time;
    case ValidationModel::kBits:
        return record.bitsPerWeight;
    case ValidationModel::kSize:
        return record.fileBytes > 0 ? QVariant(static_cast<qlonglong>(record.fileBytes)) : QVariant();
    case ValidationModel::kPredicted:
        return record.predictedLoss;
    case ValidationModel::kCount:
        return static_cast<qlonglong>(record.count());
    case ValidationModel::kPlan:
    case ValidationModel::kVariant:
    case ValidationModel::kSource:
        return textOf(record, column);
    default:
        return record.outputs ? sortValue(*record.outputs, column) : sortValue(record.last(), column);
    }
}

int alignmentOf(int column)
{
    const bool isText = column == ValidationModel::kTime || column == ValidationModel::kPlan ||
                        column == ValidationModel::kVariant || column == ValidationModel::kSource;
    return static_cast<int>((isText ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignVCenter);
}

QString tipOf(const ValidationPoint& point, int column)
{
    switch (column) {
    case ValidationModel::kPerplexity:
        return withError(point.perplexity, 4);
    case ValidationModel::kPlanPerplexity:
        return withError(point.planPerplexity, 4);
    case ValidationModel::kKld:
        return ValidationModel::tr("nats per token: mean %1, median %2, 99.9 % %3")
            .arg(withError(point.kld, 5), numberText(point.medianKld), numberText(point.kld999));
    case ValidationModel::kSameTop:
        return ValidationModel::tr("%1 ± %2 of the tokens have the same most likely next one")
            .arg(percentText(point.sameTop.value), percentText(point.sameTop.error));
    default:
        return {};
    }
}

QString tipOf(const OutputsPoint& point, int column)
{
    const auto with = [](const RowMean& mean) { return withErrorText(mean.value, mean.error, 5); };
    const auto share = [](const RowMean& mean) { return percentWithErrorText(mean.value, mean.error); };
    const OutputsScore& score = point.score;
    const QString output = toQString(point.leading().name);
    switch (column) {
    case ValidationModel::kSqnr:
        return ValidationModel::tr("dB, of %1").arg(output);
    case ValidationModel::kCosine:
        return ValidationModel::tr("of the rows of %1: mean %2, least %3")
            .arg(output, with(point.leading().cosine), fixedText(point.leading().leastCosine, 5));
    case ValidationModel::kSameTop:
        return point.hasLogits() ? share(score.sameTop) : QString();
    default:
        break;
    }
    if (!point.hasAnswers())
        return {};
    switch (column) {
    case ValidationModel::kLoss:
        return with(score.model.loss);
    case ValidationModel::kPlanLoss:
        return with(score.other.loss);
    case ValidationModel::kTop1:
        return share(score.model.top1);
    case ValidationModel::kPlanTop1:
        return share(score.other.top1);
    default:
        return {};
    }
}

QString tipOf(const ValidationRecord& record, int column)
{
    switch (column) {
    case ValidationModel::kPlan:
        return record.plan;
    case ValidationModel::kVariant:
        return record.variant.isEmpty() ? ValidationModel::tr("The model as stored") : record.variant;
    case ValidationModel::kSize:
        return record.fileBytes > 0 ? ValidationModel::tr("%1 bytes").arg(countText(record.fileBytes)) : QString();
    case ValidationModel::kPredicted:
        return ValidationModel::tr("%1, in %2; a prediction to rank plans by, in another unit than what was measured")
            .arg(record.metric, unitOf(record.metric));
    case ValidationModel::kSource:
        return record.source;
    default:
        return record.outputs ? tipOf(*record.outputs, column) : tipOf(record.last(), column);
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

bool ValidationModel::isUsed(int column) const
{
    if (m_count == 0)
        return column != kVariant && column != kSize && (column < kSqnr || column > kPlanTop1);
    for (int row = 0; row < m_count; ++row)
        if (!textOf(record(row), column).isEmpty())
            return true;
    return false;
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
    const bool areWindows = m_count == 0 || record(0).length > 0;
    const QString titles[] = {tr("when"),
                              tr("plan"),
                              tr("variant"),
                              tr("bits"),
                              tr("size"),
                              tr("perplexity"),
                              tr("plan's"),
                              tr("KLD / nats"),
                              tr("SQNR / dB"),
                              tr("cosine"),
                              tr("loss"),
                              tr("plan's"),
                              tr("top-1"),
                              tr("plan's"),
                              tr("same top-1"),
                              tr("predicted"),
                              areWindows ? tr("windows") : tr("cases"),
                              areWindows ? tr("text") : tr("inputs")};
    const QString tips[] = {{},
                            tr("Candidates and on how many layers; double click or Enter adopts the plan"),
                            tr("Transforms of the model that the plan is for; empty: as stored"),
                            tr("Stored bits per weight"),
                            tr("Exact bytes of the files that the target would write"),
                            tr("Of the unquantized model: exp of the mean negative log-likelihood"),
                            tr("Perplexity of the plan"),
                            tr("Mean KL divergence of the plan from the model, with its standard error over windows"),
                            tr("Signal to noise of the plan's output; of logits where the model has some, else of "
                               "the embedding"),
                            tr("Mean cosine between the rows of that output in both versions"),
                            tr("Of the unquantized model: mean of −ln p(answer), nats"),
                            tr("Loss of the plan"),
                            tr("Answers that are the unquantized model's most likely"),
                            tr("Answers that are the plan's most likely"),
                            tr("Where both hold the same token or class for the most likely"),
                            tr("Loss that was predicted before the run"),
                            areWindows ? tr("Windows × tokens in each") : tr("Cases that were run"),
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
