// SPDX-License-Identifier: GPL-3.0-or-later
// Schemes × quantizers × transforms side by side on layers: choose, run, compare in a table and a chart that fill while
// the run goes on, then explain a candidate, offer it, or assign it.
#include "views/charts/chart_view.h"
#include "views/dialogs/calibrate_dialog.h"
#include "views/dialogs/transform_dialog.h"
#include "views/dialogs/transform_page.h"
#include "views/document/document.h"
#include "views/panels/bench/bench_chart.h"
#include "views/panels/bench/bench_choice.h"
#include "views/panels/bench/bench_model.h"
#include "views/panels/bench/bench_run.h"
#include "views/panels/bench/entry_page.h"
#include "views/panels/drawn_panel.h"
#include "views/panels/panel.h"
#include "views/panels/panel_side.h"
#include "views/panels/row_table.h"
#include "views/panels/view_menu.h"
#include "views/text/elided_label.h"
#include "views/text/format.h"
#include "views/theme/problem_color.h"

#include <QAction>
#include <QComboBox>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QPushButton>
#include <QSortFilterProxyModel>
#include <QSplitter>
#include <QTableView>
#include <QVBoxLayout>

#include <algorithm>

namespace ql::views {

namespace {

enum Layers { kCurrent, kSelected, kAll };
enum Shown { kOutputError, kWeightError };

class BenchPanel : public DrawnPanel {
    Q_OBJECT
public:
    BenchPanel(const PanelContext& context, QWidget* parent)
        : DrawnPanel(parent),
          m_document(context.document),
          m_jobs(context.jobs),
          m_runs(context.runs),
          m_run(m_document, m_jobs, this),
          m_layers(new QComboBox(this)),
          m_start(new QPushButton(tr("Run"), this)),
          m_calibrate(new QPushButton(tr("Calibrate…"), this)),
          m_choice(new BenchChoice(m_document, this)),
          m_summary(new ElidedLabel(this)),
          m_model(new BenchModel(m_run, this)),
          m_proxy(new QSortFilterProxyModel(this)),
          m_table(new QTableView(this)),
          m_explain(new QPushButton(tr("Explain"), this)),
          m_offer(new QPushButton(tr("Use as candidate"), this)),
          m_assign(new QPushButton(tr("Assign"), this)),
          m_transform(new QPushButton(tr("Transform…"), this)),
          m_shown(new QComboBox(this)),
          m_chart(new BenchChart(this))
    {
        auto* parts = new QSplitter(this);
        parts->addWidget(choiceSide());
        parts->addWidget(tableSide());
        parts->addWidget(chartSide());
        parts->setStretchFactor(0, 0);
        parts->setStretchFactor(1, 3);
        parts->setStretchFactor(2, 2);
        parts->setChildrenCollapsible(false);
        parts->setSizes({450, 750, 400});
        auto* column = new QVBoxLayout(this);
        column->setContentsMargins(0, 0, 0, 0);
        column->addWidget(parts);
        setUpTable();
        connectAll();
        setFocusProxy(m_layers); // the first: Tab comes round to it
        draw();
    }

private:
    QWidget* choiceSide()
    {
        m_layers->setAccessibleName(tr("Layers"));
        m_layers->setObjectName(QStringLiteral("benchLayers"));
        m_layers->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
        m_layers->setMinimumContentsLength(8);
        for (int i = 0; i <= kAll; ++i)
            m_layers->addItem(QString());
        m_start->setObjectName(QStringLiteral("benchRun"));
        m_start->setToolTip(tr("Ctrl+Return"));
        m_calibrate->setToolTip(tr("Some quantizers and the output error need what the layers see"));
        auto* top = new QHBoxLayout;
        top->addWidget(m_layers, 1);
        top->addWidget(m_start);
        top->addWidget(m_calibrate);
        return panelSide(top, m_choice, nullptr);
    }

    QWidget* tableSide()
    {
        auto* top = new QHBoxLayout;
        top->addWidget(m_summary, 1);
        auto* bottom = new QHBoxLayout;
        for (QPushButton* button : {m_explain, m_offer, m_assign, m_transform})
            bottom->addWidget(button);
        bottom->addStretch(1);
        m_explain->setObjectName(QStringLiteral("benchExplain"));
        m_offer->setObjectName(QStringLiteral("benchOffer"));
        m_assign->setObjectName(QStringLiteral("benchAssign"));
        m_transform->setObjectName(QStringLiteral("benchTransform"));
        return panelSide(top, m_table, bottom);
    }

    QWidget* chartSide()
    {
        m_shown->addItems({tr("Output error over bits"), tr("Weight error over bits")});
        m_shown->setObjectName(QStringLiteral("benchError"));
        m_shown->setAccessibleName(tr("Error shown"));
        m_shown->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
        m_shown->setMinimumContentsLength(8);
        m_shown->setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
        m_shown->setToolTip(tr("Output error: tr(ΔW·H·ΔWᵀ) ÷ tr(W·H·Wᵀ), H = XᵀX, once the inputs of the layer are "
                               "known\nWeight error: Σ(w − ŵ)² ÷ Σw²"));
        m_chart->setAccessibleName(tr("Bits against error"));
        auto* top = new QHBoxLayout;
        top->addWidget(m_shown);
        return panelSide(top, m_chart, nullptr);
    }

    void setUpTable()
    {
        m_proxy->setSourceModel(m_model);
        m_proxy->setSortRole(Qt::UserRole);
        m_table->setModel(m_proxy);
        m_table->setSortingEnabled(true);
        m_table->sortByColumn(BenchModel::kBits, Qt::AscendingOrder);
        showAsRows(*m_table);
        m_table->setWordWrap(false);
        m_table->setMinimumSize(90, 40);
        m_table->setAccessibleName(tr("Candidates tried"));
        m_table->setObjectName(QStringLiteral("benchTable"));
        m_table->horizontalHeader()->setHighlightSections(false);
        m_table->horizontalHeader()->setStretchLastSection(true);
        const auto wide = [this](int column, const QString& sample) {
            constexpr int kSortArrow = 22;
            const QString title = m_model->headerData(column, Qt::Horizontal).toString();
            m_table->setColumnWidth(column, std::max(fontMetrics().horizontalAdvance(sample) + 14,
                                                     fontMetrics().horizontalAdvance(title) + kSortArrow));
        };
        wide(BenchModel::kFront, {});
        wide(BenchModel::kLayer, QStringLiteral("layers.29.self_attn.q_proj"));
        wide(BenchModel::kCandidate, QStringLiteral("int4:g128:s=bf16@gptq"));
        wide(BenchModel::kTransform, QStringLiteral("smooth+hadamard"));
        wide(BenchModel::kBits, QStringLiteral("16.000"));
        for (const int column : {int(BenchModel::kOutput), int(BenchModel::kMse), int(BenchModel::kMax)})
            wide(column, QStringLiteral("1.23e-05"));
        wide(BenchModel::kSqnr, QStringLiteral("100.00"));
        wide(BenchModel::kObjective, QStringLiteral("rtn kept"));
        wide(BenchModel::kTime, QStringLiteral("12345.6"));
        wide(BenchModel::kRunsIn, QStringLiteral("compressed-tensors"));
    }

    void connectAll()
    {
        const auto touched = [this] { touch(); };
        connect(&m_document, &Document::modelChanged, this, touched);
        connect(&m_document, &Document::activationsChanged, this, touched);
        connect(&m_document, &Document::tableChanged, this, &BenchPanel::followPlan);
        connect(&m_document, &Document::planChanged, this, &BenchPanel::followPlan);
        connect(&m_document.selection(), &SelectionModel::currentChanged, this, touched);
        connect(&m_document.selection(), &SelectionModel::selectedChanged, this, touched);
        connect(&m_run, &BenchRun::reset, this, touched);
        connect(&m_run, &BenchRun::arrived, this, touched);
        connect(&m_run, &BenchRun::marked, this, touched);
        connect(&m_run, &BenchRun::stateChanged, this, touched);
        connect(m_choice, &BenchChoice::changed, this, touched);
        connect(m_choice, &BenchChoice::confirmed, this, &BenchPanel::startOrStop);
        connect(m_choice, &BenchChoice::explained, this,
                [this](const Candidate& candidate) { explain(layerAtHand(), candidate); });
        connect(m_choice, &BenchChoice::transformExplained, this, [this](const Transform& transform) {
            auto* page = new TransformPage(transform, window());
            page->setAttribute(Qt::WA_DeleteOnClose);
            page->show();
        });
        connect(m_layers, &QComboBox::currentIndexChanged, this, touched);
        connect(m_shown, &QComboBox::currentIndexChanged, this,
                [this](int shown) { m_run.setByWeights(shown == kWeightError); });
        connect(m_start, &QPushButton::clicked, this, &BenchPanel::startOrStop);
        auto* run = new QAction(tr("Run or stop the bench"), this);
        run->setShortcut(QKeySequence(tr("Ctrl+Return")));
        run->setShortcutContext(Qt::WidgetWithChildrenShortcut);
        connect(run, &QAction::triggered, this, &BenchPanel::startOrStop);
        addAction(run);
        connect(m_calibrate, &QPushButton::clicked, this, [this] {
            auto* dialog = new CalibrateDialog(m_document, m_jobs, m_runs, window());
            dialog->setAttribute(Qt::WA_DeleteOnClose);
            dialog->show();
        });
        connect(m_table->selectionModel(), &QItemSelectionModel::currentRowChanged, this, &BenchPanel::followRow);
        connect(m_table, &QTableView::activated, this, &BenchPanel::explainRow);
        connect(m_explain, &QPushButton::clicked, this, &BenchPanel::explainRow);
        connect(m_offer, &QPushButton::clicked, this, [this] {
            if (const BenchEntry* entry = chosen())
                m_document.addCandidate(m_run.candidateOf(*entry));
        });
        connect(m_assign, &QPushButton::clicked, this, &BenchPanel::assign);
        connect(m_transform, &QPushButton::clicked, this, [this] {
            const BenchEntry* entry = chosen();
            if (!entry)
                return;
            auto* dialog = new TransformDialog(m_document, m_jobs, m_runs, window());
            dialog->setAttribute(Qt::WA_DeleteOnClose);
            dialog->setText(toQString(m_run.variantOf(*entry)));
            dialog->show();
        });
        connect(m_chart, &BenchChart::pointHovered, m_model, &BenchModel::setHovered);
        connect(m_chart, &BenchChart::pointClicked, this, [this](int row) {
            const QModelIndex index = m_proxy->mapFromSource(m_model->index(row, BenchModel::kCandidate));
            m_table->setCurrentIndex(index);
            m_table->scrollTo(index);
        });
        addViewMenu(m_table, [this] { return tableOf(*m_table); });
        addViewMenu(m_chart, [this] { return tableOf(*m_table); });
    }

    bool isQuantizable(std::int64_t layer) const { return layer >= 0 && m_document.layer(layer).quantizable; }

    /// Layers that Run would try; none where nothing fits is chosen.
    std::vector<std::int64_t> layersToTry() const
    {
        if (!m_document.isOpen())
            return {};
        const SelectionModel& selection = m_document.selection();
        std::vector<std::int64_t> layers = m_layers->currentIndex() == kAll ? m_document.model()->quantizableLayers()
                                           : m_layers->currentIndex() == kSelected
                                               ? selection.selected()
                                               : std::vector<std::int64_t>{selection.current()};
        std::erase_if(layers, [this](std::int64_t layer) { return !isQuantizable(layer); });
        return layers;
    }

    /// What entries are explained on and schemes grouped for: the current layer, or the first there is.
    std::int64_t layerAtHand() const
    {
        if (!m_document.isOpen())
            return -1;
        if (const std::int64_t current = m_document.selection().current(); isQuantizable(current))
            return current;
        const auto all = m_document.model()->quantizableLayers();
        return all.empty() ? -1 : all.front();
    }

    const BenchEntry* chosen() const
    {
        const QModelIndex index = m_table->currentIndex();
        return index.isValid() ? &m_model->entry(m_proxy->mapToSource(index).row()) : nullptr;
    }

    void startOrStop()
    {
        if (m_run.isRunning()) {
            m_run.stop();
            return;
        }
        auto candidates = m_choice->candidates();
        auto transforms = m_choice->transforms();
        const auto layers = layersToTry();
        if (candidates && transforms && !layers.empty())
            m_run.start(layers, std::move(*candidates), std::move(*transforms));
    }

    void explain(std::int64_t layer, const Candidate& candidate)
    {
        if (layer < 0)
            return;
        auto* page = new EntryPage(m_document, m_jobs, layer, candidate, window());
        page->setAttribute(Qt::WA_DeleteOnClose);
        page->show();
    }

    void explainRow()
    {
        if (const BenchEntry* entry = chosen())
            explain(shownLayer(*entry), m_run.candidateOf(*entry));
    }

    bool isShown(const BenchEntry& entry) const { return m_run.variantOf(entry) == m_document.variantText(); }

    /// The entry's layer in the variant that is shown; −1: it has none of that name.
    std::int64_t shownLayer(const BenchEntry& entry) const
    {
        return m_document.isOpen() ? m_document.model()->indexOf(m_run.layer(entry.layer).name) : -1;
    }

    QString transformFirst(const BenchEntry& entry) const
    {
        const QString variant = toQString(m_run.variantOf(entry));
        return variant.isEmpty() ? tr("This is of the model as stored: choose Model ▸ As stored first.")
                                 : tr("Transform the model by %1 first (Model ▸ Transform…).").arg(variant);
    }

    /// Why the entry cannot be assigned; empty if it can.
    QString assignRefusal(const BenchEntry& entry) const
    {
        if (!entry.refusal.empty())
            return toQString(entry.refusal);
        if (!isShown(entry))
            return transformFirst(entry);
        const std::int64_t index = shownLayer(entry);
        if (!m_document.itemOf(index))
            return tr("The plan does not decide this layer.");
        const Layer& layer = m_document.layer(index);
        if (m_document.isLocked(index))
            return tr("The layer is locked.");
        if (const Target* target = m_document.target()) {
            const TargetProfile& profile = target->profile;
            const auto accepted = profile.accepts(
                *m_document.model(), layer, profile.complete(*m_document.model(), layer, m_run.candidateOf(entry)));
            if (!accepted)
                return errorText(accepted.error());
        }
        return {};
    }

    void assign()
    {
        const BenchEntry* entry = chosen();
        if (!entry || !assignRefusal(*entry).isEmpty())
            return;
        const std::int64_t layer = shownLayer(*entry);
        const Candidate candidate = m_run.candidateOf(*entry);
        const QString text =
            tr("Assign %1 to %2").arg(toQString(printCandidate(candidate)), toQString(m_document.layer(layer).name));
        m_document.undoStack().beginMacro(text);
        m_document.addCandidate(candidate);
        if (const auto column = m_document.table().columnOf(*m_document.itemOf(layer), candidate)) {
            const LayerColumn change{layer, *column};
            m_document.assign(std::span(&change, 1), text);
        }
        m_document.undoStack().endMacro();
    }

    void draw() override
    {
        m_choice->setLayer(layerAtHand());
        m_choice->takeActivations();
        const bool isOpen = m_document.isOpen();
        const auto selected = static_cast<int>(isOpen ? m_document.selection().selected().size() : 0);
        const auto all = static_cast<int>(isOpen ? m_document.model()->quantizableLayers().size() : 0);
        m_layers->setItemText(kCurrent, tr("Current layer"));
        m_layers->setItemText(kSelected, tr("Selected layers (%1)").arg(countText(selected)));
        m_layers->setItemText(kAll, tr("All layers (%1)").arg(countText(all)));
        for (QWidget* part : {static_cast<QWidget*>(m_layers), static_cast<QWidget*>(m_choice)})
            part->setEnabled(isOpen);
        m_calibrate->setVisible(isOpen && !m_document.variant() && m_choice->isWaiting());
        drawSummary();
        for (int column = 0; column < BenchModel::kColumns; ++column)
            m_table->setColumnHidden(column, !m_model->isUsed(column));
        drawButtons();
        drawChart();
    }

    /// While bits are dragged only what may be assigned can change.
    void followPlan()
    {
        if (isVisible())
            drawButtons();
        else
            touch();
    }

    /// Another row has the same chart, unless it is of another layer.
    void followRow()
    {
        if (!isVisible() || m_run.entries().empty() || chartLayer() != m_chartLayer) {
            touch();
            return;
        }
        drawButtons();
        highlight();
    }

    void highlight()
    {
        const QModelIndex current = m_table->currentIndex();
        m_chart->setHighlighted(current.isValid() ? m_proxy->mapToSource(current).row() : -1);
    }

    void drawSummary()
    {
        const auto layers = layersToTry();
        const auto candidates = m_choice->candidates();
        const auto transforms = m_choice->transforms();
        const bool running = m_run.isRunning();
        m_start->setText(running ? tr("Stop") : tr("Run"));
        m_start->setEnabled(running || (!layers.empty() && candidates && transforms));
        const QString problem = !m_run.problem().isEmpty() || !m_document.isOpen() ? m_run.problem()
                                : !candidates                                      ? errorText(candidates.error())
                                : !transforms                                      ? errorText(transforms.error())
                                                                                   : QString();
        setProblemColor(*m_summary, !problem.isEmpty());
        const QString what = layers.size() == 1 ? toQString(m_document.layer(layers.front()).name)
                                                : tr("%1 layers").arg(countText(std::ssize(layers)));
        m_summary->setText(
            running              ? tr("%1 of %2 tried").arg(countText(std::ssize(m_run.entries())), countText(wanted()))
            : !problem.isEmpty() ? problem
            : !m_document.isOpen() ? tr("Open a checkpoint to try number formats and quantizers on its layers.")
            : layers.empty()       ? emptyText()
            : m_run.entries().empty()
                ? (transforms->size() == 1
                       ? tr("Run tries %1 candidates on %2.").arg(countText(std::ssize(*candidates)), what)
                       : tr("Run tries %1 candidates × %2 transforms on %3.")
                             .arg(countText(std::ssize(*candidates)), countText(std::ssize(*transforms)), what))
                : resultText());
    }

    std::int64_t wanted() const { return static_cast<std::int64_t>(m_run.wanted()); }

    QString emptyText() const
    {
        if (m_layers->currentIndex() == kAll)
            return tr("The model has no layer that can be quantized.");
        if (m_layers->currentIndex() == kSelected)
            return tr("Select layers that can be quantized.");
        return m_document.selection().current() < 0 ? tr("Select a layer.") : tr("This tensor is not quantized.");
    }

    QString resultText() const
    {
        const auto& entries = m_run.entries();
        const auto refused =
            std::ranges::count_if(entries, [](const BenchEntry& entry) { return !entry.refusal.empty(); });
        QString text =
            m_run.layers().size() == 1
                ? (m_run.transforms().size() == 1 ? tr("%1 candidates on %2") : tr("%1 entries on %2"))
                      .arg(countText(std::ssize(entries)), toQString(m_run.layer(entries.front().layer).name))
                : tr("%1 entries of %2 layers")
                      .arg(countText(std::ssize(entries)), countText(std::ssize(m_run.layers())));
        if (refused > 0)
            text += tr(" · %1 refused").arg(countText(refused));
        if (entries.size() < m_run.wanted())
            text += tr(" · stopped, %1 not tried").arg(countText(wanted() - std::ssize(entries)));
        return text;
    }

    void drawButtons()
    {
        const BenchEntry* entry = chosen();
        const auto say = [](QPushButton* button, bool enabled, const QString& tip) {
            button->setEnabled(enabled);
            button->setToolTip(tip);
        };
        say(m_explain, entry, tr("Levels, formula, storage, source and options of the candidate (Enter)"));
        const bool offered = entry && std::ranges::find(m_document.table().candidates, m_run.candidateOf(*entry)) !=
                                          m_document.table().candidates.end();
        const bool isOther = entry && !isShown(*entry);
        const bool offerable = entry && entry->refusal.empty() && !offered && !isOther;
        say(m_offer, offerable,
            isOther   ? transformFirst(*entry)
            : offered ? tr("The plan offers it already.")
                      : tr("Offers the candidate for every layer and measures it, beside those there are"));
        m_transform->setVisible(isOther && entry->refusal.empty());
        m_transform->setToolTip(tr("Shows the variant the entry is of, so that its candidate can be used"));
        const QString refusal = entry ? assignRefusal(*entry) : QString();
        say(m_assign, entry && refusal.isEmpty(),
            refusal.isEmpty() ? tr("Gives the candidate to the layer in the plan") : refusal);
    }

    /// The layer the chart is of: the current one if it was tried, else that of the chosen row, else the first.
    std::int64_t chartLayer() const
    {
        const auto& tried = m_run.layers();
        const std::int64_t shown = m_document.selection().current();
        const std::int64_t current = shown < 0 ? -1 : m_run.model()->indexOf(m_document.layer(shown).name);
        if (std::ranges::find(tried, current) != tried.end())
            return current;
        const BenchEntry* entry = chosen();
        return entry ? entry->layer : tried.front();
    }

    void drawChart()
    {
        const auto& entries = m_run.entries();
        const bool knowsOutput =
            std::ranges::any_of(entries, [](const BenchEntry& entry) { return entry.outputError.has_value(); });
        const bool byOutput = m_shown->currentIndex() == kOutputError && knowsOutput;
        m_chartLayer = entries.empty() ? -1 : chartLayer();
        std::vector<BenchPoint> points;
        for (std::size_t i = 0; i < entries.size(); ++i) {
            const BenchEntry& entry = entries[i];
            if (entry.layer != m_chartLayer || !entry.refusal.empty())
                continue;
            const Candidate& candidate = m_run.candidateOf(entry);
            const bool hasQuantizer = !candidate.weights.isKeep() && !candidate.weights.isCast();
            points.push_back(
                {.row = static_cast<int>(i),
                 .bits = entry.bitsPerWeight,
                 .error = benchError(entry, byOutput),
                 .candidate = toQString(printCandidate(candidate)),
                 .quantizer = hasQuantizer ? toQString(printQuantizerSpec(candidate.quantizer)) : tr("cast or kept"),
                 .transform = toQString(printTransform(m_run.transformOf(entry))),
                 .onFront = entry.onFront});
        }
        m_chart->setMessage(!points.empty()        ? QString()
                            : !m_document.isOpen() ? tr("Open a checkpoint first.")
                            : m_run.isRunning()    ? tr("The first figures are on their way…")
                                                   : tr("Bits per weight against error, once something was tried."));
        const QString title = byOutput ? tr("output error") : tr("weight error");
        m_chart->setPoints(std::move(points),
                           !entries.empty() && m_shown->currentIndex() == kOutputError && !knowsOutput
                               ? tr("weight error (inputs unknown)")
                               : title);
        highlight();
    }

    Document& m_document;
    JobRunner& m_jobs;
    Runs& m_runs;
    BenchRun m_run;
    QComboBox* m_layers;
    QPushButton* m_start;
    QPushButton* m_calibrate;
    BenchChoice* m_choice;
    ElidedLabel* m_summary;
    BenchModel* m_model;
    QSortFilterProxyModel* m_proxy;
    QTableView* m_table;
    QPushButton* m_explain;
    QPushButton* m_offer;
    QPushButton* m_assign;
    QPushButton* m_transform; // of entries of another variant
    QComboBox* m_shown;
    BenchChart* m_chart;
    std::int64_t m_chartLayer = -1; // that is drawn
};

} // namespace

namespace panels {
extern const Panel bench;
const Panel bench{
    "bench", QT_TRANSLATE_NOOP("Panel", "Bench"), PanelPlace::bottom,
    [](const PanelContext& context, QWidget* parent) -> QWidget* { return new BenchPanel(context, parent); }};
} // namespace panels

} // namespace ql::views

#include "bench_panel.moc"
