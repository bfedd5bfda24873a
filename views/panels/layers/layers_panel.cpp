// SPDX-License-Identifier: GPL-3.0-or-later
// The layer table with its filter line. Selection is the document's selection.
#include "views/dialogs/losses_dialog.h"
#include "views/document/document.h"
#include "views/panels/layers/layer_delegate.h"
#include "views/panels/layers/layer_filter_model.h"
#include "views/panels/layers/layer_tree_model.h"
#include "views/panels/panel.h"
#include "views/panels/view_menu.h"
#include "views/text/format.h"
#include "views/theme/theme.h"

#include <QAction>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QMenu>
#include <QSettings>
#include <QToolButton>
#include <QTreeView>
#include <QVBoxLayout>

#include <set>

namespace ql::views {

namespace {

const QString kMetricsKey = QStringLiteral("layers/metrics"); // ids of those that have a column

class LayersPanel : public QWidget {
    Q_OBJECT
public:
    LayersPanel(const PanelContext& context, QWidget* parent)
        : QWidget(parent),
          m_document(context.document),
          m_model(new LayerTreeModel(m_document, this)),
          m_proxy(new LayerFilterModel(*m_model, this)),
          m_view(new QTreeView(this)),
          m_filter(new QLineEdit(this)),
          m_count(new QLabel(this)),
          m_measure(new QToolButton(this))
    {
        auto* top = new QHBoxLayout;
        top->setContentsMargins(6, 4, 6, 0);
        top->addWidget(m_filter, 1);
        top->addWidget(m_count);
        top->addWidget(m_measure);
        m_measure->setText(tr("Measure losses…"));
        m_measure->setObjectName(QStringLiteral("measureLosses"));
        m_measure->setAutoRaise(true);
        m_measure->setMinimumWidth(24); // gives way in a narrow window
        m_measure->setToolTip(tr("What each candidate of each layer costs, from gradients and by running it"));
        connect(m_measure, &QToolButton::clicked, this,
                [context, this] { measureLosses(context.document, context.jobs, context.runs, window()); });
        m_measure->setEnabled(m_document.isOpen());
        connect(&m_document, &Document::modelChanged, this, [this] { m_measure->setEnabled(m_document.isOpen()); });
        auto* column = new QVBoxLayout(this);
        column->setContentsMargins(0, 0, 0, 0);
        column->setSpacing(3);
        column->addLayout(top);
        column->addWidget(m_view, 1);
        m_filter->setPlaceholderText(tr("Filter: q_proj   bits<4   outliers>0.1   role=down_proj"));
        m_filter->setClearButtonEnabled(true);
        m_filter->setAccessibleName(tr("Filter of the layers"));
        m_filter->setObjectName(QStringLiteral("layerFilter"));
        m_filter->setToolTip(tr("Words must be in the name; comparisons (= != < <= > >=) take the columns %1.\n"
                                "Outliers are in %, sizes take kB, MB, GB.")
                                 .arg(LayerFilter::fields().join(QStringLiteral(", "))));
        setUpView();
        connect(m_filter, &QLineEdit::textChanged, this, &LayersPanel::applyFilter);
        connect(m_view->selectionModel(), &QItemSelectionModel::selectionChanged, this, &LayersPanel::tellSelection);
        connect(m_view->selectionModel(), &QItemSelectionModel::currentChanged, this, &LayersPanel::tellCurrent);
        connect(&m_document.selection(), &SelectionModel::currentChanged, this,
                [this](qint64, const QObject* origin) { takeSelection(origin); });
        connect(&m_document.selection(), &SelectionModel::selectedChanged, this, &LayersPanel::takeSelection);
        const auto expand = [this] {
            if (m_model->rowCount() <= 12)
                m_view->expandAll();
            else if (m_document.selection().current() >= 0)
                takeSelection(nullptr);
            countRows();
        };
        connect(&m_document, &Document::opened, this, expand);
        connect(&m_document, &Document::modelChanged, this, expand, Qt::QueuedConnection); // another variant
        connect(&m_document, &Document::modelChanged, this, &LayersPanel::countRows);
        setFocusProxy(m_view);
        countRows();
    }

private:
    void setUpView()
    {
        m_view->setModel(m_proxy);
        m_view->setItemDelegate(new LayerDelegate(m_document, m_view));
        m_view->setUniformRowHeights(true);
        m_view->setAlternatingRowColors(true);
        m_view->setSelectionMode(QAbstractItemView::ExtendedSelection);
        m_view->setSelectionBehavior(QAbstractItemView::SelectRows);
        m_view->setEditTriggers(QAbstractItemView::DoubleClicked | QAbstractItemView::EditKeyPressed);
        m_view->setSortingEnabled(true);
        m_view->setAllColumnsShowFocus(true);
        m_view->setIndentation(14);
        m_view->setAccessibleName(tr("Layers"));
        m_view->setObjectName(QStringLiteral("layerView"));
        m_proxy->sort(-1); // the model's order until a header is clicked
        m_view->header()->setSortIndicator(-1, Qt::AscendingOrder);
        m_view->header()->setSortIndicatorClearable(true);
        m_view->header()->setStretchLastSection(false);
        const QFontMetrics metrics(font());
        const auto wide = [&](int col, const char* sample) {
            m_view->header()->resizeSection(col, metrics.horizontalAdvance(QString::fromUtf8(sample)) + 14);
        };
        wide(LayerTreeModel::kName, "post_attention_layernorm          ");
        wide(LayerTreeModel::kRole, "embedding ");
        wide(LayerTreeModel::kShape, "[49152, 576]");
        wide(LayerTreeModel::kParameters, "weights ▾");
        wide(LayerTreeModel::kDtype, "float16");
        wide(LayerTreeModel::kCandidate, "xx int4:g128:s=bf16");
        wide(LayerTreeModel::kBits, "16.00");
        wide(LayerTreeModel::kSize, "100.0 MB");
        wide(LayerTreeModel::kLoss, "1.23e-05 ± 1e-06");
        wide(LayerTreeModel::kSqnr, "SQNR/dB ▾");
        wide(LayerTreeModel::kOutliers, "0.0123 %");
        wide(LayerTreeModel::kCrest, "crest 00");
        wide(LayerTreeModel::kKurtosis, "kurtosis ▾");
        for (const int hidden : {int(LayerTreeModel::kRole), int(LayerTreeModel::kDtype)})
            m_view->header()->setSectionHidden(hidden, true);
        // What one looks at while assigning bits comes first; the rest is a scroll or a click in the header away.
        int place = 1;
        for (const int col : {int(LayerTreeModel::kCandidate), int(LayerTreeModel::kBits), int(LayerTreeModel::kSize),
                              int(LayerTreeModel::kSqnr), int(LayerTreeModel::kLoss), int(LayerTreeModel::kOutliers)})
            m_view->header()->moveSection(m_view->header()->visualIndex(col), place++);
        const QStringList shown = QSettings().value(kMetricsKey).toStringList();
        for (int col = LayerTreeModel::kColumnCount; col < LayerColumns::count(); ++col) {
            wide(col, "relative output error");
            m_view->header()->setSectionHidden(col, !shown.contains(toQString(LayerColumns::metricOf(col)->id)));
        }
        m_document.setShownMetrics(shownMetrics());
        m_view->header()->setContextMenuPolicy(Qt::CustomContextMenu);
        connect(m_view->header(), &QWidget::customContextMenuRequested, this, &LayersPanel::chooseColumns);
        addViewMenu(m_view, [this] { return table(); });
        auto* lock = new QAction(tr("Lock or unlock"), m_view);
        connect(lock, &QAction::triggered, this, [this] {
            const auto& selected = m_document.selection().selected();
            if (!selected.empty())
                m_document.setLocked(selected, !m_document.isLocked(selected.front()));
        });
        m_view->addAction(lock);
    }

    void chooseColumns(const QPoint& point)
    {
        QMenu menu;
        QMenu* losses = nullptr;
        for (int col = 1; col < LayerColumns::count(); ++col) {
            if (LayerColumns::metricOf(col) && !losses) {
                losses = menu.addMenu(tr("loss by"));
                losses->setToolTipsVisible(true);
            }
            QAction* action = (losses ? losses : &menu)->addAction(LayerColumns::title(col));
            action->setToolTip(losses ? m_model->headerData(col, Qt::Horizontal, Qt::ToolTipRole).toString()
                                      : QString());
            action->setCheckable(true);
            action->setChecked(!m_view->header()->isSectionHidden(col));
            connect(action, &QAction::toggled, m_view, [this, col](bool on) { showColumn(col, on); });
        }
        menu.exec(m_view->header()->mapToGlobal(point));
    }

    void showColumn(int col, bool on)
    {
        m_view->header()->setSectionHidden(col, !on);
        if (!LayerColumns::metricOf(col))
            return;
        QStringList ids;
        const std::vector<const Metric*> metrics = shownMetrics();
        for (const Metric* metric : metrics)
            ids << toQString(metric->id);
        QSettings().setValue(kMetricsKey, ids);
        m_document.setShownMetrics(metrics);
    }

    /// Those that have a column.
    std::vector<const Metric*> shownMetrics() const
    {
        std::vector<const Metric*> shown;
        for (int col = LayerTreeModel::kColumnCount; col < LayerColumns::count(); ++col)
            if (!m_view->header()->isSectionHidden(col))
                shown.push_back(LayerColumns::metricOf(col));
        return shown;
    }

    void applyFilter(const QString& text)
    {
        const LayerFilter filter(text);
        m_proxy->setFilter(filter);
        QPalette p = palette();
        if (!filter.problem().isEmpty())
            p.setColor(QPalette::Text, colors(p).bad);
        m_filter->setPalette(p);
        if (!filter.isEmpty())
            m_view->expandAll();
        countRows();
        if (!filter.problem().isEmpty())
            m_count->setText(tr("?"));
        m_count->setToolTip(filter.problem());
    }

    void countRows()
    {
        int shown = 0;
        for (int row = 0; row < m_proxy->rowCount(); ++row) {
            const QModelIndex top = m_proxy->index(row, 0);
            shown += m_proxy->hasChildren(top) ? m_proxy->rowCount(top) : 1;
        }
        const auto all = m_document.isOpen() ? static_cast<int>(m_document.model()->layers.size()) : 0;
        m_count->setText(shown == all ? tr("%1 tensors").arg(all) : tr("%1 of %2").arg(shown).arg(all));
    }

    void tellSelection()
    {
        if (m_taking)
            return;
        std::set<std::int64_t> layers;
        for (const QModelIndex& row : m_view->selectionModel()->selectedRows()) {
            const QModelIndex source = m_proxy->mapToSource(row);
            if (const std::int64_t layer = m_model->layerOf(source); layer >= 0) {
                layers.insert(layer);
            } else {
                for (int child = 0; child < m_model->rowCount(source.siblingAtColumn(0)); ++child)
                    layers.insert(m_model->layerOf(m_model->index(child, 0, source.siblingAtColumn(0))));
            }
        }
        m_document.selection().setSelected({layers.begin(), layers.end()}, this);
    }

    void tellCurrent(const QModelIndex& index)
    {
        if (m_taking)
            return;
        if (const std::int64_t layer = m_model->layerOf(m_proxy->mapToSource(index)); layer >= 0)
            m_document.selection().setCurrent(layer, this);
    }

    void takeSelection(const QObject* origin)
    {
        if (origin == this)
            return;
        m_taking = true;
        QItemSelection selection;
        for (const std::int64_t layer : m_document.selection().selected()) {
            const QModelIndex row = m_proxy->mapFromSource(m_model->indexOf(layer));
            if (row.isValid())
                selection.select(row, row);
        }
        m_view->selectionModel()->select(selection, QItemSelectionModel::ClearAndSelect | QItemSelectionModel::Rows);
        const QModelIndex current = m_proxy->mapFromSource(m_model->indexOf(m_document.selection().current()));
        if (current.isValid()) {
            m_view->selectionModel()->setCurrentIndex(current, QItemSelectionModel::NoUpdate);
            m_view->scrollTo(current);
        }
        m_taking = false;
    }

    ViewTable table() const
    {
        ViewTable table;
        std::vector<int> columns; // hidden ones, too, but for the losses of every metric
        for (int col = 0; col < LayerColumns::count(); ++col)
            if (!LayerColumns::metricOf(col) || !m_view->header()->isSectionHidden(col))
                columns.push_back(col);
        for (const int col : columns)
            table.header << m_model->headerData(col, Qt::Horizontal, Qt::DisplayRole).toString();
        const auto addRow = [&](const QModelIndex& row) {
            const QModelIndex source = m_proxy->mapToSource(row);
            if (m_model->layerOf(source) < 0)
                return;
            QStringList cells;
            for (const int col : columns) {
                const QVariant raw = source.siblingAtColumn(col).data(LayerTreeModel::kSortRole);
                cells << (raw.typeId() == QMetaType::Double ? plainNumber(raw.toDouble()) : raw.toString());
            }
            table.rows.push_back(cells);
        };
        for (int row = 0; row < m_proxy->rowCount(); ++row) {
            const QModelIndex top = m_proxy->index(row, 0);
            addRow(top);
            for (int child = 0; child < m_proxy->rowCount(top); ++child)
                addRow(m_proxy->index(child, 0, top));
        }
        return table;
    }

    Document& m_document;
    LayerTreeModel* m_model;
    LayerFilterModel* m_proxy;
    QTreeView* m_view;
    QLineEdit* m_filter;
    QLabel* m_count;
    QToolButton* m_measure;
    bool m_taking = false;
};

} // namespace

namespace panels {
extern const Panel layers;
const Panel layers{
    "layers", QT_TRANSLATE_NOOP("Panel", "Layers"), PanelPlace::left,
    [](const PanelContext& context, QWidget* parent) -> QWidget* { return new LayersPanel(context, parent); }};
} // namespace panels

} // namespace ql::views

#include "layers_panel.moc"
