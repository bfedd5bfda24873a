// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/why/why_table.h"

#include "core/plan/prediction_records.h"
#include "views/document/document.h"
#include "views/panels/row_table.h"
#include "views/panels/view_menu.h"
#include "views/text/format.h"

#include <QDateTime>
#include <QHeaderView>

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {

constexpr int kErrorRole = Qt::UserRole + 1; // of kValue: the standard error, as it is copied
constexpr int kUnitRole = Qt::UserRole + 2;  // of kValue, likewise

QString copiedNumber(double value)
{
    return std::isnan(value) ? QString() : plainNumber(value);
}

QString copiedCount(std::int64_t count)
{
    return count > 0 ? QString::number(count) : QString();
}

ViewTable copiedRows(const QTableWidget& rows)
{
    ViewTable table;
    for (int column = 0; column < rows.columnCount(); ++column)
        table.header << rows.horizontalHeaderItem(column)->text();
    table.header.insert(WhyTable::kValue + 1, WhyTable::tr("standard error"));
    table.header.insert(WhyTable::kValue + 2, WhyTable::tr("unit"));
    for (int row = 0; row < rows.rowCount(); ++row) {
        QStringList cells;
        for (int column = 0; column < rows.columnCount(); ++column)
            cells << rows.item(row, column)->data(Qt::UserRole).toString();
        cells.insert(WhyTable::kValue + 1, rows.item(row, WhyTable::kValue)->data(kErrorRole).toString());
        cells.insert(WhyTable::kValue + 2, rows.item(row, WhyTable::kValue)->data(kUnitRole).toString());
        table.rows.push_back(cells);
    }
    return table;
}

void setBold(QTableWidgetItem& item)
{
    QFont bold = item.font();
    bold.setBold(true);
    item.setFont(bold);
}

QString rankText(const LayerRank& rank)
{
    return rank.place > 0 ? WhyTable::tr("%1. of %2").arg(rank.place).arg(rank.of) : QStringLiteral("—");
}

} // namespace

WhyTable::WhyTable(const Document& document, QWidget* parent) : QTableWidget(0, kColumns, parent), m_document(document)
{
    showAsRows(*this);
    setEditTriggers(QAbstractItemView::NoEditTriggers);
    setWordWrap(false);
    setMinimumSize(90, 7 * fontMetrics().height());
    setAccessibleName(tr("What losses say of the layer"));
    setObjectName(QStringLiteral("whyTable"));
    horizontalHeader()->setHighlightSections(false);
    setHorizontalHeaderLabels({tr("loss"), tr("value"), tr("rests on"), tr("tokens"), tr("measured"), tr("of its role"),
                               tr("of all"), tr("before"), tr("behind")});
    const std::pair<Column, QString> tips[] = {
        {kValue, tr("Each in a unit of its own, which its tool tip says")},
        {kTokens, tr("Scored by the probe")},
        {kInRole, tr("Place among the layers of its role; the first loses most")},
        {kInAll, tr("Place among all layers; the first loses most")},
        {kBefore, tr("The same of the layer of its role in the block before")},
        {kBehind, tr("The same of the layer of its role in the block behind")}};
    for (const auto& [column, tip] : tips)
        horizontalHeaderItem(column)->setToolTip(tip);
    const auto wide = [this](int column, const QString& sample) {
        setColumnWidth(column, fontMetrics().horizontalAdvance(sample) + 18);
    };
    wide(kLoss, QStringLiteral("relative weight error"));
    wide(kValue, QStringLiteral("1.23e-05 ± 1.2e-06"));
    wide(kEvidence, QStringLiteral("not measured"));
    wide(kTokens, QStringLiteral("123 456"));
    wide(kAge, QStringLiteral("100 min ago"));
    wide(kInRole, QStringLiteral("of its role"));
    wide(kInAll, QStringLiteral("210. of 210"));
    wide(kBefore, QStringLiteral("not measured"));
    wide(kBehind, QStringLiteral("not measured"));
    addViewMenu(this, [this] { return copiedRows(*this); });
}

void WhyTable::showReport(const LayerReport& report)
{
    const int current = currentRow();
    const std::size_t figures = report.figures.size();
    const std::vector<std::size_t> probed = probedColumns(report.layer);
    setRowCount(static_cast<int>(figures + probed.size()));
    for (std::size_t index = 0; index < figures; ++index)
        putFigure(static_cast<int>(index), index, report);
    for (std::size_t index = 0; index < probed.size(); ++index)
        putProbed(static_cast<int>(figures + index), probed[index], report);
    setCurrentCell(std::clamp(current, 0, std::max(0, rowCount() - 1)), kLoss);
}

QTableWidgetItem* WhyTable::put(int row, int column, const QString& text, const QString& copied)
{
    auto* item = new QTableWidgetItem(text);
    item->setFont(font());
    item->setData(Qt::UserRole, copied);
    const bool isText = column == kLoss || column == kEvidence;
    item->setTextAlignment((isText ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignVCenter);
    setItem(row, column, item);
    return item;
}

void WhyTable::putFigure(int row, std::size_t index, const LayerReport& report)
{
    const LayerFigure& figure = report.figures[index];
    const Metric& metric = *figure.metric;
    auto* name =
        put(row, kLoss, toQString(metric.id).replace(QLatin1Char('_'), QLatin1Char(' ')), toQString(metric.id));
    name->setToolTip(toQString(metric.title) + QLatin1Char('\n') + toQString(metric.formula));
    if (&metric == m_document.metric())
        setBold(*name);
    const bool isKnown = !std::isnan(figure.value);
    auto* value = put(row, kValue, isKnown ? numberText(figure.value) : tr("not measured"), copiedNumber(figure.value));
    value->setToolTip(toQString(metric.unit));
    value->setData(kUnitRole, toQString(metric.unit));
    put(row, kEvidence, toQString(word(isKnown ? figure.evidence : Evidence::unmeasured)),
        toQString(word(figure.evidence)));
    put(row, kTokens, {}, {});
    put(row, kAge, {}, {});
    putRanks(row, {.amongRole = figure.amongRole, .amongAll = figure.amongAll});
    putNeighbours(row, report, [index](const LayerNeighbour& its) { return its.values[index]; });
}

void WhyTable::putProbed(int row, std::size_t column, const LayerReport& report)
{
    const KnownLoss* found = m_document.probedLoss(report.layer, column);
    const KnownLoss known = found ? *found : KnownLoss();
    const QString candidate = m_document.columnText(column);
    auto* name = put(row, kLoss, tr("KLD at %1").arg(candidate), QStringLiteral("kld ") + candidate);
    name->setToolTip(
        tr("What the model loses with this layer alone at %1, by running it, in nats per token").arg(candidate));
    if (m_document.countsProbes() && m_document.columnOf(report.layer) == column)
        setBold(*name);
    auto* value =
        put(row, kValue, known.isMeasured() ? lossNumber(known) : tr("not measured"), copiedNumber(known.loss));
    value->setToolTip(known.isMeasured() ? lossInWords(known, toQString(kNatsPerToken)) : QString());
    value->setData(kUnitRole, toQString(kNatsPerToken));
    value->setData(kErrorRole, known.isMeasured() ? copiedNumber(known.standardError) : QString());
    put(row, kEvidence, toQString(word(known.evidence)), toQString(word(known.evidence)));
    put(row, kTokens, known.tokens > 0 ? countText(known.tokens) : QString(), copiedCount(known.tokens));
    put(row, kAge, ageText(known),
        known.time > 0 ? QDateTime::fromSecsSinceEpoch(known.time, Qt::UTC).toString(Qt::ISODate) : QString());
    putRanks(row, ranksOf(*m_document.model(), m_document.planLayers(), report.layer,
                          [&](std::int64_t layer) { return probedLoss(layer, column); }));
    putNeighbours(row, report, [&](const LayerNeighbour& its) { return probedLoss(its.layer, column); });
}

void WhyTable::putRanks(int row, const LayerRanks& ranks)
{
    put(row, kInRole, rankText(ranks.amongRole), copiedCount(ranks.amongRole.place));
    put(row, kInAll, rankText(ranks.amongAll), copiedCount(ranks.amongAll.place));
}

void WhyTable::putNeighbours(int row, const LayerReport& report,
                             const std::function<double(const LayerNeighbour&)>& valueOf)
{
    const std::int64_t block = m_document.layer(report.layer).block;
    for (const auto& [column, way] : {std::pair(kBefore, -1), std::pair(kBehind, 1)}) {
        const auto neighbour = std::ranges::find_if(report.neighbours, [&, at = block + way](const auto& other) {
            return m_document.layer(other.layer).block == at;
        });
        if (neighbour == report.neighbours.end()) {
            put(row, column, QStringLiteral("—"), {});
            continue;
        }
        const double its = valueOf(*neighbour);
        put(row, column, std::isnan(its) ? tr("not measured") : numberText(its), copiedNumber(its))
            ->setToolTip(toQString(m_document.layer(neighbour->layer).name));
    }
}

std::vector<std::size_t> WhyTable::probedColumns(std::int64_t layer) const
{
    std::vector<std::size_t> columns = m_document.ladder(layer);
    std::erase_if(columns, [&](std::size_t column) { return m_document.table().candidates[column].weights.isKeep(); });
    const bool isAny =
        std::ranges::any_of(columns, [&](std::size_t column) { return m_document.probedLoss(layer, column); });
    return isAny ? columns : std::vector<std::size_t>();
}

double WhyTable::probedLoss(std::int64_t layer, std::size_t column) const
{
    const KnownLoss* known = m_document.probedLoss(layer, column);
    return known ? known->loss : KnownLoss().loss;
}

} // namespace ql::views
