// SPDX-License-Identifier: GPL-3.0-or-later
// Bits by hand and by solver: the bars, the summary above them and, while there is one, Balance's proposal beside them.
#include "views/allocation/bit_bars.h"
#include "views/document/document.h"
#include "views/jobs/job_runner.h"
#include "views/panels/allocation/balance_preview.h"
#include "views/panels/allocation/summary_bar.h"
#include "views/panels/panel.h"
#include "views/panels/view_menu.h"
#include "views/runs/runs.h"
#include "views/text/format.h"
#include "views/theme/problem_color.h"
#include "views/theme/theme.h"

#include <QAction>
#include <QLabel>
#include <QSplitter>
#include <QVBoxLayout>

#include <algorithm>
#include <cmath>
#include <optional>

namespace ql::views {

namespace {

/// A loss per weight and the column of the table it is of.
struct LossAt {
    std::size_t column = 0;
    double perWeight = 0;
    Evidence evidence = Evidence::unmeasured;
};

class AllocationPanel : public QWidget {
    Q_OBJECT
public:
    AllocationPanel(const PanelContext& context, QWidget* parent)
        : QWidget(parent),
          m_document(context.document),
          m_jobs(context.jobs),
          m_predictions(context.runs.predictions),
          m_limits(context.runs.limits),
          m_summary(new SummaryBar(m_document, m_predictions, m_limits, this)),
          m_bars(new BitBars(this)),
          m_preview(new BalancePreview(m_document, this)),
          m_problem(new QLabel(this))
    {
        auto* column = new QVBoxLayout(this);
        column->setContentsMargins(0, 0, 0, 0);
        column->setSpacing(0);
        column->addWidget(m_summary);
        column->addWidget(m_problem);
        auto* splitter = new QSplitter(Qt::Horizontal, this);
        splitter->addWidget(m_bars);
        splitter->addWidget(m_preview);
        splitter->setStretchFactor(0, 3);
        splitter->setStretchFactor(1, 1);
        splitter->setChildrenCollapsible(false);
        column->addWidget(splitter, 1);
        m_preview->hide();
        m_problem->hide();
        m_problem->setWordWrap(true);
        m_problem->setContentsMargins(8, 0, 8, 4);
        m_bars->setObjectName(QStringLiteral("bitBars"));
        m_bars->setToolTipSource([this](int bar) { return tip(bar); });
        connectBars();
        connectDocument();
        setFocusProxy(m_bars);
        rebuild();
    }

private:
    void connectBars()
    {
        connect(m_bars, &BitBars::editStarted, &m_document, &Document::beginEdit);
        connect(m_bars, &BitBars::levelsEdited, this, [this](const std::vector<BarEdit>& edits) {
            std::vector<LayerColumn> changes;
            for (const BarEdit& edit : edits)
                changes.push_back({layerOf(edit.bar), static_cast<std::size_t>(edit.level)});
            m_document.previewEdit(changes);
            takeLevels(changes); // what was refused goes back
        });
        connect(m_bars, &BitBars::editCommitted, &m_document, &Document::commitEdit);
        connect(m_bars, &BitBars::editCancelled, &m_document, &Document::cancelEdit);
        connect(m_bars, &BitBars::lockToggled, this, [this](const std::vector<int>& bars, bool locked) {
            std::vector<std::int64_t> layers;
            for (const int bar : bars)
                layers.push_back(layerOf(bar));
            m_document.setLocked(layers, locked);
        });
        connect(m_bars, &BitBars::currentChanged, this,
                [this](int bar) { m_document.selection().setCurrent(layerOf(bar), m_bars); });
        connect(m_bars, &BitBars::selectionChanged, this, [this] {
            std::vector<std::int64_t> layers;
            for (const int bar : m_bars->selected())
                layers.push_back(layerOf(bar));
            m_document.selection().setSelected(std::move(layers), m_bars);
        });
        addViewMenu(m_bars, [this] { return table(); });
        m_bars->setContextMenuPolicy(Qt::DefaultContextMenu); // the right button selects
        auto* widths = new QAction(tr("Widths by number of weights"), m_bars);
        widths->setCheckable(true);
        widths->setShortcut(Qt::Key_W);
        widths->setShortcutContext(Qt::WidgetShortcut);
        connect(widths, &QAction::toggled, m_bars, &BitBars::setWidthsByShare);
        m_bars->addAction(widths);
        connect(m_summary, &SummaryBar::balanceRequested, this, &AllocationPanel::startBalance);
        connect(m_preview, &BalancePreview::accepted, this, [this] {
            if (m_proposal)
                m_document.adoptPlan(m_proposal->balanced.plan, stepText());
            dropProposal();
        });
        connect(m_preview, &BalancePreview::discarded, this, &AllocationPanel::dropProposal);
        connect(m_preview, &BalancePreview::layerChosen, this,
                [this](qint64 layer) { m_document.selection().setCurrent(layer, m_preview); });
    }

    void connectDocument()
    {
        connect(&m_document, &Document::tableChanged, this, &AllocationPanel::rebuild);
        connect(&m_document, &Document::modelChanged, this, &AllocationPanel::rebuild);
        connect(&m_document, &Document::planChanged, this, [this](const std::vector<std::int64_t>& layers) {
            dropProposal();
            for (const std::int64_t layer : layers)
                takeLayer(layer);
        });
        connect(&m_document, &Document::factsChanged, this, &AllocationPanel::refreshSensitivities);
        connect(&m_document.selection(), &SelectionModel::currentChanged, this,
                [this](qint64 layer, const QObject* origin) {
                    if (origin != m_bars)
                        m_bars->setCurrent(barOf(layer));
                });
        connect(&m_document.selection(), &SelectionModel::selectedChanged, this, [this](const QObject* origin) {
            if (origin == m_bars)
                return;
            std::vector<int> bars;
            for (const std::int64_t layer : m_document.selection().selected()) {
                if (const int bar = barOf(layer); bar >= 0)
                    bars.push_back(bar);
            }
            m_bars->setSelected(bars);
        });
    }

    std::int64_t layerOf(int bar) const { return m_document.planLayers()[static_cast<std::size_t>(bar)]; }
    int barOf(std::int64_t layer) const
    {
        const auto& layers = m_document.planLayers();
        const auto found = std::lower_bound(layers.begin(), layers.end(), layer);
        return found != layers.end() && *found == layer ? static_cast<int>(found - layers.begin()) : -1;
    }

    void takeLayer(std::int64_t layer)
    {
        const int bar = barOf(layer);
        if (bar < 0 || static_cast<std::size_t>(bar) >= m_bars->bars().size())
            return;
        const auto column = m_document.columnOf(layer);
        m_bars->setLevel(bar, column ? static_cast<int>(*column) : -1,
                         column ? m_document.columnBits(*column) : m_document.layerBits(layer));
        m_bars->setLocked(bar, m_document.isLocked(layer));
    }

    void takeLevels(const std::vector<LayerColumn>& changes)
    {
        for (const LayerColumn& change : changes)
            takeLayer(change.layer);
    }

    void rebuild()
    {
        dropProposal();
        std::vector<BarLevel> levels;
        std::vector<Bar> bars;
        if (m_document.isOpen()) {
            for (std::size_t column = 0; column < m_document.table().candidates.size(); ++column)
                levels.push_back({m_document.columnText(column), m_document.columnBits(column)});
            for (const std::int64_t layer : m_document.planLayers()) {
                const Layer& l = m_document.layer(layer);
                Bar bar;
                bar.name = toQString(l.name);
                bar.block = l.block;
                bar.share = static_cast<double>(l.numel());
                for (const std::size_t column : m_document.ladder(layer))
                    bar.ladder.push_back(static_cast<int>(column));
                const auto column = m_document.columnOf(layer);
                bar.level = column ? static_cast<int>(*column) : -1;
                bar.bits = column ? m_document.columnBits(*column) : m_document.layerBits(layer);
                bar.locked = m_document.isLocked(layer);
                bars.push_back(std::move(bar));
            }
            m_bars->setMessage(tr("This checkpoint has no layer that can be quantized."));
        } else {
            m_bars->setMessage(tr("Open a checkpoint to assign bits to its layers."));
        }
        m_bars->setBars(std::move(levels), std::move(bars));
        refreshSensitivities();
        m_bars->setCurrent(m_document.isOpen() ? barOf(m_document.selection().current()) : -1);
    }

    /// The loss per weight at about four bits; nothing where none was measured.
    std::optional<LossAt> sensitivityOf(std::int64_t layer) const
    {
        std::optional<LossAt> nearest;
        double distance = INFINITY;
        for (const std::size_t column : m_document.ladder(layer)) {
            const double d = std::fabs(m_document.columnBits(column) - 4);
            if (d >= distance)
                continue;
            const KnownLoss known = m_document.knownLoss(layer, column);
            const double loss = known.loss / static_cast<double>(m_document.layer(layer).numel());
            if (loss >= 0 && std::isfinite(loss)) {
                distance = d;
                nearest = LossAt{.column = column, .perWeight = loss, .evidence = known.evidence};
            }
        }
        return nearest;
    }

    /// The same as 0…1 of the logarithmic range over the layers; no loss at all is 0.
    std::vector<double> sensitivities() const
    {
        std::vector<double> values;
        double lowest = INFINITY;
        double highest = -INFINITY;
        for (const std::int64_t layer : m_document.planLayers()) {
            const auto loss = sensitivityOf(layer);
            values.push_back(loss ? std::log10(loss->perWeight) : std::numeric_limits<double>::quiet_NaN());
            if (std::isfinite(values.back())) {
                lowest = std::min(lowest, values.back());
                highest = std::max(highest, values.back());
            }
        }
        for (double& value : values) {
            if (std::isinf(value))
                value = 0;
            else if (!std::isnan(value))
                value = highest > lowest ? (value - lowest) / (highest - lowest) : 0.5;
        }
        return values;
    }

    void refreshSensitivities()
    {
        const Metric* metric = m_document.metric();
        m_bars->setSensitivity(sensitivities(), metric && evidenceOf(metric->needs) == Evidence::dataFree);
    }

    /// What the strip shows of the layer, and what it rests on.
    QString sensitivityTip(std::int64_t layer) const
    {
        const Metric* metric = m_document.metric();
        const auto loss = sensitivityOf(layer);
        if (!metric || !loss)
            return m_document.isMeasuring() ? tr("\nsensitivity: being measured") : tr("\nsensitivity: not measured");
        return tr("\nsensitivity at %1: %2 %3 per weight (%4: %5)")
            .arg(m_document.columnText(loss->column), numberText(loss->perWeight), toQString(metric->unit),
                 loss->evidence > Evidence::gradients ? tr("KLD") : toQString(metric->title),
                 toQString(word(loss->evidence)));
    }

    QString tip(int bar) const
    {
        const std::int64_t layer = layerOf(bar);
        const Layer& l = m_document.layer(layer);
        QString text = tr("%1  %2\n%3: %4 bits per weight, %5")
                           .arg(toQString(l.name), toQString(formatShape(l.shape)),
                                toQString(printCandidate(m_document.candidate(layer))),
                                fixedText(m_document.layerBits(layer), 3), bytesText(m_document.layerBytes(layer)));
        if (const auto cell = m_document.plannedCell(layer)) {
            const Metric* metric = m_document.metric();
            text += tr("\nSQNR %1 dB, loss %2 %3")
                        .arg(fixedText(cell->error.sqnrDb(), 1), lossNumber(m_document.plannedLoss(layer)),
                             metric ? toQString(metric->unit) : QString());
        }
        text += sensitivityTip(layer);
        if (m_document.isLocked(layer))
            text += tr("\nlocked");
        const auto item = m_document.itemOf(layer);
        if (item && m_document.table().items[*item].layers.size() > 1)
            text += tr("\ntied by the target: %1").arg(toQString(m_document.table().items[*item].name));
        return text;
    }

    QString stepText() const
    {
        const Budget budget = m_document.budget();
        return budget == Budget() ? tr("Balance within the limits") : tr("Balance to %1").arg(budgetText(budget));
    }

    void startBalance()
    {
        dropProposal();
        if (!m_document.isOpen() || m_document.isMeasuring())
            return;
        m_problem->hide();
        m_bars->setFocus(Qt::OtherFocusReason); // until the answer is there to be accepted
        m_summary->setBusy(true);
        const auto table = m_document.tableSnapshot();
        m_jobs.start(
            {.title = tr("Balancing"), .channel = QStringLiteral("balance"), .quiet = true}, this,
            [model = m_document.model(), table, plan = m_document.plan(), target = m_document.target(),
             limits = m_document.limits(), places = m_limits.places()](const JobContext& context) -> Result<Proposal> {
                BalanceRequest request;
                request.start = plan;
                request.target = target ? &target->profile : nullptr;
                QL_TRY(limited, applyLimits(*model, limits, *table, request, *places, context));
                request.table = &limited;
                return propose(*model, request, context);
            },
            [this](Result<Proposal> result) {
                m_summary->setBusy(false);
                if (result)
                    show(std::move(*result));
                else if (result.error().code != Errc::cancelled)
                    complain(errorText(result.error()));
            });
    }

    void complain(const QString& text)
    {
        setProblemColor(*m_problem);
        m_problem->setText(text);
        m_problem->show();
    }

    void show(Proposal proposal)
    {
        const BalanceResult& result = proposal.balanced;
        std::vector<int> levels;
        for (const std::int64_t layer : m_document.planLayers()) {
            const auto item = m_document.itemOf(layer);
            const auto column =
                item ? m_document.table().columnOf(*item, result.plan.candidates[static_cast<std::size_t>(layer)])
                     : std::nullopt;
            levels.push_back(column ? static_cast<int>(*column) : -1);
        }
        m_bars->setPreview(std::move(levels));
        m_preview->show(proposal, !m_predictions.isTrusted(m_document.lossSource(result.plan))
                                      ? tr("Its metric predicted the last validated plan wrongly, so this is no "
                                           "recommendation until a validation is inside its interval again.")
                                      : QString());
        m_proposal = std::move(proposal);
        if (isAncestorOf(window()->focusWidget())) // and nobody has gone elsewhere meanwhile
            m_preview->setFocus(Qt::OtherFocusReason);
    }

    void dropProposal()
    {
        m_problem->hide();
        if (!m_proposal)
            return;
        m_proposal.reset();
        m_bars->setPreview({});
        if (m_preview->isAncestorOf(window()->focusWidget()))
            m_bars->setFocus(Qt::OtherFocusReason);
        m_preview->hide();
    }

    ViewTable table() const
    {
        ViewTable table{{QStringLiteral("layer"), QStringLiteral("candidate"), QStringLiteral("bits_per_weight"),
                         QStringLiteral("locked")},
                        {}};
        for (const std::int64_t layer : m_document.planLayers())
            table.rows.push_back({toQString(m_document.layer(layer).name),
                                  toQString(printCandidate(m_document.candidate(layer))),
                                  plainNumber(m_document.layerBits(layer)),
                                  m_document.isLocked(layer) ? QStringLiteral("1") : QStringLiteral("0")});
        return table;
    }

    Document& m_document;
    JobRunner& m_jobs;
    const Predictions& m_predictions;
    LimitCheck& m_limits;
    SummaryBar* m_summary;
    BitBars* m_bars;
    BalancePreview* m_preview;
    QLabel* m_problem;
    std::optional<Proposal> m_proposal;
};

} // namespace

namespace panels {
extern const Panel allocation;
const Panel allocation{
    "allocation", QT_TRANSLATE_NOOP("Panel", "Bit allocation"), PanelPlace::bottom,
    [](const PanelContext& context, QWidget* parent) -> QWidget* { return new AllocationPanel(context, parent); }};
} // namespace panels

} // namespace ql::views

#include "allocation_panel.moc"
