// SPDX-License-Identifier: GPL-3.0-or-later
// What the current layer may become: exact storage and measured error of every candidate. Double click or Enter
// assigns.
#include "views/document/document.h"
#include "views/panels/panel.h"
#include "views/panels/row_table.h"
#include "views/panels/view_menu.h"
#include "views/text/elided_label.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QHeaderView>
#include <QTableWidget>
#include <QVBoxLayout>

#include <cmath>

namespace ql::views {

namespace {

enum Column { kCandidate, kBits, kBytes, kSqnr, kLoss, kColumns };
constexpr int kColumnRole = Qt::UserRole + 1; // of the cost table

class StoragePanel : public LayerPanel {
    Q_OBJECT
public:
    StoragePanel(const PanelContext& context, QWidget* parent)
        : LayerPanel(context, parent), m_title(new ElidedLabel(this)), m_table(new QTableWidget(0, kColumns, this))
    {
        auto* column = new QVBoxLayout(this);
        column->setContentsMargins(0, 0, 0, 0);
        column->setSpacing(2);
        m_title->setContentsMargins(8, 4, 8, 0);
        column->addWidget(m_title);
        column->addWidget(m_table, 1);
        showAsRows(*m_table);
        m_table->setEditTriggers(QAbstractItemView::NoEditTriggers);
        m_table->horizontalHeader()->setSectionResizeMode(QHeaderView::Interactive);
        m_table->horizontalHeader()->setStretchLastSection(true);
        m_table->horizontalHeader()->setDefaultAlignment(Qt::AlignRight | Qt::AlignVCenter);
        QFont chosen = font(); // the row of the plan's candidate is the widest
        chosen.setBold(true);
        const QFontMetrics metrics(chosen);
        const auto wide = [&](int col, const char* sample) {
            m_table->setColumnWidth(col, metrics.horizontalAdvance(QString::fromUtf8(sample)) + 10);
        };
        wide(kCandidate, "●  int4:g128:s=bf16");
        wide(kBits, "16.000");
        wide(kBytes, "000.0 MB");
        wide(kSqnr, "SQNR/dB");
        wide(kLoss, "1.23e-05"); // and more, where there is room
        m_table->setAccessibleName(tr("Candidates of the layer"));
        connect(m_table, &QTableWidget::cellActivated, this, &StoragePanel::assign);
        addViewMenu(m_table, [this] { return table(); });
        setFocusProxy(m_table);
        setHeaders();
        showLayer(-1);
    }

protected:
    void showLayer(std::int64_t) override { refreshPlan(); }

    void refreshPlan() override
    {
        const std::int64_t layer = m_document.isOpen() ? shownLayer() : -1;
        setHeaders();
        if (layer < 0 || !m_document.layer(layer).quantizable) {
            m_table->setRowCount(0);
            m_title->setText(!m_document.isOpen() ? tr("Open a checkpoint to see what its layers may become.")
                             : layer < 0          ? tr("Select a layer.")
                                                  : tr("This tensor keeps its stored form."));
            return;
        }
        const Layer& l = m_document.layer(layer);
        m_title->setText(tr("%1  %2").arg(toQString(l.name), toQString(formatShape(l.shape))));
        const std::vector<std::size_t>& ladder = m_document.ladder(layer);
        const auto current = m_document.columnOf(layer);
        m_table->setRowCount(static_cast<int>(ladder.size()));
        for (int row = 0; row < m_table->rowCount(); ++row)
            fillRow(row, layer, ladder[static_cast<std::size_t>(row)], current);
    }

private:
    void setHeaders()
    {
        const Metric* metric = m_document.metric();
        m_table->setHorizontalHeaderLabels({tr("candidate"), tr("bits"), tr("size"), tr("SQNR/dB"), tr("loss")});
        m_table->horizontalHeaderItem(kBits)->setToolTip(tr("Stored bits per weight"));
        if (auto* header = m_table->horizontalHeaderItem(kCandidate))
            header->setTextAlignment(Qt::AlignLeft | Qt::AlignVCenter);
        if (auto* header = m_table->horizontalHeaderItem(kLoss); header && metric)
            header->setToolTip(
                tr("%1, in %2: %3").arg(toQString(metric->title), toQString(metric->unit), toQString(metric->formula)));
    }

    void setCell(int row, int column, const QString& text, bool bold)
    {
        QTableWidgetItem* item = m_table->item(row, column);
        if (!item) {
            item = new QTableWidgetItem;
            m_table->setItem(row, column, item);
        }
        item->setText(text);
        item->setTextAlignment((column == kCandidate ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignVCenter);
        QFont f = m_table->font();
        f.setBold(bold);
        item->setFont(f);
    }

    void fillRow(int row, std::int64_t layer, std::size_t column, std::optional<std::size_t> current)
    {
        const Layer& l = m_document.layer(layer);
        const Candidate& candidate = m_document.table().candidateOf(*m_document.itemOf(layer), column);
        const std::int64_t bits = layerPayloadBits(l, candidate);
        const Measurement* cell = m_document.cell(layer, column);
        const bool chosen = current && *current == column;
        const QString waiting = m_document.isMeasuring() ? tr("…") : tr("—");
        const QString text = toQString(printCandidate(candidate));
        setCell(row, kCandidate, chosen ? tr("● %1").arg(text) : tr("   %1").arg(text), chosen);
        setCell(row, kBits, fixedText(static_cast<double>(bits) / static_cast<double>(l.numel()), 3), chosen);
        setCell(row, kBytes, bytesText(ceilDiv(bits, 8)), chosen);
        setCell(row, kSqnr, cell ? fixedText(cell->error.sqnrDb(), 1) : waiting, chosen);
        const KnownLoss loss = m_document.knownLoss(layer, column);
        setCell(row, kLoss, loss.isMeasured() ? lossNumber(loss) : waiting, chosen);
        m_table->item(row, kLoss)
            ->setToolTip(loss.isMeasured() ? lossInWords(loss, toQString(m_document.metric()->unit)) : QString());
        m_table->item(row, kCandidate)->setData(kColumnRole, static_cast<qulonglong>(column));
        m_table->item(row, kCandidate)
            ->setToolTip(tr("Double click or Enter gives the selected layers this candidate"));
        m_table->item(row, kBytes)->setToolTip(tr("%1 bits exactly").arg(countText(bits)));
    }

    void assign(int row, int)
    {
        if (shownLayer() < 0)
            return;
        const auto column = static_cast<std::size_t>(m_table->item(row, kCandidate)->data(kColumnRole).toULongLong());
        std::vector<LayerColumn> changes;
        for (const std::int64_t layer : m_document.selection().selected())
            changes.push_back({layer, column});
        if (changes.empty())
            changes.push_back({shownLayer(), column});
        m_document.assign(changes, tr("Set %1").arg(m_document.columnText(column)));
    }

    ViewTable table() const
    {
        ViewTable table;
        for (int column = 0; column < kColumns; ++column)
            table.header << m_table->horizontalHeaderItem(column)->text();
        for (int row = 0; row < m_table->rowCount(); ++row) {
            QStringList cells;
            for (int column = 0; column < kColumns; ++column)
                cells << m_table->item(row, column)->text().remove(QChar(0x25cf)).trimmed();
            table.rows.push_back(cells);
        }
        return table;
    }

    ElidedLabel* m_title;
    QTableWidget* m_table;
};

} // namespace

namespace panels {
extern const Panel storage;
const Panel storage{
    "storage", QT_TRANSLATE_NOOP("Panel", "Candidates"), PanelPlace::rightBottom,
    [](const PanelContext& context, QWidget* parent) -> QWidget* { return new StoragePanel(context, parent); }};
} // namespace panels

} // namespace ql::views

#include "storage_panel.moc"
