// SPDX-License-Identifier: GPL-3.0-or-later
// Size against loss: the plans that no other beats, the plan that is edited, the named ones and those that were
// validated. A chosen mark shows what it would change; it is adopted, kept as a plan, or measured.
#include "views/dialogs/validate_dialog.h"
#include "views/document/document.h"
#include "views/document/layer_names.h"
#include "views/document/limits.h"
#include "views/document/plan_figures.h"
#include "views/jobs/job_runner.h"
#include "views/panels/drawn_panel.h"
#include "views/panels/panel.h"
#include "views/panels/pareto/pareto_chart.h"
#include "views/panels/pareto/plan_front.h"
#include "views/panels/plan_changes.h"
#include "views/panels/view_menu.h"
#include "views/runs/measured_plans.h"
#include "views/runs/runs.h"
#include "views/text/elided_label.h"
#include "views/text/format.h"
#include "views/theme/problem_color.h"

#include <QElapsedTimer>
#include <QHBoxLayout>
#include <QPushButton>
#include <QSplitter>
#include <QTableView>
#include <QTimer>
#include <QVBoxLayout>

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {

constexpr std::size_t kBudgets = 200;
constexpr std::size_t kBudgetsUnderLimits = 40;     // each is a search of its own
constexpr int kSettleMs = 150;                      // after the last change, before the front is solved again
constexpr int kLossesMs = 10'000;                   // between fronts while losses are measured, at least
constexpr std::string_view kKld = "nats per token"; // unit of losses that compare with a measured KLD

/// A plan that has a mark.
struct Entry {
    ParetoKind kind = ParetoKind::front;
    std::shared_ptr<const Plan> plan;
    QString name; // of a named one
    std::size_t named = 0;
    std::int64_t fileBytes = 0;
    double bitsPerWeight = 0;
    double loss = 0;
    const FrontPlan* front = nullptr;
    const ValidationRecord* record = nullptr;
};

class ParetoPanel : public DrawnPanel {
    Q_OBJECT
public:
    ParetoPanel(const PanelContext& context, QWidget* parent)
        : DrawnPanel(parent),
          m_document(context.document),
          m_jobs(context.jobs),
          m_runs(context.runs),
          m_measured(context.document, context.runs.validations),
          m_chart(new ParetoChart(this)),
          m_summary(new ElidedLabel(this)),
          m_changes(new PlanChanges(m_document, this)),
          m_table(new QTableView(this)),
          m_adopt(new QPushButton(tr("Adopt"), this)),
          m_keep(new QPushButton(tr("Keep as a plan"), this)),
          m_measure(new QPushButton(tr("Measure"), this)),
          m_solve(new QPushButton(this))
    {
        auto* parts = new QSplitter(this);
        parts->addWidget(m_chart);
        parts->addWidget(chosenSide());
        parts->setChildrenCollapsible(false);
        parts->setStretchFactor(0, 3);
        parts->setStretchFactor(1, 2);
        auto* column = new QVBoxLayout(this);
        column->setContentsMargins(0, 0, 0, 0);
        column->addWidget(parts);
        m_chart->setAccessibleName(tr("Size against loss"));
        m_chart->setObjectName(QStringLiteral("paretoChart"));
        m_settle.setSingleShot(true);
        m_settle.setInterval(kSettleMs);
        connectAll();
        setFocusProxy(m_chart);
        draw();
    }

private:
    QWidget* chosenSide()
    {
        auto* side = new QWidget;
        auto* column = new QVBoxLayout(side);
        column->setContentsMargins(8, 4, 8, 4);
        column->setSpacing(4);
        column->addWidget(m_summary);
        column->addWidget(m_table, 1);
        auto* buttons = new QHBoxLayout;
        for (QPushButton* button : {m_adopt, m_keep, m_measure})
            buttons->addWidget(button);
        buttons->addStretch(1);
        buttons->addWidget(m_solve);
        column->addLayout(buttons);
        showChanges(*m_table, *m_changes);
        m_table->setAccessibleName(tr("Layers that the chosen plan changes"));
        m_summary->setObjectName(QStringLiteral("paretoSummary"));
        m_adopt->setObjectName(QStringLiteral("paretoAdopt"));
        m_keep->setObjectName(QStringLiteral("paretoKeep"));
        m_measure->setObjectName(QStringLiteral("paretoMeasure"));
        m_solve->setObjectName(QStringLiteral("paretoSolve"));
        m_keep->setToolTip(tr("Adds it to the named plans, beside the one that is edited"));
        return side;
    }

    void connectAll()
    {
        const auto others = [this] {
            m_staleOthers = true;
            touch();
        };
        const auto solveAnew = [this] {
            m_front.reset();
            m_staleOthers = true;
            solveAgain();
        };
        connect(&m_document, &Document::modelChanged, this, solveAnew);
        connect(&m_document, &Document::tableChanged, this, solveAnew);
        connect(&m_document, &Document::measured, this, solveAnew);
        m_later.setSingleShot(true);
        connect(&m_later, &QTimer::timeout, this, &ParetoPanel::solveAgain);
        connect(&m_document, &Document::lossesChanged, this, [this] {
            if (!m_document.countsProbes())
                return;
            const bool wasEarlier = isEarlier();
            ++m_losses;
            followLosses();
            if (!wasEarlier)
                touch();
        });
        connect(&m_runs.losses, &LossRun::changed, this, [this] {
            if (m_later.isActive())
                followLosses();
        });
        connect(&m_document, &Document::planChanged, this, [this, solveAnew] {
            if (m_front && !sameLocks())
                solveAnew();
            else
                touch();
        });
        connect(&m_document, &Document::settingsChanged, this, [this, solveAnew] {
            if (withoutBudget(m_document.limits()) != m_limits)
                solveAnew();
        });
        connect(m_solve, &QPushButton::clicked, this, [this, solveAnew] {
            if (!m_isSolving) {
                solveAnew();
                return;
            }
            m_jobs.cancelChannel(QStringLiteral("front"));
            m_isSolving = false;
            m_isStopped = true;
            touch();
        });
        m_chart->setTipSource([this](int mark) { return tipOf(m_entries[static_cast<std::size_t>(mark)]); });
        connect(&m_document, &Document::totalsChanged, this, [this] { touch(); });
        connect(&m_document, &Document::plansChanged, this, others);
        const ValidationRuns& runs = m_runs.validations;
        for (const auto signal :
             {&ValidationRuns::added, &ValidationRuns::grown, &ValidationRuns::reset, &ValidationRuns::stateChanged})
            connect(&runs, signal, this, others);
        connect(&m_settle, &QTimer::timeout, this, &ParetoPanel::solve);
        connect(m_chart, &ParetoChart::markChosen, this, [this] { showChosen(); });
        connect(m_chart, &ParetoChart::markAdopted, this, [this] { adopt(); });
        connect(m_adopt, &QPushButton::clicked, this, &ParetoPanel::adopt);
        connect(m_keep, &QPushButton::clicked, this, [this] {
            if (const Entry* entry = chosen())
                m_document.addPlan(titleOf(*entry), Plan(*entry->plan));
        });
        connect(m_measure, &QPushButton::clicked, this, [this] {
            const Entry* entry = chosen();
            if (entry && !m_runs.validations.isRunning())
                measurePlan(m_document, m_jobs, m_runs, {.name = titleOf(*entry), .plan = *entry->plan}, window());
        });
        connect(m_table->selectionModel(), &QItemSelectionModel::currentRowChanged, this,
                [this](const QModelIndex& index) {
                    if (index.isValid())
                        m_document.selection().setCurrent(
                            index.siblingAtColumn(PlanChanges::kLayer).data(Qt::UserRole).toLongLong(), this);
                });
        addViewMenu(m_chart, [this] { return marksTable(); });
    }

    bool hasPlan() const { return m_document.isOpen() && !m_document.planLayers().empty(); }

    /// Whether what the solver may not decide is as it was.
    bool sameLocks() const
    {
        const Plan& now = m_document.plan();
        if (now.locked != m_start.locked)
            return false;
        for (std::size_t i = 0; i < now.locked.size(); ++i)
            if (now.locked[i] && !(now.candidates[i] == m_start.candidates[i]))
                return false;
        return true;
    }

    /// Whether the front is of other losses than are known now.
    bool isEarlier() const { return m_frontLosses != m_losses; }

    /// What is shown stays until then.
    void solveAgain()
    {
        m_later.stop();
        m_jobs.cancelChannel(QStringLiteral("front"));
        m_isSolving = m_isStopped = false;
        m_staleFront = true;
        touch();
    }

    /// While losses are measured they come all the time: as long as a front takes, none is begun after it.
    void followLosses()
    {
        if (!isEarlier() || m_isSolving || m_isStopped)
            return;
        if (m_runs.losses.state() != LossRun::State::running)
            solveAgain();
        else if (!m_later.isActive())
            m_later.start(std::max(kLossesMs, m_solvingMs));
    }

    void solve()
    {
        if (!hasPlan() || m_document.isMeasuring())
            return;
        m_later.stop();
        m_problem.clear();
        m_start = m_document.plan();
        m_limits = withoutBudget(m_document.limits());
        m_isSolving = true;
        refreshSolve();
        QElapsedTimer clock;
        clock.start();
        m_jobs.start(
            {.title = tr("Solving the front"), .channel = QStringLiteral("front"), .quiet = true}, this,
            [model = m_document.model(), table = m_document.tableSnapshot(), start = m_start,
             target = m_document.target(), limits = m_limits,
             places = m_runs.limits.places()](const JobContext& context) -> Result<FrontPlans> {
                BalanceRequest request;
                request.start = start;
                request.target = target ? &target->profile : nullptr;
                QL_TRY(limited, applyLimits(*model, limits, *table, request, *places, context));
                request.table = &limited;
                request.constraints.loss.reset(); // the front has all of them
                return frontPlans(*model, request, request.constraints.hasAny() ? kBudgetsUnderLimits : kBudgets,
                                  context);
            },
            [this, clock, losses = m_losses](Result<FrontPlans> front) {
                m_isSolving = false;
                m_isStopped = !front && front.error().code == Errc::cancelled; // from the list of jobs
                m_solvingMs = static_cast<int>(clock.elapsed());
                if (!m_isStopped) {
                    m_frontLosses = losses;
                    m_front.reset();
                    if (front)
                        m_front = std::move(*front);
                    else
                        m_problem = errorText(front.error());
                }
                m_staleOthers = true; // some of them are on the front
                followLosses();
                touch();
            });
    }

    void draw() override
    {
        if (m_frontOf != m_document.model()) { // others may hear of another model first, and tell
            m_front.reset();
            m_entries.clear();
            m_staleFront = m_staleOthers = true;
            m_frontOf = m_document.model();
        }
        if (std::exchange(m_staleFront, false)) {
            m_settle.start();
            m_problem.clear();
        }
        if (!m_document.isOpen())
            m_settle.stop();
        const std::shared_ptr<const Plan> before = chosen() ? chosen()->plan : nullptr;
        if (std::exchange(m_staleOthers, false))
            findOthers();
        m_entries = m_others;
        if (hasPlan())
            m_entries.push_back(currentEntry());
        m_inFiles = hasPlan() && std::ranges::all_of(m_entries, [](const Entry& e) { return e.fileBytes > 0; });
        std::vector<ParetoMark> marks;
        for (const Entry& entry : m_entries)
            marks.push_back(markOf(entry));
        const Metric* metric = m_document.metric();
        m_chart->setEarlier(isEarlier());
        m_chart->setMarks(std::move(marks), hull(), m_inFiles ? tr("size / %1").arg(unit()) : tr("bits per weight"),
                          metric ? tr("%1 / %2").arg(toQString(metric->title), toQString(metric->unit)) : QString());
        m_chart->setMessage(message());
        int again = -1;
        for (std::size_t i = 0; before && i < m_entries.size(); ++i)
            if (m_entries[i].plan->candidates == before->candidates && (again < 0 || m_entries[i].front))
                again = static_cast<int>(i);
        m_chart->setChosen(again);
        showChosen();
    }

    QString message() const
    {
        if (!m_document.isOpen())
            return tr("Open a checkpoint first.");
        if (!hasPlan())
            return tr("This checkpoint has no layer that can be quantized.");
        if (!m_problem.isEmpty())
            return m_problem;
        if (m_front)
            return m_front->plans.empty() ? tr("Nothing is left to decide: unlock layers, or measure candidates.")
                                          : QString();
        return m_isStopped                ? tr("Solving was stopped.")
               : m_document.isMeasuring() ? tr("Losses are being measured…")
                                          : tr("Solving…");
    }

    /// All but the plan that is edited.
    void findOthers()
    {
        m_others.clear();
        if (!hasPlan())
            return;
        if (m_front)
            for (const FrontPlan& plan : m_front->plans)
                m_others.push_back({.kind = ParetoKind::front,
                                    .plan = plan.plan,
                                    .name = {},
                                    .named = 0,
                                    .fileBytes = plan.fileBytes,
                                    .bitsPerWeight = plan.bitsPerWeight,
                                    .loss = plan.loss,
                                    .front = &plan,
                                    .record = m_measured.of(*plan.plan)});
        const NamedPlans& named = m_document.namedPlans();
        for (std::size_t i = 0; i < named.plans.size(); ++i) {
            auto plan =
                i == named.current ? Result<Plan>(usageError("is the one that is edited")) : m_document.namedPlan(i);
            if (plan)
                addOther(ParetoKind::named, std::make_shared<const Plan>(std::move(*plan)), named.plans[i].name, i);
        }
        for (const MeasuredPlan& measured : m_measured.all())
            if (std::ranges::none_of(
                    m_others, [&](const Entry& entry) { return entry.plan->candidates == measured.plan->candidates; }))
                addOther(ParetoKind::measured, measured.plan, {}, 0);
    }

    void addOther(ParetoKind kind, std::shared_ptr<const Plan> plan, const QString& name, std::size_t named)
    {
        const PlanFigures figures = figuresOf(m_document, *plan);
        m_others.push_back({.kind = kind,
                            .plan = plan,
                            .name = name,
                            .named = named,
                            .fileBytes = figures.fileBytes.value_or(0),
                            .bitsPerWeight = figures.bitsPerWeight,
                            .loss = figures.loss,
                            .front = nullptr,
                            .record = m_measured.of(*plan)});
        if (figures.target != m_document.target()) // of other files: it has no place among these
            m_others.pop_back();
    }

    Entry currentEntry()
    {
        const Totals& totals = m_document.totals();
        const auto plan = std::make_shared<const Plan>(m_document.plan());
        return {.kind = ParetoKind::current,
                .plan = plan,
                .name = m_document.namedPlans().plans[m_document.namedPlans().current].name,
                .named = 0,
                .fileBytes = totals.fileBytes.value_or(0),
                .bitsPerWeight = totals.bitsPerWeight,
                .loss = totals.loss,
                .front = nullptr,
                .record = m_measured.of(*plan)};
    }

    /// Of the files: the one that suits the largest.
    bool inGigabytes() const
    {
        constexpr std::int64_t kFrom = 2'000'000'000;
        return std::ranges::any_of(m_entries, [](const Entry& entry) { return entry.fileBytes >= kFrom; });
    }
    QString unit() const { return inGigabytes() ? QStringLiteral("GB") : QStringLiteral("MB"); }

    ParetoMark markOf(const Entry& entry) const
    {
        ParetoMark mark{.kind = entry.kind,
                        .size = m_inFiles ? static_cast<double>(entry.fileBytes) / (inGigabytes() ? 1e9 : 1e6)
                                          : entry.bitsPerWeight,
                        .loss = entry.loss,
                        .measured = 0,
                        .measuredError = 0,
                        .isMeasured = entry.record != nullptr};
        const Metric* metric = m_document.metric();
        if (entry.record && !entry.record->outputs && metric && metric->unit == kKld) {
            mark.measured = entry.record->last().kld.value;
            mark.measuredError = entry.record->last().kld.error;
        }
        return mark;
    }

    static QString titleOf(const Entry& entry)
    {
        if (!entry.name.isEmpty())
            return entry.name;
        return entry.fileBytes > 0 ? bytesText(entry.fileBytes) : tr("%1 bits").arg(fixedText(entry.bitsPerWeight, 2));
    }

    QString sizeText(const Entry& entry) const
    {
        const QString bits = tr("%1 bits per weight").arg(fixedText(entry.bitsPerWeight, 3));
        return entry.fileBytes > 0 ? tr("%1 · %2").arg(bytesText(entry.fileBytes), bits) : bits;
    }

    /// A loss, or a difference of two, of which `number` is the text.
    QString withUnit(const QString& number) const
    {
        const Metric* metric = m_document.metric();
        return metric ? tr("%1 %2").arg(number, toQString(metric->unit)) : number;
    }

    QString tipOf(const Entry& entry) const
    {
        QString text = entry.name.isEmpty()                ? QString()
                       : entry.kind == ParetoKind::current ? tr("%1, the current plan\n").arg(entry.name)
                                                           : entry.name + QLatin1Char('\n');
        text += sizeText(entry);
        text += std::isnan(entry.loss) ? tr("\npredicted loss not measured")
                                       : tr("\npredicted %1").arg(withUnit(numberText(entry.loss, 4)));
        if (entry.record)
            text += tr("\nmeasured %1: %2").arg(figureText(*entry.record), figureTip(*entry.record));
        if (!entry.front)
            return text;
        if (isEarlier())
            text += tr("\nBy losses that were known earlier.");
        text += entry.front->gap > 0
                    ? tr("\nA plan of this size is at best %1 better.").arg(percentText(entry.front->gap))
                    : tr("\nNo plan of this size is predicted to be better.");
        if (entry.front->next)
            text += QLatin1Char('\n') + stepText(*entry.front, *entry.front->next);
        return text;
    }

    /// What the next step changes, and what that buys.
    QString stepText(const FrontPlan& plan, const FrontStep& step) const
    {
        const QString more =
            m_front->inBytes ? bytesText(step.addedSize) : tr("%1 bits").arg(countText(step.addedSize));
        constexpr double kBitsPerMegabyte = 8e6;
        return tr("The next %1 buy %2 (an MB more here: %3):\n%4 from %5 to %6")
            .arg(more, withUnit(signedText(numberText(-step.savedLoss))),
                 signedText(numberText(-plan.shadowPrice * kBitsPerMegabyte)),
                 nameWithBlock(m_document.layer(step.layer)), toQString(printCandidate(step.from)),
                 toQString(printCandidate(step.to)));
    }

    /// In the unit of the axis.
    QList<QPointF> hull() const
    {
        QList<QPointF> vertices;
        if (!m_front || m_front->inBytes != m_inFiles)
            return vertices;
        const double unit = m_inFiles ? (inGigabytes() ? 1e9 : 1e6) : 1;
        for (const HullVertex& vertex : m_front->hull)
            vertices << QPointF(vertex.size / unit, vertex.loss);
        return vertices;
    }

    void refreshSolve()
    {
        m_solve->setVisible(hasPlan() && (m_isSolving || m_isStopped));
        m_solve->setText(m_isSolving ? tr("Stop") : tr("Solve"));
        m_solve->setToolTip(m_isSolving ? tr("Stops solving the front") : tr("Solves the front from the beginning"));
    }

    const Entry* chosen() const
    {
        const int mark = m_chart->chosen();
        return mark >= 0 && mark < static_cast<int>(m_entries.size()) ? &m_entries[static_cast<std::size_t>(mark)]
                                                                      : nullptr;
    }

    void showChosen()
    {
        refreshSolve();
        const Entry* entry = chosen();
        const bool isOther = entry && entry->kind != ParetoKind::current;
        const auto now = entry ? std::make_shared<const Plan>(m_document.plan()) : nullptr;
        m_changes->setPlans(now, tr("now"), entry ? entry->plan : nullptr, entry ? titleOf(*entry) : tr("chosen"));
        const bool runs = m_runs.validations.isRunning();
        m_adopt->setText(entry && entry->kind == ParetoKind::named ? tr("Switch to") : tr("Adopt"));
        m_adopt->setEnabled(isOther);
        m_adopt->setToolTip(tr("Enter or double click; can be undone"));
        m_keep->setEnabled(entry && entry->kind != ParetoKind::named);
        m_measure->setEnabled(entry && !runs);
        m_measure->setToolTip(runs ? tr("A validation is running")
                              : m_runs.validations.lastChoice()
                                  ? tr("Validates the chosen plan on what the last validation ran on")
                                  : tr("Validates the chosen plan: asks on what"));
        setProblemColor(*m_summary, !m_problem.isEmpty());
        m_summary->setText(summary(entry));
        m_summary->setToolTip(entry ? tipOf(*entry) : QString());
        m_chart->setAccessibleDescription(entry ? m_summary->toolTip() : m_summary->text()); // keys go along the marks
    }

    QString frontSummary(const FrontPlans& front) const
    {
        const QString proven = front.largestGap > 0 ? tr("proven but for %1 at most").arg(percentText(front.largestGap))
                                                    : tr("all proven");
        const QString text =
            isEarlier() ? tr("%1 plans that none beats by earlier losses, %2. Choose one by mouse or arrow keys; Enter "
                             "adopts it.")
                        : tr("%1 plans that none beats, %2. Choose one by mouse or arrow keys; Enter adopts it.");
        return text.arg(front.plans.size()).arg(proven);
    }

    QString summary(const Entry* entry) const
    {
        if (!m_problem.isEmpty())
            return m_problem;
        if (!entry)
            return m_front && !m_front->plans.empty() ? frontSummary(*m_front) : QString();
        QString text = entry->name.isEmpty() ? sizeText(*entry) : tr("%1: %2").arg(entry->name, sizeText(*entry));
        text += std::isnan(entry->loss) ? tr(" · loss not measured")
                                        : tr(" · predicted %1").arg(withUnit(numberText(entry->loss, 4)));
        if (entry->front && isEarlier())
            text += tr(" by earlier losses");
        if (entry->record)
            text += tr(" · measured %1").arg(figureText(*entry->record));
        const int count = m_changes->rowCount();
        if (entry->kind != ParetoKind::current)
            text += count == 0   ? tr(" · as the current plan")
                    : count == 1 ? tr(" · one layer changes")
                                 : tr(" · %1 layers change").arg(count);
        return text;
    }

    void adopt()
    {
        const Entry* entry = chosen();
        if (!entry || entry->kind == ParetoKind::current)
            return;
        if (entry->kind == ParetoKind::named)
            m_document.switchPlan(entry->named);
        else
            m_document.adoptPlan(Plan(*entry->plan), tr("Adopt the plan of %1").arg(titleOf(*entry)));
    }

    ViewTable marksTable() const
    {
        ViewTable table{{QStringLiteral("kind"), QStringLiteral("plan"), QStringLiteral("file_bytes"),
                         QStringLiteral("bits_per_weight"), QStringLiteral("predicted_loss"), QStringLiteral("gap"),
                         QStringLiteral("shadow_price_per_bit"), QStringLiteral("measured")},
                        {}};
        static constexpr const char* kKinds[] = {"front", "named", "measured", "current"};
        for (const Entry& entry : m_entries)
            table.rows.push_back({QLatin1String(kKinds[static_cast<std::size_t>(entry.kind)]), entry.name,
                                  entry.fileBytes > 0 ? QString::number(entry.fileBytes) : QString(),
                                  plainNumber(entry.bitsPerWeight),
                                  std::isnan(entry.loss) ? QString() : plainNumber(entry.loss),
                                  entry.front ? plainNumber(entry.front->gap) : QString(),
                                  entry.front ? plainNumber(entry.front->shadowPrice) : QString(),
                                  entry.record ? plainNumber(figureOf(*entry.record)) : QString()});
        return table;
    }

    Document& m_document;
    JobRunner& m_jobs;
    Runs& m_runs;
    MeasuredPlans m_measured;
    ParetoChart* m_chart;
    ElidedLabel* m_summary;
    PlanChanges* m_changes;
    QTableView* m_table;
    QPushButton* m_adopt;
    QPushButton* m_keep;
    QPushButton* m_measure;
    QPushButton* m_solve; // stops, or solves again
    QTimer m_later;       // for a front of the losses that are known then
    QTimer m_settle;
    int m_losses = 0;                       // how often they changed
    int m_frontLosses = 0;                  // that, when the front was begun
    int m_solvingMs = 0;                    // what it took
    std::optional<FrontPlans> m_front;      // of m_start's locks and m_limits
    std::shared_ptr<const Model> m_frontOf; // and this model
    Plan m_start;
    std::vector<Limit> m_limits; // beside the budget
    bool m_isSolving = false;
    bool m_isStopped = false; // by the user
    QString m_problem;
    std::vector<Entry> m_others, m_entries;
    bool m_inFiles = false;
    bool m_staleFront = true;
    bool m_staleOthers = true;
};

} // namespace

namespace panels {
extern const Panel pareto;
const Panel pareto{
    "pareto", QT_TRANSLATE_NOOP("Panel", "Pareto front"), PanelPlace::bottom,
    [](const PanelContext& context, QWidget* parent) -> QWidget* { return new ParetoPanel(context, parent); }};
} // namespace panels

} // namespace ql::views

#include "pareto_panel.moc"
