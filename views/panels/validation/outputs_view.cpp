// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/validation/outputs_view.h"

#include "views/panels/row_table.h"
#include "views/panels/view_menu.h"
#include "views/text/format.h"

#include <QHeaderView>
#include <QLabel>
#include <QTableWidget>
#include <QVBoxLayout>

namespace ql::views {

namespace {

/// What a menu copies: the numbers are in the items.
ViewTable tableOf(const QTableWidget& widget)
{
    ViewTable table;
    for (int column = 0; column < widget.columnCount(); ++column)
        table.header << widget.horizontalHeaderItem(column)->data(Qt::UserRole).toString();
    for (int row = 0; row < widget.rowCount(); ++row) {
        QStringList cells;
        for (int column = 0; column < widget.columnCount(); ++column)
            cells << widget.item(row, column)->data(Qt::UserRole).toString();
        table.rows.push_back(cells);
    }
    return table;
}

struct Column {
    QString title;
    QString name; // where numbers are copied
    QString tip;
    QString widest;
};

QTableWidget* makeTable(const QString& name, const std::vector<Column>& columns, QWidget* parent)
{
    auto* table = new QTableWidget(0, static_cast<int>(columns.size()), parent);
    table->setAccessibleName(name);
    showAsRows(*table);
    table->setEditTriggers(QAbstractItemView::NoEditTriggers);
    table->setWordWrap(false);
    table->horizontalHeader()->setHighlightSections(false);
    for (int i = 0; i < table->columnCount(); ++i) {
        const Column& column = columns[static_cast<std::size_t>(i)];
        auto* header = new QTableWidgetItem(column.title);
        header->setData(Qt::UserRole, column.name);
        header->setToolTip(column.tip);
        header->setTextAlignment((i == 0 ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignVCenter);
        table->setHorizontalHeaderItem(i, header);
        table->setColumnWidth(i, table->fontMetrics().horizontalAdvance(column.widest) + 20);
    }
    addViewMenu(table, [table] { return tableOf(*table); });
    return table;
}

struct Cell {
    QString text;
    QString number; // as it is copied
};

Cell cellOf(const RowMean& mean, bool isShare)
{
    return {isShare ? percentWithErrorText(mean.value, mean.error) : withErrorText(mean.value, mean.error, 4),
            plainNumber(mean.value)};
}

void addRow(QTableWidget& table, const std::vector<Cell>& cells)
{
    const int row = table.rowCount();
    table.setRowCount(row + 1);
    for (int i = 0; i < table.columnCount(); ++i) {
        const Cell& cell = cells[static_cast<std::size_t>(i)];
        auto* item = new QTableWidgetItem(cell.text);
        item->setData(Qt::UserRole, cell.number);
        item->setTextAlignment((i == 0 ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignVCenter);
        table.setItem(row, i, item);
    }
}

} // namespace

OutputsView::OutputsView(QWidget* parent)
    : QWidget(parent),
      m_outputs(
          makeTable(tr("Outputs of the plan"),
                    {{tr("output"), QStringLiteral("output"), {}, QStringLiteral("embedding")},
                     {tr("SQNR / dB"), QStringLiteral("sqnr_db"),
                      tr("10·log₁₀ of Σx² / Σ(x − y)²; ∞ where both are equal"), QStringLiteral("SQNR / dB")},
                     {tr("cosine"), QStringLiteral("mean_cosine"), tr("Mean over the rows of both versions"),
                      QStringLiteral("0.999999")},
                     {tr("least"), QStringLiteral("least_cosine"), tr("The cosine of the row that moved most"),
                      QStringLiteral("0.999999")},
                     {tr("rows"), QStringLiteral("rows"), tr("Rows that were compared"), QStringLiteral("000 000")}},
                    this)),
      m_answersTitle(new QLabel(this)),
      m_answers(makeTable(tr("Answers found"),
                          {{tr("answers"), QStringLiteral("answers"), {}, QStringLiteral("same top-1")},
                           {tr("model"), QStringLiteral("model"), {}, QStringLiteral("100 % ± 0.123 %")},
                           {tr("plan"), QStringLiteral("plan"), {}, QStringLiteral("100 % ± 0.123 %")}},
                          this))
{
    auto* column = new QVBoxLayout(this);
    column->setContentsMargins(0, 0, 0, 0);
    column->setSpacing(4);
    column->addWidget(m_outputs, 1);
    m_answersTitle->setContentsMargins(8, 0, 8, 0);
    column->addWidget(m_answersTitle);
    column->addWidget(m_answers, 1);
    setFocusProxy(m_outputs);
}

void OutputsView::setPoint(const OutputsPoint& point)
{
    const OutputsScore& score = point.score;
    m_outputs->setRowCount(0);
    for (const OutputScore& output : score.outputs) {
        const QString name = toQString(output.name);
        addRow(*m_outputs, {{name, name},
                            {fixedText(output.sqnrDb, 2), plainNumber(output.sqnrDb)},
                            {fixedText(output.cosine.value, 6), plainNumber(output.cosine.value)},
                            {fixedText(output.leastCosine, 6), plainNumber(output.leastCosine)},
                            {countText(output.rows), QString::number(output.rows)}});
    }
    m_answers->setRowCount(0);
    if (point.hasAnswers()) {
        const auto row = [&](const QString& title, const QString& name, RowMean AnswerScore::*figure, bool isShare) {
            addRow(*m_answers,
                   {{title, name}, cellOf(score.model.*figure, isShare), cellOf(score.other.*figure, isShare)});
        };
        row(tr("loss / nats"), QStringLiteral("loss"), &AnswerScore::loss, false);
        row(tr("top-1"), QStringLiteral("top1"), &AnswerScore::top1, true);
        row(tr("top-5"), QStringLiteral("top5"), &AnswerScore::top5, true);
    }
    QString title =
        point.hasAnswers() ? tr("%1 answers").arg(countText(score.model.count)) : tr("No answers are known");
    if (point.hasLogits())
        title += tr(" · same top-1 %1").arg(percentWithErrorText(score.sameTop.value, score.sameTop.error));
    m_answersTitle->setText(title);
    m_answersTitle->setVisible(point.hasAnswers() || point.hasLogits());
    m_answers->setVisible(point.hasAnswers());
}

} // namespace ql::views
