// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/dialogs/validate_dialog.h"

#include "views/document/document.h"
#include "views/document/plan_figures.h"
#include "views/runs/runs.h"
#include "views/runs/source_choice.h"
#include "views/text/format.h"
#include "views/text/shell.h"

#include <QComboBox>
#include <QDialogButtonBox>
#include <QFormLayout>
#include <QLabel>
#include <QLineEdit>
#include <QPushButton>
#include <QVBoxLayout>

namespace ql::views {

void measurePlan(Document& document, JobRunner& jobs, Runs& runs, const PlanToMeasure& plan, QWidget* parent)
{
    if (auto last = runs.validations.lastChoice()) {
        last->plan = plan.plan;
        runs.validations.start(*last);
        return;
    }
    auto* dialog = new ValidateDialog(document, jobs, runs, parent, plan);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->show();
}

ValidateDialog::ValidateDialog(Document& document, JobRunner& jobs, Runs& runs, QWidget* parent,
                               std::optional<PlanToMeasure> plan)
    : QDialog(parent),
      m_document(document),
      m_runs(runs),
      m_measured(std::move(plan)),
      m_runtime(new QComboBox(this)),
      m_plan(new QLabel(this)),
      m_cost(new QLabel(this)),
      m_command(new QLineEdit(this))
{
    setWindowTitle(m_measured ? tr("Validate %1").arg(m_measured->name) : tr("Validate the plan"));
    resize(720, 200);
    auto* column = new QVBoxLayout(this);
    auto* form = new QFormLayout;
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow); // wrapped lines too
    column->addLayout(form);
    m_source = new SourceChoice(document, jobs, SourceUse::heldOut, *form);
    form->addRow(tr("Plan"), m_plan);
    m_runtime->addItem(tr("as they are"));
    for (const Runtime& runtime : allRuntimes()) {
        m_runtime->addItem(tr("rounded as %1 does").arg(toQString(runtime.id)));
        m_runtime->setItemData(m_runtime->count() - 1, toQString(runtime.title), Qt::ToolTipRole);
    }
    m_runtime->setAccessibleName(tr("Activations of the plan"));
    m_runtime->setToolTip(tr("Some runtimes round what enters a layer too; on some files that costs more than the "
                             "weights' own rounding."));
    auto* runtimeLabel = new QLabel(tr("&Activations"), this);
    runtimeLabel->setBuddy(m_runtime);
    form->addRow(runtimeLabel, m_runtime);
    form->addRow(tr("It takes"), m_cost);
    auto* commandLabel = new QLabel(tr("Same in a s&hell"), this);
    commandLabel->setBuddy(m_command);
    form->addRow(commandLabel, m_command);
    column->addStretch(1);
    auto* buttons = new QDialogButtonBox(this);
    m_start = buttons->addButton(tr("&Start"), QDialogButtonBox::AcceptRole);
    column->addWidget(buttons);
    connect(buttons->addButton(QDialogButtonBox::Close), &QPushButton::clicked, this, &QDialog::close);

    m_plan->setWordWrap(true);
    m_cost->setObjectName(QStringLiteral("cost"));
    m_command->setReadOnly(true);
    m_command->setFont(QFont(QStringLiteral("monospace")));
    m_command->setAccessibleName(tr("The same as a command line"));
    m_command->setToolTip(tr("Save the plan as text first (File menu); plan.json stands for that file"));
    m_start->setDefault(true);
    connect(m_source, &SourceChoice::changed, this, &ValidateDialog::refresh);
    connect(m_runtime, &QComboBox::currentIndexChanged, this, &ValidateDialog::refresh);
    connect(m_start, &QPushButton::clicked, this, &ValidateDialog::start);
    connect(&m_runs.validations, &ValidationRuns::stateChanged, this, &ValidateDialog::refresh);
    connect(&m_document, &Document::totalsChanged, this, &ValidateDialog::refresh);
    connect(&m_document, &Document::modelChanged, this, &QDialog::close);
    refresh();
}

const Runtime* ValidateDialog::runtime() const
{
    const int index = m_runtime->currentIndex();
    return index > 0 ? &allRuntimes()[static_cast<std::size_t>(index - 1)] : nullptr;
}

void ValidateDialog::refresh()
{
    m_plan->clear();
    if (m_document.isOpen()) {
        const Plan& plan = m_measured ? m_measured->plan : m_document.plan();
        const double bits = m_measured ? figuresOf(m_document, plan).bitsPerWeight : m_document.totals().bitsPerWeight;
        m_plan->setText(tr("%1 bits per weight: %2").arg(fixedText(bits, 3), planInShort(m_document, plan)));
    }
    if (m_document.variant())
        m_plan->setText(tr("%1; of the variant %2, compared with the model as stored")
                            .arg(m_plan->text(), toQString(m_document.variantText())));
    m_cost->setText(QStringLiteral("—"));
    if (m_source->count() > 0) {
        const PreparedSource& source = *m_source->source();
        m_cost->setText(tr("about %1: model and plan, %2 each")
                            .arg(durationText(source.validationSeconds(m_source->portion())),
                                 countedCases(m_source->count(), source.text())));
    }
    QString command = QStringLiteral("qloupe validate %1 --plan plan.json %2")
                          .arg(shellQuoted(m_document.checkpointPath()), m_source->arguments());
    if (runtime())
        command += QStringLiteral(" --as %1").arg(toQString(runtime()->id));
    if (!m_document.activationsPath().isEmpty())
        command += QStringLiteral(" --activations %1").arg(shellQuoted(m_document.activationsPath()));
    m_command->setText(command);
    m_command->setCursorPosition(0);
    m_start->setEnabled(m_source->count() > 0 && !m_runs.validations.isRunning());
}

void ValidateDialog::start()
{
    m_source->remember();
    m_runs.validations.start({.source = m_source->source(),
                              .portion = m_source->portion(),
                              .runtime = runtime(),
                              .plan = m_measured ? std::optional(m_measured->plan) : std::nullopt});
    Q_EMIT started();
    close();
}

} // namespace ql::views
