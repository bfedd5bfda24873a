// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/dialogs/export_dialog.h"

#include "views/document/document.h"
#include "views/jobs/job_runner.h"
#include "views/text/format.h"
#include "views/text/shell.h"
#include "views/theme/problem_color.h"
#include "views/theme/theme.h"

#include <QApplication>
#include <QClipboard>
#include <QComboBox>
#include <QDialogButtonBox>
#include <QFileDialog>
#include <QFileInfo>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QHeaderView>
#include <QLabel>
#include <QLineEdit>
#include <QMessageBox>
#include <QProgressBar>
#include <QPushButton>
#include <QStandardItemModel>
#include <QStorageInfo>
#include <QTableWidget>
#include <QToolButton>
#include <QVBoxLayout>

#include <algorithm>
#include <cmath>

namespace ql::views {

ExportDialog::ExportDialog(Document& document, JobRunner& jobs, QWidget* parent)
    : QDialog(parent),
      m_document(document),
      m_jobs(jobs),
      m_target(new QComboBox(this)),
      m_note(new QLabel(this)),
      m_path(new QLineEdit(this)),
      m_size(new QLabel(this)),
      m_command(new QLineEdit(this)),
      m_progress(new QProgressBar(this)),
      m_status(new QLabel(this)),
      m_tensors(new QTableWidget(0, 4, this))
{
    setWindowTitle(document.variant() ? tr("Export the plan of %1").arg(document.title()) : tr("Export the plan"));
    resize(720, 200);
    auto* column = new QVBoxLayout(this);
    auto* form = new QFormLayout;
    form->setFieldGrowthPolicy(QFormLayout::ExpandingFieldsGrow);
    column->addLayout(form);
    form->addRow(tr("&Target"), m_target);
    form->addRow(QString(), m_note);
    auto* pathRow = new QHBoxLayout;
    auto* browseButton = new QPushButton(tr("&Browse…"), this);
    pathRow->addWidget(m_path, 1);
    pathRow->addWidget(browseButton);
    const auto label = [this](const QString& text, QWidget* buddy) {
        auto* made = new QLabel(text, this);
        made->setBuddy(buddy);
        return made;
    };
    form->addRow(label(tr("&Write to"), m_path), pathRow);
    form->addRow(tr("Size"), m_size);
    auto* commandRow = new QHBoxLayout;
    auto* copy = new QToolButton(this);
    copy->setText(tr("Copy"));
    commandRow->addWidget(m_command, 1);
    commandRow->addWidget(copy);
    form->addRow(label(tr("&Same in a shell"), m_command), commandRow);
    column->addWidget(m_progress);
    column->addWidget(m_status);
    column->addWidget(m_tensors, 1);
    auto* buttons = new QDialogButtonBox(this);
    m_export = buttons->addButton(tr("&Export"), QDialogButtonBox::AcceptRole);
    m_close = buttons->addButton(QDialogButtonBox::Close);
    column->addWidget(buttons);

    m_note->setWordWrap(true);
    m_status->setWordWrap(true);
    m_status->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_command->setReadOnly(true);
    m_command->setFont(QFont(QStringLiteral("monospace")));
    m_command->setAccessibleName(tr("The same as a command line"));
    m_command->setToolTip(tr("Save the plan as text first (File menu); plan.json stands for that file"));
    m_path->setAccessibleName(tr("Write to"));
    m_target->setAccessibleName(tr("Target"));
    m_progress->setRange(0, 1000);
    m_progress->setTextVisible(false);
    m_progress->hide();
    m_tensors->setHorizontalHeaderLabels({tr("tensor"), tr("stored as"), tr("elements"), tr("differing")});
    m_tensors->horizontalHeader()->setSectionResizeMode(0, QHeaderView::Stretch);
    m_tensors->verticalHeader()->hide();
    m_tensors->verticalHeader()->setDefaultSectionSize(fontMetrics().height() + 4);
    m_tensors->setEditTriggers(QAbstractItemView::NoEditTriggers);
    m_tensors->setAlternatingRowColors(true);
    m_tensors->setShowGrid(false);
    m_tensors->setAccessibleName(tr("Verified tensors"));
    m_tensors->hide();

    connect(m_target, &QComboBox::currentIndexChanged, this, [this] {
        setPath({});
        refresh();
    });
    connect(m_path, &QLineEdit::textChanged, this, &ExportDialog::refresh);
    connect(browseButton, &QPushButton::clicked, this, &ExportDialog::browse);
    connect(copy, &QToolButton::clicked, this, [this] { QApplication::clipboard()->setText(m_command->text()); });
    connect(m_export, &QPushButton::clicked, this, &ExportDialog::start);
    connect(m_close, &QPushButton::clicked, this, [this] {
        if (m_job != 0)
            m_jobs.cancel(m_job);
        else
            close();
    });
    connect(&m_jobs, &JobRunner::changed, this, [this] {
        for (const JobState& state : m_jobs.running()) {
            if (state.id == m_job)
                m_progress->setValue(static_cast<int>(std::lround(state.fraction * 1000)));
        }
    });
    connect(&m_document, &Document::totalsChanged, this, &ExportDialog::refresh);
    fillTargets();
    setPath({});
    refresh();
    browseButton->setAutoDefault(false);
    m_export->setDefault(true);
    m_path->setFocus();
    m_path->selectAll();
}

ExportDialog::~ExportDialog()
{
    if (m_job != 0)
        m_jobs.cancel(m_job);
}

QString ExportDialog::channel()
{
    return QStringLiteral("export");
}

const Target* ExportDialog::target() const
{
    const int index = m_target->currentIndex();
    return index >= 0 ? allTargets()[static_cast<std::size_t>(index)] : nullptr;
}

void ExportDialog::fillTargets()
{
    auto* model = qobject_cast<QStandardItemModel*>(m_target->model());
    for (const Target* target : allTargets()) {
        const auto accepted = m_document.isOpen() ? target->profile.acceptsModel(*m_document.model())
                                                  : Result<void>(usageError("open a checkpoint first"));
        const QString title =
            tr("%1 — loaded by %2").arg(toQString(target->profile.title), toQString(target->profile.loadedBy));
        m_target->addItem(accepted ? title : tr("%1 — not for this model").arg(toQString(target->profile.title)));
        if (!accepted) {
            model->item(m_target->count() - 1)->setEnabled(false);
            model->item(m_target->count() - 1)->setToolTip(errorText(accepted.error()));
        }
        if (target == m_document.target())
            m_target->setCurrentIndex(m_target->count() - 1);
    }
}

void ExportDialog::setPath(const QString& path)
{
    if (!path.isEmpty() || !m_document.isOpen() || !target()) {
        m_path->setText(path);
        return;
    }
    // Beside the checkpoint is often read-only or a cache; the user's documents are not.
    const QFileInfo checkpoint(m_document.checkpointPath());
    m_path->setText(QDir::home().filePath(checkpoint.completeBaseName() + QStringLiteral("-quantized") +
                                          toQString(target()->extension)));
}

QString ExportDialog::command() const
{
    if (!m_document.isOpen() || !target())
        return {};
    QString text = QStringLiteral("qloupe export %1 --plan plan.json --target %2 --out %3")
                       .arg(shellQuoted(m_document.checkpointPath()), toQString(target()->profile.id),
                            shellQuoted(m_path->text()));
    if (!m_document.activationsPath().isEmpty())
        text += QStringLiteral(" --activations %1").arg(shellQuoted(m_document.activationsPath()));
    return text;
}

void ExportDialog::say(const QString& text, bool bad)
{
    setProblemColor(*m_status, bad);
    m_status->setText(text);
}

void ExportDialog::refresh()
{
    m_command->setText(command());
    m_command->setCursorPosition(0);
    bool possible = m_document.isOpen() && target() && !m_path->text().isEmpty();
    m_note->clear();
    m_size->clear();
    if (m_document.isOpen() && target()) {
        const TargetProfile& profile = target()->profile;
        const Result<Plan> admitted = admit(profile, *m_document.model(), m_document.plan());
        if (!admitted) {
            setProblemColor(*m_note);
            m_note->setText(tr("Refused: %1").arg(errorText(admitted.error())));
            possible = false;
        } else if (const auto bytes = profile.fileBytes(*m_document.model(), *admitted)) {
            const QStorageInfo disk(QFileInfo(m_path->text()).absolutePath());
            m_size->setText(tr("%1 (%2 bytes exactly)").arg(bytesText(*bytes), countText(*bytes)) +
                            (disk.isValid() ? tr(", %1 free there").arg(bytesText(disk.bytesAvailable())) : QString()));
        }
    }
    m_note->setVisible(!m_note->text().isEmpty());
    m_export->setEnabled(possible && m_job == 0);
}

void ExportDialog::browse()
{
    const QString extension = target() ? toQString(target()->extension) : QString();
    const QString filter =
        extension.isEmpty() ? tr("Folder (*)") : tr("%1 (*%2)").arg(toQString(target()->profile.title), extension);
    const QString path = QFileDialog::getSaveFileName(this, tr("Write to"), m_path->text(), filter);
    if (path.isEmpty())
        return;
    setPath(extension.isEmpty() || path.endsWith(extension) ? path : path + extension);
}

void ExportDialog::setRunning(bool running)
{
    m_progress->setVisible(running);
    m_target->setEnabled(!running);
    m_path->setEnabled(!running);
    m_close->setText(running ? tr("Cancel") : tr("Close"));
    if (!running)
        m_job = 0;
    refresh();
}

void ExportDialog::start()
{
    const QString path = m_path->text();
    if (QFileInfo::exists(path) &&
        QMessageBox::question(this, tr("Export"), tr("%1 exists. Replace it?").arg(path)) != QMessageBox::Yes)
        return;
    m_tensors->hide();
    say(tr("Writing, then reading it back with another decoder…"), false);
    m_job = m_jobs.start(
        {.title = tr("Exporting %1").arg(QFileInfo(path).fileName()), .channel = channel(), .quiet = true}, this,
        [model = m_document.model(), plan = m_document.plan(), activations = m_document.activations(),
         target = target(), file = toPath(path)](const JobContext& context) -> Result<Outcome> {
            QL_TRY(admitted, admit(target->profile, *model, plan));
            const ExportRequest request{*model, admitted, activations.get()};
            QL_TRY(files, exportPlan(*target, request, file, context));
            QL_TRY(report, target->verify(request, file, context));
            return Outcome{std::move(files), std::move(report)};
        },
        [this](Result<Outcome> outcome) {
            setRunning(false);
            if (outcome) {
                showOutcome(*outcome);
            } else if (outcome.error().code == Errc::cancelled) {
                say(tr("Cancelled; nothing was left behind."), false);
            } else {
                say(errorText(outcome.error()), true);
                Q_EMIT finishedExport(false);
            }
        });
    setRunning(true);
}

void ExportDialog::showOutcome(const Outcome& outcome)
{
    std::int64_t bytes = 0;
    for (const WrittenFile& file : outcome.files)
        bytes += file.sizeBytes;
    std::int64_t differing = 0;
    for (const VerifiedTensor& tensor : outcome.report.tensors)
        differing += tensor.ok() ? 0 : 1;
    QString text =
        (outcome.files.size() == 1 ? tr("Wrote %1 in one file. ").arg(bytesText(bytes))
                                   : tr("Wrote %1 in %2 files. ").arg(bytesText(bytes)).arg(outcome.files.size()));
    if (outcome.report.ok())
        text += tr("Verified: all %1 tensors read back are equal bit for bit.").arg(outcome.report.tensors.size());
    else
        text += tr("Verification failed: %1 of %2 tensors differ.").arg(differing).arg(outcome.report.tensors.size());
    for (const std::string& problem : outcome.report.problems)
        text += QLatin1Char('\n') + toQString(problem);
    say(text, !outcome.report.ok());
    m_tensors->setRowCount(static_cast<int>(outcome.report.tensors.size()));
    for (int row = 0; row < m_tensors->rowCount(); ++row) {
        const VerifiedTensor& tensor = outcome.report.tensors[static_cast<std::size_t>(row)];
        const QString cells[] = {toQString(tensor.name), toQString(tensor.candidate), countText(tensor.elements),
                                 tensor.problem.empty() ? countText(tensor.differing) : toQString(tensor.problem)};
        for (int column = 0; column < 4; ++column) {
            auto* item = new QTableWidgetItem(cells[column]);
            item->setTextAlignment((column < 2 ? Qt::AlignLeft : Qt::AlignRight) | Qt::AlignVCenter);
            if (!tensor.ok())
                item->setForeground(colors(palette()).bad);
            m_tensors->setItem(row, column, item);
        }
    }
    m_tensors->show();
    resize(std::max(width(), 720), std::max(height(), 560));
    Q_EMIT finishedExport(outcome.report.ok());
}

} // namespace ql::views
