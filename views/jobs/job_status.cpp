// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/jobs/job_status.h"

#include "views/jobs/job_runner.h"
#include "views/text/format.h"

#include <QApplication>
#include <QClipboard>
#include <QDialog>
#include <QDialogButtonBox>
#include <QHBoxLayout>
#include <QLabel>
#include <QPlainTextEdit>
#include <QProgressBar>
#include <QPushButton>
#include <QToolButton>
#include <QVBoxLayout>

#include <cmath>

namespace ql::views {

namespace {

constexpr double kShowAfterSeconds = 0.2; // shorter jobs would only flicker

QString problemsText(const std::vector<JobFailure>& failures)
{
    QStringList lines;
    for (const JobFailure& failure : failures)
        lines << failure.title + QStringLiteral("\n    ") + errorText(failure.error);
    return lines.join(QStringLiteral("\n\n"));
}

} // namespace

JobStatus::JobStatus(JobRunner& jobs, QWidget* parent)
    : QWidget(parent),
      m_jobs(jobs),
      m_text(new QLabel(this)),
      m_bar(new QProgressBar(this)),
      m_remaining(new QLabel(this)),
      m_cancel(new QToolButton(this)),
      m_problems(new QToolButton(this))
{
    auto* row = new QHBoxLayout(this);
    row->setContentsMargins(0, 0, 4, 0);
    row->addWidget(m_problems);
    row->addWidget(m_text);
    row->addWidget(m_bar);
    row->addWidget(m_remaining);
    row->addWidget(m_cancel);
    m_bar->setRange(0, 1000);
    m_bar->setFixedWidth(140);
    m_bar->setMaximumHeight(fontMetrics().height() + 2);
    m_bar->setTextVisible(false);
    m_bar->setAccessibleName(tr("Progress of the running job"));
    m_cancel->setText(tr("Cancel"));
    m_cancel->setAutoRaise(true);
    m_cancel->setToolTip(tr("Stops the running jobs; what they finished is kept"));
    m_problems->setAutoRaise(true);
    m_problems->setToolTip(tr("Shows what went wrong in the background"));
    connect(m_cancel, &QToolButton::clicked, &m_jobs, &JobRunner::cancelAll);
    connect(m_problems, &QToolButton::clicked, this, &JobStatus::showProblems);
    connect(&m_jobs, &JobRunner::changed, this, &JobStatus::refresh);
    connect(&m_jobs, &JobRunner::failuresChanged, this, &JobStatus::refreshFailures);
    refresh();
    refreshFailures();
}

void JobStatus::refresh()
{
    const std::vector<JobState> states = m_jobs.running();
    const JobState* shown = nullptr;
    for (const JobState& state : states) {
        if (state.elapsedSeconds >= kShowAfterSeconds && (!shown || state.elapsedSeconds > shown->elapsedSeconds))
            shown = &state;
    }
    for (QWidget* widget : {static_cast<QWidget*>(m_text), static_cast<QWidget*>(m_bar),
                            static_cast<QWidget*>(m_remaining), static_cast<QWidget*>(m_cancel)})
        widget->setVisible(shown);
    if (!shown)
        return;
    m_text->setText(shown->stopping     ? tr("Stopping: %1").arg(shown->title)
                    : states.size() > 1 ? tr("%1 (+%2)").arg(shown->title).arg(states.size() - 1)
                                        : shown->title);
    m_bar->setValue(static_cast<int>(std::lround(shown->fraction * 1000)));
    m_remaining->setText(shown->remainingSeconds < 0 ? QString()
                                                     : tr("%1 left").arg(durationText(shown->remainingSeconds)));
}

void JobStatus::refreshFailures()
{
    const auto count = static_cast<int>(m_jobs.failures().size());
    m_problems->setVisible(count > 0);
    m_problems->setText(count == 1 ? tr("1 problem") : tr("%1 problems").arg(count));
    if (m_list) {
        if (auto* text = m_list->findChild<QPlainTextEdit*>())
            text->setPlainText(problemsText(m_jobs.failures()));
    }
}

void JobStatus::showProblems()
{
    if (!m_list) {
        auto* dialog = new QDialog(window());
        m_list = dialog;
        dialog->setWindowTitle(tr("Problems"));
        dialog->resize(640, 300);
        auto* column = new QVBoxLayout(dialog);
        auto* text = new QPlainTextEdit(dialog);
        text->setReadOnly(true);
        text->setAccessibleName(tr("Problems"));
        auto* buttons = new QDialogButtonBox(QDialogButtonBox::Close, dialog);
        QPushButton* copy = buttons->addButton(tr("Copy"), QDialogButtonBox::ActionRole);
        QPushButton* clear = buttons->addButton(tr("Clear"), QDialogButtonBox::ActionRole);
        column->addWidget(text);
        column->addWidget(buttons);
        connect(buttons, &QDialogButtonBox::rejected, dialog, &QDialog::hide);
        connect(copy, &QPushButton::clicked, text, [text] { QApplication::clipboard()->setText(text->toPlainText()); });
        connect(clear, &QPushButton::clicked, &m_jobs, &JobRunner::clearFailures);
        refreshFailures();
    }
    m_list->show();
    m_list->raise();
}

} // namespace ql::views
