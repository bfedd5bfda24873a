// SPDX-License-Identifier: GPL-3.0-or-later
// Named plans side by side: branch, rename, copy, delete, switch and measure them; and what two of them decide
// differently, layer by layer, with the totals of both, from where layers are taken over.
#include "views/dialogs/validate_dialog.h"
#include "views/document/document.h"
#include "views/panels/drawn_panel.h"
#include "views/panels/panel.h"
#include "views/panels/panel_side.h"
#include "views/panels/plan_changes.h"
#include "views/panels/plans/plans_model.h"
#include "views/panels/row_table.h"
#include "views/panels/view_menu.h"
#include "views/runs/runs.h"
#include "views/text/elided_label.h"
#include "views/text/format.h"
#include "views/theme/problem_color.h"

#include <QAction>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QPushButton>
#include <QSplitter>
#include <QTableView>
#include <QVBoxLayout>

#include <algorithm>
#include <cmath>

namespace ql::views {

namespace {

class PlansPanel : public DrawnPanel {
    Q_OBJECT
public:
    PlansPanel(const PanelContext& context, QWidget* parent)
        : DrawnPanel(parent),
          m_document(context.document),
          m_jobs(context.jobs),
          m_runs(context.runs),
          m_summary(new ElidedLabel(this)),
          m_model(new PlansModel(m_document, m_runs.validations, this)),
          m_table(new QTableView(this)),
          m_branch(new QPushButton(tr("New from current"), this)),
          m_copy(new QPushButton(tr("Duplicate"), this)),
          m_rename(new QPushButton(tr("Rename"), this)),
          m_delete(new QPushButton(tr("Delete"), this)),
          m_switch(new QPushButton(tr("Switch to"), this)),
          m_measure(new QPushButton(tr("Measure"), this)),
          m_comparison(new ElidedLabel(this)),
          m_changes(new PlanChanges(m_document, this)),
          m_changesTable(new QTableView(this)),
          m_take(new QPushButton(tr("Take selected layers"), this))
    {
        auto* parts = new QSplitter(this);
        parts->addWidget(plansSide());
        parts->addWidget(changesSide());
        parts->setChildrenCollapsible(false);
        parts->setStretchFactor(0, 1);
        parts->setStretchFactor(1, 1);
        auto* column = new QVBoxLayout(this);
        column->setContentsMargins(0, 0, 0, 0);
        column->addWidget(parts);
        connectAll();
        setFocusProxy(m_table);
        draw();
    }

private:
    QWidget* plansSide()
    {
        m_table->setModel(m_model);
        showAsRows(*m_table);
        m_table->setSelectionMode(QAbstractItemView::ExtendedSelection);
        m_table->setEditTriggers(QAbstractItemView::EditKeyPressed);
        m_table->setWordWrap(false);
        m_table->setMinimumSize(90, 40);
        m_table->setAccessibleName(tr("Plans"));
        m_table->setObjectName(QStringLiteral("plansTable"));
        m_table->horizontalHeader()->setHighlightSections(false);
        m_table->horizontalHeader()->setStretchLastSection(true);
        const auto wide = [this](int of, const QString& sample) {
            m_table->setColumnWidth(of, fontMetrics().horizontalAdvance(sample) + 24);
        };
        wide(PlansModel::kName, QStringLiteral("More for attention 12"));
        wide(PlansModel::kSize, QStringLiteral("123.4 MB"));
        wide(PlansModel::kBits, QStringLiteral("16.000"));
        wide(PlansModel::kLoss, QStringLiteral("not measured"));
        wide(PlansModel::kMeasured, QStringLiteral("0.00123 ± 0.00012"));
        wide(PlansModel::kTarget, QStringLiteral("compressed-tensors"));
        m_branch->setObjectName(QStringLiteral("planNew"));
        m_copy->setObjectName(QStringLiteral("planCopy"));
        m_rename->setObjectName(QStringLiteral("planRename"));
        m_delete->setObjectName(QStringLiteral("planDelete"));
        m_switch->setObjectName(QStringLiteral("planSwitch"));
        m_measure->setObjectName(QStringLiteral("planMeasure"));
        m_branch->setToolTip(tr("A copy of the current plan to go on with; the current one stays as it is"));
        m_copy->setToolTip(tr("A copy of the chosen plan"));
        m_rename->setToolTip(tr("F2"));
        m_delete->setToolTip(tr("Del; can be undone"));
        m_switch->setToolTip(tr("Shows and edits the chosen plan (Enter or double click); can be undone"));
        auto* top = new QHBoxLayout;
        top->addWidget(m_summary, 1);
        auto* bottom = new QHBoxLayout;
        for (QPushButton* button : {m_branch, m_copy, m_rename, m_delete, m_switch, m_measure})
            bottom->addWidget(button);
        bottom->addStretch(1);
        return panelSide(top, m_table, bottom);
    }

    QWidget* changesSide()
    {
        showChanges(*m_changesTable, *m_changes);
        m_changesTable->setSelectionMode(QAbstractItemView::ExtendedSelection);
        m_changesTable->setAccessibleName(tr("Layers that differ"));
        m_changesTable->setObjectName(QStringLiteral("planChanges"));
        m_comparison->setObjectName(QStringLiteral("planComparison"));
        m_take->setObjectName(QStringLiteral("planTake"));
        auto* top = new QHBoxLayout;
        top->addWidget(m_comparison, 1);
        auto* bottom = new QHBoxLayout;
        bottom->addStretch(1);
        bottom->addWidget(m_take);
        return panelSide(top, m_changesTable, bottom);
    }

    void connectAll()
    {
        const auto reread = [this] {
            m_stalePlans = true;
            touch();
        };
        const auto refresh = [this] {
            m_staleFigures = true;
            touch();
        };
        connect(&m_document, &Document::modelChanged, this, reread);
        connect(&m_document, &Document::plansChanged, this, reread);
        connect(&m_document, &Document::tableChanged, this, refresh);
        connect(&m_document, &Document::factsChanged, this, refresh);
        connect(&m_document, &Document::measured, this, refresh);
        connect(&m_document, &Document::settingsChanged, this, refresh);
        connect(&m_document, &Document::planChanged, this, [this] { touch(); });
        connect(&m_document, &Document::totalsChanged, this, [this] { touch(); });
        const ValidationRuns& runs = m_runs.validations;
        for (const auto signal :
             {&ValidationRuns::added, &ValidationRuns::grown, &ValidationRuns::reset, &ValidationRuns::stateChanged})
            connect(&runs, signal, this, refresh);
        connect(m_table->selectionModel(), &QItemSelectionModel::selectionChanged, this, [this] {
            if (!m_drawing)
                compare();
        });
        connect(m_table, &QTableView::activated, this, [this](const QModelIndex& index) { switchTo(index.row()); });
        connect(m_branch, &QPushButton::clicked, this, [this] {
            m_document.branchPlan(m_model->name(m_model->current()));
            rename(m_model->current());
        });
        connect(m_copy, &QPushButton::clicked, this, [this] {
            const int row = chosen();
            if (row >= 0 && m_model->plan(row))
                m_document.addPlan(m_model->name(row), *m_model->plan(row));
        });
        connect(m_rename, &QPushButton::clicked, this, [this] { rename(chosen()); });
        connect(m_delete, &QPushButton::clicked, this, &PlansPanel::remove);
        connect(m_switch, &QPushButton::clicked, this, [this] { switchTo(chosen()); });
        connect(m_measure, &QPushButton::clicked, this, &PlansPanel::measure);
        connect(m_take, &QPushButton::clicked, this, &PlansPanel::takeLayers);
        connect(m_changesTable->selectionModel(), &QItemSelectionModel::selectionChanged, this,
                [this] { refreshTake(); });
        connect(m_changesTable->selectionModel(), &QItemSelectionModel::currentRowChanged, this,
                [this](const QModelIndex& index) {
                    if (index.isValid() && !m_comparing)
                        m_document.selection().setCurrent(layerOf(index), this);
                });
        auto* key = new QAction(tr("Delete the plan"), m_table);
        key->setShortcut(QKeySequence::Delete);
        key->setShortcutContext(Qt::WidgetShortcut);
        connect(key, &QAction::triggered, this, &PlansPanel::remove);
        addViewMenu(m_table, [this] { return plansTable(); });
        m_table->addAction(key);
    }

    std::int64_t layerOf(const QModelIndex& index) const
    {
        return index.siblingAtColumn(PlanChanges::kLayer).data(Qt::UserRole).toLongLong();
    }

    /// The row that the buttons mean; −1: none.
    int chosen() const { return m_table->currentIndex().isValid() ? m_table->currentIndex().row() : -1; }

    void rename(int row)
    {
        if (row < 0 || !isVisible())
            return;
        const QModelIndex name = m_model->index(row, PlansModel::kName);
        m_table->setCurrentIndex(name);
        m_table->setFocus();
        m_table->edit(name);
    }

    void switchTo(int row)
    {
        if (row >= 0)
            m_document.switchPlan(static_cast<std::size_t>(row));
    }

    void remove()
    {
        if (chosen() >= 0)
            m_document.removePlan(static_cast<std::size_t>(chosen()));
    }

    void measure()
    {
        const int row = chosen();
        if (row >= 0 && m_model->plan(row) && !m_runs.validations.isRunning())
            measurePlan(m_document, m_jobs, m_runs, {.name = m_model->name(row), .plan = *m_model->plan(row)},
                        window());
    }

    void draw() override
    {
        m_drawing = true;
        if (m_stalePlans || m_model->isStale()) { // others may hear of another model first, and tell
            // After a switch the list stands on the plan that is shown.
            const int row =
                m_model->current() != std::exchange(m_lastCurrent, m_model->current()) ? m_model->current() : chosen();
            m_model->reset();
            const QModelIndex index = m_model->index(std::clamp(row, 0, std::max(0, m_model->rowCount() - 1)), 0);
            if (index.isValid() && index.row() != chosen())
                m_table->setCurrentIndex(index);
        } else if (m_staleFigures) {
            m_model->refreshAll();
        }
        m_model->refreshCurrent();
        m_stalePlans = m_staleFigures = false;
        m_drawing = false;
        m_table->setEnabled(m_document.isOpen());
        compare();
    }

    /// Rows of the two plans that are compared: the chosen one with the current one, or two that are selected.
    std::optional<std::pair<int, int>> compared() const
    {
        std::vector<int> rows;
        for (const QModelIndex& index : m_table->selectionModel()->selectedRows())
            rows.push_back(index.row());
        std::ranges::sort(rows);
        if (rows.size() == 1 && rows.front() != m_model->current())
            rows.insert(rows.begin(), m_model->current());
        if (rows.size() != 2 || !m_model->plan(rows[0]) || !m_model->plan(rows[1]))
            return std::nullopt;
        if (rows[1] == m_model->current()) // what is edited is what the other is compared with
            std::swap(rows[0], rows[1]);
        return std::pair(rows[0], rows[1]);
    }

    void compare()
    {
        std::vector<std::int64_t> selected;
        for (const QModelIndex& index : m_changesTable->selectionModel()->selectedRows())
            selected.push_back(layerOf(index));
        const auto rows = compared();
        m_comparing = true;
        if (rows)
            m_changes->setPlans(m_model->plan(rows->first), m_model->name(rows->first), m_model->plan(rows->second),
                                m_model->name(rows->second));
        else
            m_changes->setPlans(nullptr, tr("plan"), nullptr, tr("other plan"));
        for (int row = 0; row < m_changesTable->model()->rowCount(); ++row) {
            const QModelIndex index = m_changesTable->model()->index(row, 0);
            if (std::ranges::count(selected, layerOf(index)) > 0)
                m_changesTable->selectionModel()->select(index,
                                                         QItemSelectionModel::Select | QItemSelectionModel::Rows);
        }
        m_comparing = false;
        setProblemColor(*m_comparison, !m_problem.isEmpty());
        m_comparison->setText(!m_problem.isEmpty() ? std::exchange(m_problem, QString()) : comparison(rows));
        refreshSummary();
        refreshTake();
    }

    void refreshSummary()
    {
        const int row = chosen();
        const auto count = m_model->rowCount();
        const bool runs = m_runs.validations.isRunning();
        m_summary->setText(
            !m_document.isOpen() ? tr("Open a checkpoint first.")
            : count == 1         ? tr("One plan. New from current branches it, so that both can be compared.")
                         : tr("%1 plans; %2 is shown and edited.").arg(count).arg(m_model->name(m_model->current())));
        m_branch->setEnabled(m_document.isOpen());
        m_copy->setEnabled(row >= 0 && m_model->plan(row));
        m_rename->setEnabled(row >= 0);
        m_delete->setEnabled(row >= 0 && count > 1);
        m_switch->setEnabled(row >= 0 && row != m_model->current());
        m_measure->setEnabled(row >= 0 && m_model->plan(row) && !runs);
        m_measure->setToolTip(runs ? tr("A validation is running")
                              : m_runs.validations.lastChoice()
                                  ? tr("Validates the chosen plan on what the last validation ran on")
                                  : tr("Validates the chosen plan: asks on what"));
    }

    QString comparison(const std::optional<std::pair<int, int>>& rows)
    {
        if (!m_document.isOpen())
            return {};
        if (!rows)
            return m_model->rowCount() > 1
                       ? tr("Choose another plan to compare it with %1, or two.").arg(m_model->name(m_model->current()))
                       : QString();
        const auto [a, b] = *rows;
        const PlanFigures& before = m_model->figures(a);
        const PlanFigures& after = m_model->figures(b);
        QString text = tr("%1 against %2: ").arg(m_model->name(b), m_model->name(a));
        const int differ = m_changes->rowCount();
        text += differ == 0   ? tr("no layer differs")
                : differ == 1 ? tr("one layer differs")
                              : tr("%1 layers differ").arg(differ);
        if (before.fileBytes && after.fileBytes)
            text += QStringLiteral(" · ") + signedText(bytesText(*after.fileBytes - *before.fileBytes));
        text += tr(" · %1 bits per weight").arg(signedText(fixedText(after.bitsPerWeight - before.bitsPerWeight, 3)));
        const Metric* metric = m_document.metric();
        text += std::isnan(after.loss - before.loss) || !metric
                    ? tr(" · predicted loss not measured")
                    : tr(" · predicted loss %1 %2")
                          .arg(signedText(numberText(after.loss - before.loss)), toQString(metric->unit));
        const ValidationRecord* recordA = m_model->measured(a);
        const ValidationRecord* recordB = m_model->measured(b);
        if (recordA && recordB) {
            const QString difference = figureDifference(*recordA, *recordB);
            text += difference.isEmpty() ? tr(" · measured on different texts") : tr(" · measured %1").arg(difference);
        }
        return text;
    }

    void refreshTake()
    {
        const auto rows = compared();
        const bool intoCurrent = rows && rows->first == m_model->current();
        const auto count = m_changesTable->selectionModel()->selectedRows().size();
        m_take->setEnabled(intoCurrent && count > 0);
        m_take->setToolTip(intoCurrent ? tr("Gives the selected layers of %1 what %2 has; locked layers stay. Ctrl+A "
                                            "in the table selects all.")
                                             .arg(m_model->name(rows->first), m_model->name(rows->second))
                                       : tr("Layers are taken into the current plan: choose one other plan"));
    }

    void takeLayers()
    {
        const auto rows = compared();
        if (!rows || rows->first != m_model->current())
            return;
        std::vector<std::int64_t> layers;
        for (const QModelIndex& index : m_changesTable->selectionModel()->selectedRows())
            layers.push_back(layerOf(index));
        const auto from = m_model->plan(rows->second); // rows are made anew meanwhile
        const QString name = m_model->name(rows->second);
        const QStringList refusals =
            m_document.takeLayers(*from, layers,
                                  layers.size() == 1 ? tr("Take a layer of %1").arg(name)
                                                     : tr("Take %1 layers of %2").arg(layers.size()).arg(name));
        if (!refusals.isEmpty()) {
            m_problem = refusals.size() == 1 ? refusals.front()
                                             : tr("%1 layers stay: %2").arg(refusals.size()).arg(refusals.front());
            compare();
        }
    }

    ViewTable plansTable() const
    {
        ViewTable table = tableOf(*m_table);
        table.header = {
            QStringLiteral("plan"),           QStringLiteral("file_bytes"), QStringLiteral("bits_per_weight"),
            QStringLiteral("predicted_loss"), QStringLiteral("measured"),   QStringLiteral("target")};
        return table;
    }

    Document& m_document;
    JobRunner& m_jobs;
    Runs& m_runs;
    ElidedLabel* m_summary;
    PlansModel* m_model;
    QTableView* m_table;
    QPushButton* m_branch;
    QPushButton* m_copy;
    QPushButton* m_rename;
    QPushButton* m_delete;
    QPushButton* m_switch;
    QPushButton* m_measure;
    ElidedLabel* m_comparison;
    PlanChanges* m_changes;
    QTableView* m_changesTable;
    QPushButton* m_take;
    QString m_problem; // of the last action, shown once
    bool m_stalePlans = true;
    bool m_staleFigures = false;
    int m_lastCurrent = -1; // row of the current plan when it was looked at last
    bool m_drawing = false;
    bool m_comparing = false;
};

} // namespace

namespace panels {
extern const Panel plans;
const Panel plans{
    "plans", QT_TRANSLATE_NOOP("Panel", "Plans"), PanelPlace::bottom,
    [](const PanelContext& context, QWidget* parent) -> QWidget* { return new PlansPanel(context, parent); }};
} // namespace panels

} // namespace ql::views

#include "plans_panel.moc"
