// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/dialogs/losses_dialog.h"

#include "views/document/document.h"
#include "views/jobs/job_runner.h"
#include "views/runs/runs.h"
#include "views/runs/source_choice.h"
#include "views/text/format.h"
#include "views/text/shell.h"
#include "views/theme/problem_color.h"

#include <QDialogButtonBox>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QProgressBar>
#include <QPushButton>
#include <QSpinBox>
#include <QVBoxLayout>

#include <cmath>

namespace ql::views {

namespace {

constexpr int kMostMinutes = 7 * 24 * 60;
constexpr int kUsualMinutes = 30;

} // namespace

void measureLosses(Document& document, JobRunner& jobs, Runs& runs, QWidget* parent)
{
    auto* dialog = new LossesDialog(document, jobs, runs, parent);
    dialog->setAttribute(Qt::WA_DeleteOnClose);
    dialog->show();
}

LossesDialog::LossesDialog(Document& document, JobRunner& jobs, Runs& runs, QWidget* parent)
    : QDialog(parent),
      m_document(document),
      m_jobs(jobs),
      m_run(runs.losses),
      m_minutes(new QSpinBox(this)),
      m_cost(new QLabel(this)),
      m_command(new QLineEdit(this)),
      m_progress(new QProgressBar(this)),
      m_status(new QLabel(this))
{
    setWindowTitle(tr("Measure losses"));
    resize(760, 200);
    buildForm();
    connect(m_source, &SourceChoice::changed, this, &LossesDialog::refresh);
    connect(m_start, &QPushButton::clicked, this, [this] {
        m_source->remember();
        m_run.start(choice());
    });
    connect(m_stop, &QPushButton::clicked, &m_run, &LossRun::stop);
    connect(&m_run, &LossRun::changed, this, &LossesDialog::refresh);
    connect(&m_jobs, &JobRunner::changed, this, &LossesDialog::showProgress);
    connect(&m_document, &Document::tableChanged, this, &LossesDialog::refresh);
    connect(&m_document, &Document::modelChanged, this, &QDialog::close);
    refresh();
}

void LossesDialog::buildForm()
{
    auto* column = new QVBoxLayout(this);
    auto* what =
        new QLabel(tr("What each candidate of each layer costs, as KLD in nats per token, with standard errors: "
                      "first by gradients along the change of its codes, all in one pass, then by running the "
                      "model with one layer alone at a candidate, where most is uncertain and at stake. Layer "
                      "table, strip and Balance take the best that is known at any time."),
                   this);
    what->setWordWrap(true);
    column->addWidget(what);
    auto* form = new QFormLayout;
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow); // wrapped lines too
    column->addLayout(form);
    m_source = new SourceChoice(m_document, m_jobs, SourceUse::probing, *form);
    auto* limit = new QHBoxLayout;
    limit->addWidget(m_minutes);
    limit->addWidget(new QLabel(tr("minutes; 0: until everything is measured, or Stop"), this));
    limit->addStretch(1);
    auto* limitLabel = new QLabel(tr("At &most"), this);
    limitLabel->setBuddy(m_minutes);
    form->addRow(limitLabel, limit);
    form->addRow(tr("It takes"), m_cost);
    auto* commandLabel = new QLabel(tr("Same in a s&hell"), this);
    commandLabel->setBuddy(m_command);
    form->addRow(commandLabel, m_command);
    column->addWidget(m_progress);
    column->addWidget(m_status);
    column->addStretch(1);
    auto* buttons = new QDialogButtonBox(this);
    m_start = buttons->addButton(tr("&Start"), QDialogButtonBox::AcceptRole);
    m_stop = buttons->addButton(tr("Sto&p"), QDialogButtonBox::ActionRole);
    column->addWidget(buttons);
    connect(buttons->addButton(QDialogButtonBox::Close), &QPushButton::clicked, this, &QDialog::close);

    m_minutes->setRange(0, kMostMinutes);
    m_minutes->setValue(kUsualMinutes);
    m_minutes->setObjectName(QStringLiteral("minutes"));
    m_minutes->setAccessibleName(tr("Minutes, at most"));
    m_cost->setWordWrap(true);
    m_cost->setObjectName(QStringLiteral("cost"));
    m_command->setReadOnly(true);
    m_command->setFont(QFont(QStringLiteral("monospace")));
    m_command->setAccessibleName(tr("The same as a command line"));
    m_progress->setRange(0, 1000);
    m_progress->setTextVisible(false);
    m_progress->setAccessibleName(tr("Progress of the measurement"));
    m_status->setWordWrap(true);
    m_status->setObjectName(QStringLiteral("status"));
    m_status->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_start->setDefault(true);
}

LossChoice LossesDialog::choice() const
{
    return {.source = m_source->source(), .portion = m_source->portion(), .limitSeconds = 60.0 * m_minutes->value()};
}

QString LossesDialog::costText() const
{
    const LossCost cost = m_run.cost(choice());
    return tr("about %1 for gradients of all %2 cells beside what the quantizers take, %3 of memory, %4 in the study; "
              "then up to %5 for each cell that is run alone, %6 of memory")
        .arg(durationText(cost.gradientSeconds), countText(cost.cells), bytesText(cost.gradientBytes),
             bytesText(cost.studyBytes), durationText(cost.cellSeconds), bytesText(cost.exactBytes));
}

/// Both probes, one after the other.
QString LossesDialog::commandText() const
{
    QStringList candidates;
    for (const Candidate& candidate : m_document.table().candidates)
        candidates << toQString(printCandidate(candidate));
    QString all = QStringLiteral("qloupe sensitivity %1 %2 --candidates %3")
                      .arg(shellQuoted(m_document.checkpointPath()), m_source->arguments(),
                           shellQuoted(candidates.join(QLatin1Char(','))));
    if (m_document.target())
        all += QStringLiteral(" --target ") + toQString(m_document.target()->profile.id);
    if (m_document.variant())
        all += QStringLiteral(" --transform ") + shellQuoted(toQString(m_document.variantText()));
    if (!m_document.activationsPath().isEmpty())
        all += QStringLiteral(" --activations ") + shellQuoted(m_document.activationsPath());
    return all + QStringLiteral(" --probe gradient --out losses.json && ") + all +
           QStringLiteral(" --probe exact --losses losses.json --out exact.json");
}

void LossesDialog::refresh()
{
    if (!m_document.isOpen())
        return;
    const bool running = m_run.state() == LossRun::State::running;
    const QString obstacle = m_run.obstacle();
    const bool isText = m_source->source() && m_source->source()->runnable->isLanguageModel;
    const bool possible = obstacle.isEmpty() && isText && m_source->count() >= 2;
    m_source->setEnabled(!running);
    m_minutes->setEnabled(!running);
    m_start->setEnabled(possible && !running);
    m_start->setText(m_run.state() == LossRun::State::stopped ? tr("Re&sume") : tr("&Start"));
    m_stop->setEnabled(running);
    setProblemColor(*m_cost, !obstacle.isEmpty());
    m_cost->setText(!obstacle.isEmpty()             ? obstacle
                    : possible                      ? costText()
                    : m_source->source() && !isText ? tr("It needs a language model that continues text.")
                    : m_source->count() == 1
                        ? tr("It takes two windows or more, whose spread tells the standard error.")
                        : QStringLiteral("—"));
    m_command->setText(commandText());
    m_command->setCursorPosition(0);
    showProgress();
}

void LossesDialog::showProgress()
{
    QString text;
    const QString far = m_run.stage() == LossRun::Stage::gradients
                            ? tr("gradients of %1 windows").arg(countText(m_run.windows()))
                            : tr("gradients of %1 windows, %2 cells run alone")
                                  .arg(countText(m_run.windows()), countText(m_run.cells()));
    m_progress->setVisible(m_run.state() == LossRun::State::running);
    switch (m_run.state()) {
    case LossRun::State::idle:
        break;
    case LossRun::State::running:
        text = tr("Running: %1").arg(far);
        for (const JobState& state : m_jobs.running())
            if (state.id == m_run.job()) {
                m_progress->setValue(static_cast<int>(std::lround(state.fraction * 1000)));
                if (state.remainingSeconds >= 0)
                    text += tr("; %1 left").arg(durationText(state.remainingSeconds));
            }
        break;
    case LossRun::State::stopped:
        text = (m_run.isTimeUp() ? tr("The time is up: %1. What was measured is kept; Resume goes on from there.")
                                 : tr("Stopped: %1. What was measured is kept; Resume goes on from there."))
                   .arg(far);
        break;
    case LossRun::State::finished:
        text = tr("Done: %1. Every cell is measured.").arg(far);
        break;
    case LossRun::State::failed:
        text = m_run.problem();
        break;
    }
    setProblemColor(*m_status, m_run.state() == LossRun::State::failed);
    m_status->setText(text);
    m_status->setVisible(!text.isEmpty());
}

} // namespace ql::views
