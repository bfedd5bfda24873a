// SPDX-License-Identifier: GPL-3.0-or-later
// All that Balance has to keep: sizes, memory, operations, latency, loss, bits of groups, ties, candidates allowed and
// locks; what the plan takes of each, and by how much it passes one. Limits are added, edited in the table and removed.
#include "views/document/document.h"
#include "views/panels/drawn_panel.h"
#include "views/panels/limits/limit_bar_delegate.h"
#include "views/panels/limits/limits_model.h"
#include "views/panels/panel.h"
#include "views/panels/panel_side.h"
#include "views/panels/row_table.h"
#include "views/panels/view_menu.h"
#include "views/runs/runs.h"
#include "views/text/elided_label.h"
#include "views/text/format.h"
#include "views/theme/problem_color.h"

#include <QAction>
#include <QComboBox>
#include <QCompleter>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLineEdit>
#include <QPushButton>
#include <QTableView>
#include <QVBoxLayout>

#include <algorithm>

namespace ql::views {

namespace {

constexpr int kPin = -1; // among the kinds that are added: layers get a candidate and are locked

class LimitsPanel : public DrawnPanel {
    Q_OBJECT
public:
    LimitsPanel(const PanelContext& context, QWidget* parent)
        : DrawnPanel(parent),
          m_document(context.document),
          m_check(context.runs.limits),
          m_summary(new ElidedLabel(this)),
          m_model(new LimitsModel(m_document, this)),
          m_table(new QTableView(this)),
          m_kind(new QComboBox(this)),
          m_bound(new QLineEdit(this)),
          m_add(new QPushButton(tr("Add"), this)),
          m_remove(new QPushButton(tr("Remove"), this))
    {
        showTable();
        for (const LimitInfo& info : limitKinds()) {
            m_kind->addItem(toQString(info.title), static_cast<int>(info.kind));
            m_kind->setItemData(m_kind->count() - 1, toQString(info.help), Qt::ToolTipRole);
        }
        m_kind->addItem(tr("locked layers"), kPin);
        m_kind->setSizeAdjustPolicy(QComboBox::AdjustToMinimumContentsLengthWithIcon);
        m_kind->setMinimumContentsLength(18);
        m_kind->setAccessibleName(tr("Limit to add"));
        m_kind->setObjectName(QStringLiteral("limitKind"));
        m_bound->setAccessibleName(tr("Its bound"));
        m_bound->setObjectName(QStringLiteral("limitBound"));
        m_add->setObjectName(QStringLiteral("limitAdd"));
        m_remove->setObjectName(QStringLiteral("limitRemove"));
        m_remove->setToolTip(tr("Del; can be undone"));
        m_summary->setObjectName(QStringLiteral("limitsSummary"));
        auto* top = new QHBoxLayout;
        top->addWidget(m_summary, 1);
        auto* bottom = new QHBoxLayout;
        bottom->addWidget(m_kind);
        bottom->addWidget(m_bound, 1);
        bottom->addWidget(m_add);
        bottom->addWidget(m_remove);
        auto* column = new QVBoxLayout(this);
        column->setContentsMargins(0, 0, 0, 0);
        column->addWidget(panelSide(top, m_table, bottom));
        connectAll();
        setFocusProxy(m_table);
        showExample();
        draw();
    }

private:
    void showTable()
    {
        m_table->setModel(m_model);
        showAsRows(*m_table);
        m_table->setItemDelegateForColumn(LimitsModel::kLeft, new LimitBarDelegate(m_table));
        m_table->setEditTriggers(QAbstractItemView::EditKeyPressed | QAbstractItemView::DoubleClicked);
        m_table->setWordWrap(false);
        m_table->setMinimumSize(90, 40);
        m_table->setAccessibleName(tr("Limits"));
        m_table->setObjectName(QStringLiteral("limitsTable"));
        m_table->horizontalHeader()->setHighlightSections(false);
        m_table->horizontalHeader()->setStretchLastSection(true);
        const auto wide = [this](int column, const QString& sample) {
            m_table->setColumnWidth(column, fontMetrics().horizontalAdvance(sample) + 24);
        };
        wide(LimitsModel::kLimit, QStringLiteral("keys and values in memory"));
        wide(LimitsModel::kBound, QStringLiteral("q_proj=int4:g64,int8:g64"));
        wide(LimitsModel::kUsed, QStringLiteral("12 layers have others"));
    }

    void connectAll()
    {
        const auto again = [this] { touch(); };
        connect(&m_document, &Document::modelChanged, this, [this] {
            showExample();
            touch();
        });
        connect(&m_document, &Document::settingsChanged, this, [this] {
            m_problem.clear();
            touch();
        });
        connect(&m_document, &Document::planChanged, this, again);
        connect(&m_document, &Document::totalsChanged, this, again);
        connect(&m_check, &LimitCheck::changed, this, again);
        connect(m_model, &LimitsModel::refused, this, &LimitsPanel::complain);
        connect(m_table->selectionModel(), &QItemSelectionModel::currentChanged, this, [this] { refreshButtons(); });
        connect(m_model, &QAbstractItemModel::modelReset, this, [this] { refreshButtons(); });
        connect(m_kind, &QComboBox::currentIndexChanged, this, [this] { showExample(); });
        connect(m_bound, &QLineEdit::returnPressed, this, &LimitsPanel::add);
        connect(m_add, &QPushButton::clicked, this, &LimitsPanel::add);
        connect(m_remove, &QPushButton::clicked, this, &LimitsPanel::remove);
        auto* key = new QAction(tr("Remove the limit"), m_table);
        key->setShortcut(QKeySequence::Delete);
        key->setShortcutContext(Qt::WidgetShortcut);
        connect(key, &QAction::triggered, this, &LimitsPanel::remove);
        addViewMenu(m_table, [this] { return copied(); });
        m_table->addAction(key);
    }

    void showExample()
    {
        const int kind = m_kind->currentData().toInt();
        const LimitInfo* info = kind == kPin ? nullptr : &limitKinds()[static_cast<std::size_t>(kind)];
        m_bound->setPlaceholderText(info ? limitText({info->kind, std::string(info->example)})
                                         : QStringLiteral("lm_head*=int8:g64"));
        m_bound->setToolTip(
            info ? toQString(info->help)
                 : tr("ROLE=CANDIDATE (or GLOB=CANDIDATE): gives these layers a candidate and locks them"));
        offerRoles(kind);
    }

    /// Roles of the model's layers, where the bound begins with layers.
    void offerRoles(int kind)
    {
        QStringList roles;
        const bool isTie = kind == static_cast<int>(LimitKind::tie);
        if (isTie || kind == kPin || kind == static_cast<int>(LimitKind::group) ||
            kind == static_cast<int>(LimitKind::allow))
            for (const std::int64_t layer : m_document.planLayers())
                roles << toQString(m_document.layer(layer).role) + (isTie ? QString() : QStringLiteral("="));
        roles.removeDuplicates();
        m_bound->setCompleter(new QCompleter(roles, m_bound)); // the one before goes
    }

    void complain(const QString& reason)
    {
        m_problem = reason;
        refreshSummary();
    }

    void add()
    {
        if (m_bound->text().trimmed().isEmpty())
            return m_bound->setFocus(); // where it is typed
        if (!m_document.isOpen())
            return;
        m_problem.clear();
        const int chosen = m_kind->currentData().toInt();
        const bool isDone = chosen == kPin ? pin() : addLimit(limitKinds()[static_cast<std::size_t>(chosen)]);
        if (isDone)
            m_bound->clear();
        refreshSummary();
    }

    bool addLimit(const LimitInfo& info)
    {
        const Limit limit{info.kind, limitWords(info.kind, m_bound->text())};
        if (const auto checked = checkLimit(*m_document.model(), limit); !checked) {
            m_problem = errorText(checked.error());
            return false;
        }
        std::vector<Limit> limits = m_document.limits();
        if (!info.isRepeated)
            std::erase_if(limits, [&](const Limit& other) { return other.kind == info.kind; });
        limits.push_back(limit);
        const auto row = static_cast<int>(limits.size()) - 1;
        m_document.setLimits(std::move(limits), tr("Add %1").arg(toQString(info.title)));
        m_table->setCurrentIndex(m_model->index(row, LimitsModel::kBound));
        return true;
    }

    bool pin()
    {
        Plan plan = m_document.plan();
        const std::string text = m_bound->text().trimmed().toStdString();
        if (const auto pinned = pinLayers(*m_document.model(), text, plan); !pinned) {
            m_problem = errorText(pinned.error());
            return false;
        }
        if (const Target* target = m_document.target()) {
            const auto admitted = admit(target->profile, *m_document.model(), plan);
            if (!admitted) {
                m_problem = errorText(admitted.error());
                return false;
            }
            plan = *admitted;
        }
        m_document.adoptPlan(plan, tr("Lock %1").arg(toQString(text)));
        return true;
    }

    void remove()
    {
        const QModelIndex current = m_table->currentIndex();
        if (!current.isValid())
            return;
        const int row = current.row();
        m_problem.clear();
        if (m_model->isLocks(row)) {
            m_document.setLocked(m_document.planLayers(), false);
            return;
        }
        std::vector<Limit> limits = m_document.limits();
        const QString title = toQString(limitInfo(limits[static_cast<std::size_t>(row)].kind).title);
        limits.erase(limits.begin() + row);
        m_document.setLimits(std::move(limits), tr("Remove %1").arg(title));
        if (m_model->rowCount() > 0)
            m_table->setCurrentIndex(m_model->index(std::min(row, m_model->rowCount() - 1), LimitsModel::kBound));
    }

    void draw() override
    {
        m_model->refresh();
        if (!m_table->currentIndex().isValid() && m_model->rowCount() > 0)
            m_table->setCurrentIndex(m_model->index(0, LimitsModel::kBound));
        for (QWidget* part : {static_cast<QWidget*>(m_table), static_cast<QWidget*>(m_kind),
                              static_cast<QWidget*>(m_bound), static_cast<QWidget*>(m_add)})
            part->setEnabled(m_document.isOpen());
        if (!m_document.isOpen())
            m_problem.clear();
        if (m_check.limits() == m_model->limits())
            m_model->setUses(m_check.uses());
        refreshButtons();
        refreshSummary();
    }

    void refreshButtons() { m_remove->setEnabled(m_document.isOpen() && m_table->currentIndex().isValid()); }

    void refreshSummary()
    {
        const auto count = m_model->limits().size();
        const int problems = m_model->problems();
        setProblemColor(*m_summary, !m_problem.isEmpty() || problems > 0);
        m_summary->setText(
            !m_document.isOpen()   ? tr("Open a checkpoint first.")
            : !m_problem.isEmpty() ? m_problem
            : count == 0 ? tr("No limits: Balance needs at least one. Choose what to limit below, and its bound.")
            : problems == 0
                ? (count == 1 ? tr("One limit, kept by the plan.") : tr("%1 limits, all kept by the plan.").arg(count))
            : problems == 1
                ? (count == 1
                       ? tr("One limit, not kept by the plan. Balance looks for one that keeps it.")
                       : tr("%1 limits, one of them not kept by the plan. Balance looks for one that keeps them.")
                             .arg(count))
                : tr("%1 limits, %2 of them not kept by the plan. Balance looks for one that keeps them.")
                      .arg(count)
                      .arg(problems));
    }

    ViewTable copied() const
    {
        ViewTable table{
            {QStringLiteral("limit"), QStringLiteral("bound"), QStringLiteral("used"), QStringLiteral("left")}, {}};
        const auto number = [this](int row, int column) {
            const QVariant value = m_model->index(row, column).data(Qt::UserRole);
            return value.isValid() ? plainNumber(value.toDouble()) : QString();
        };
        for (int row = 0; row < static_cast<int>(m_model->limits().size()); ++row) {
            const Limit& limit = m_model->limits()[static_cast<std::size_t>(row)];
            table.rows.push_back({toQString(limitInfo(limit.kind).word), toQString(limit.text),
                                  number(row, LimitsModel::kUsed), number(row, LimitsModel::kLeft)});
        }
        return table;
    }

    Document& m_document;
    const LimitCheck& m_check;
    ElidedLabel* m_summary;
    LimitsModel* m_model;
    QTableView* m_table;
    QComboBox* m_kind;
    QLineEdit* m_bound;
    QPushButton* m_add;
    QPushButton* m_remove;
    QString m_problem; // of the last action
};

} // namespace

namespace panels {
extern const Panel limits;
const Panel limits{
    "limits", QT_TRANSLATE_NOOP("Panel", "Limits"), PanelPlace::bottom,
    [](const PanelContext& context, QWidget* parent) -> QWidget* { return new LimitsPanel(context, parent); }};
} // namespace panels

} // namespace ql::views

#include "limits_panel.moc"
