// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/dialogs/calibrate_dialog.h"

#include "views/document/document.h"
#include "views/jobs/job_runner.h"
#include "views/jobs/process_memory.h"
#include "views/runs/runs.h"
#include "views/runs/source_choice.h"
#include "views/text/format.h"
#include "views/text/shell.h"
#include "views/theme/problem_color.h"

#include <QComboBox>
#include <QDialogButtonBox>
#include <QDir>
#include <QFileDialog>
#include <QFileInfo>
#include <QFormLayout>
#include <QHBoxLayout>
#include <QLabel>
#include <QLineEdit>
#include <QMessageBox>
#include <QProgressBar>
#include <QPushButton>
#include <QVBoxLayout>

#include <cmath>
#include <utility>

namespace ql::views {

CalibrateDialog::CalibrateDialog(Document& document, JobRunner& jobs, Runs& runs, QWidget* parent)
    : QDialog(parent),
      m_document(document),
      m_jobs(jobs),
      m_runs(runs),
      m_gram(new QComboBox(this)),
      m_full(new QLineEdit(this)),
      m_study(new QLineEdit(this)),
      m_browse(new QPushButton(tr("B&rowse…"), this)),
      m_cost(new QLabel(this)),
      m_command(new QLineEdit(this)),
      m_progress(new QProgressBar(this)),
      m_status(new QLabel(this))
{
    setWindowTitle(tr("Calibrate"));
    resize(720, 200);
    buildForm();
    connect(m_source, &SourceChoice::changed, this, &CalibrateDialog::refresh);
    connect(m_gram, &QComboBox::currentIndexChanged, this, &CalibrateDialog::refresh);
    connect(m_full, &QLineEdit::textChanged, this, &CalibrateDialog::refresh);
    connect(m_study, &QLineEdit::textChanged, this, &CalibrateDialog::refresh);
    connect(m_browse, &QPushButton::clicked, this, &CalibrateDialog::browseStudy);
    connect(m_start, &QPushButton::clicked, this, &CalibrateDialog::start);
    connect(m_pause, &QPushButton::clicked, &m_runs.calibration, &CalibrationRun::pause);
    connect(&m_runs.calibration, &CalibrationRun::changed, this, &CalibrateDialog::refresh);
    connect(&m_jobs, &JobRunner::changed, this, &CalibrateDialog::showProgress);
    connect(&m_document, &Document::modelChanged, this, &QDialog::close);
    connect(&m_document, &Document::saved, this, [this] {
        if (std::exchange(m_startWhenSaved, false))
            run();
    });
    connect(&m_document, &Document::saveFailed, this, [this] { m_startWhenSaved = false; });
    refresh();
}

void CalibrateDialog::buildForm()
{
    auto* column = new QVBoxLayout(this);
    auto* form = new QFormLayout;
    form->setFieldGrowthPolicy(QFormLayout::AllNonFixedFieldsGrow); // wrapped lines too
    column->addLayout(form);
    m_source = new SourceChoice(m_document, m_jobs, SourceUse::calibration, *form);
    m_gram->addItem(tr("its diagonal: squares per channel"), static_cast<int>(GramKind::diag));
    m_gram->addItem(tr("blocks of %1 channels").arg(CalibrationSettings().blockSize),
                    static_cast<int>(GramKind::blocks));
    m_gram->addItem(tr("all of it; blocks where an input is wider than %1").arg(CalibrationSettings().fullLimit),
                    static_cast<int>(GramKind::full));
    m_gram->setCurrentIndex(2);
    m_gram->setAccessibleName(tr("How much of XᵀX is kept"));
    m_gram->setToolTip(tr("Second moments of each layer's inputs. The output error tr(ΔW·H·ΔWᵀ) and quantizers that "
                          "correct errors need all of it."));
    const auto label = [this](const QString& text, QWidget* buddy) {
        auto* made = new QLabel(text, this);
        made->setBuddy(buddy);
        return made;
    };
    form->addRow(label(tr("&Keep of XᵀX"), m_gram), m_gram);
    form->addRow(label(tr("&All of it for"), m_full), m_full);
    auto* studyRow = new QHBoxLayout;
    studyRow->addWidget(m_study, 1);
    studyRow->addWidget(m_browse);
    form->addRow(label(tr("Into st&udy"), m_study), studyRow);
    form->addRow(tr("It takes"), m_cost);
    form->addRow(label(tr("Same in a s&hell"), m_command), m_command);
    column->addWidget(m_progress);
    column->addWidget(m_status);
    column->addStretch(1);
    auto* buttons = new QDialogButtonBox(this);
    m_start = buttons->addButton(tr("&Start"), QDialogButtonBox::AcceptRole);
    m_pause = buttons->addButton(tr("&Pause"), QDialogButtonBox::ActionRole);
    column->addWidget(buttons);
    connect(buttons->addButton(QDialogButtonBox::Close), &QPushButton::clicked, this, &QDialog::close);

    const bool hasStudy = !m_document.studyPath().isEmpty();
    m_study->setObjectName(QStringLiteral("studyPath"));
    m_study->setAccessibleName(tr("Study the results go into"));
    m_study->setReadOnly(hasStudy);
    m_browse->setVisible(!hasStudy);
    m_browse->setAutoDefault(false);
    m_study->setText(hasStudy ? m_document.studyPath()
                              : QDir::home().filePath(QFileInfo(m_document.checkpointPath()).completeBaseName() +
                                                      QStringLiteral(".qloupe")));
    m_full->setObjectName(QStringLiteral("fullLayers"));
    m_full->setAccessibleName(tr("Layers of which all of XᵀX is kept"));
    m_full->setPlaceholderText(tr("no layer besides; a name or a pattern, e.g. *.down_proj.weight"));
    m_cost->setWordWrap(true);
    m_cost->setObjectName(QStringLiteral("cost"));
    m_command->setReadOnly(true);
    m_command->setFont(QFont(QStringLiteral("monospace")));
    m_command->setAccessibleName(tr("The same as a command line"));
    m_progress->setRange(0, 1000);
    m_progress->setTextVisible(false);
    m_progress->setAccessibleName(tr("Progress of the calibration"));
    m_status->setWordWrap(true);
    m_status->setTextInteractionFlags(Qt::TextSelectableByMouse);
    m_start->setDefault(true);
}

GramKind CalibrateDialog::gram() const
{
    return static_cast<GramKind>(m_gram->currentData().toInt());
}

Result<CalibrationSettings> CalibrateDialog::settings() const
{
    if (m_document.variant())
        return refused(tr("Calibrate the model as stored (Model ▸ As stored); variants follow from it.").toStdString());
    CalibrationSettings settings;
    settings.gram = gram();
    if (!m_full->text().isEmpty()) {
        QL_TRY(layers, m_document.model()->match(m_full->text().toStdString()));
        settings.full = std::move(layers);
    }
    return settings;
}

void CalibrateDialog::refresh()
{
    const CalibrationRun& run = m_runs.calibration;
    const bool running = run.state() == CalibrationRun::State::running;
    const Result<CalibrationSettings> chosen = m_document.isOpen() ? settings() : CalibrationSettings();
    const bool possible = m_source->count() > 0 && !m_study->text().isEmpty() && chosen;
    m_source->setEnabled(!running);
    m_gram->setEnabled(!running);
    m_full->setEnabled(!running);
    m_study->setEnabled(!running);
    m_start->setEnabled(possible && !running);
    m_start->setText(run.state() == CalibrationRun::State::paused ? tr("Re&sume") : tr("&Start"));
    m_pause->setEnabled(running);
    setProblemColor(*m_cost, !chosen);
    if (!chosen) {
        m_cost->setText(errorText(chosen.error()));
    } else if (m_source->count() > 0) {
        const PreparedSource& source = *m_source->source();
        const Portion portion = m_source->portion();
        const CalibrationCost cost = source.calibrationCost(*chosen, portion);
        const QString amount = source.text() ? tr("%1 tokens").arg(countText(m_source->count() * portion.length))
                                             : countedCases(m_source->count(), false);
        m_cost->setText(tr("about %1 for %2, %3 of memory, %4 in the study")
                            .arg(durationText(source.calibrationSeconds(*chosen, portion)), amount,
                                 bytesText(cost.memoryBytes), bytesText(cost.resultBytes)));
    } else {
        m_cost->setText(QStringLiteral("—"));
    }
    const QString full =
        m_full->text().isEmpty() ? QString() : QStringLiteral(" --full ") + shellQuoted(m_full->text());
    m_command->setText(QStringLiteral("qloupe calibrate %1 %2 --gram %3%4 --out %5")
                           .arg(shellQuoted(m_document.checkpointPath()), m_source->arguments(),
                                toQString(word(gram())), full, shellQuoted(m_study->text())));
    m_command->setCursorPosition(0);
    showProgress();
}

void CalibrateDialog::showProgress()
{
    const CalibrationRun& run = m_runs.calibration;
    QString text;
    m_progress->setVisible(run.state() == CalibrationRun::State::running);
    switch (run.state()) {
    case CalibrationRun::State::idle:
        break;
    case CalibrationRun::State::running:
        for (const JobState& state : m_jobs.running())
            if (state.id == run.job()) {
                m_progress->setValue(static_cast<int>(std::lround(state.fraction * 1000)));
                text = run.block() < 0 ? tr("Running; %1 of memory in use").arg(bytesText(residentBytes()))
                                       : tr("Block %1 has seen %2; %3 of memory in use")
                                             .arg(countText(run.block()), run.countText(), bytesText(residentBytes()));
                if (state.remainingSeconds >= 0)
                    text += tr("; %1 left").arg(durationText(state.remainingSeconds));
            }
        break;
    case CalibrationRun::State::paused:
        text = tr("Paused; every finished block is kept, and the run goes on from there.");
        break;
    case CalibrationRun::State::finished:
        text = tr("Done: every layer has seen %1. The activation panel and the output error use them.")
                   .arg(run.countText());
        break;
    case CalibrationRun::State::failed:
        text = run.problem();
        break;
    }
    setProblemColor(*m_status, run.state() == CalibrationRun::State::failed);
    m_status->setText(text);
    m_status->setVisible(!text.isEmpty());
}

void CalibrateDialog::browseStudy()
{
    const QString path =
        QFileDialog::getSaveFileName(this, tr("Save the study"), m_study->text(), tr("QuantLoupe (*.qloupe)"));
    if (!path.isEmpty())
        m_study->setText(path.endsWith(QLatin1String(".qloupe")) ? path : path + QStringLiteral(".qloupe"));
}

void CalibrateDialog::start()
{
    if (!m_document.studyPath().isEmpty()) {
        run();
        return;
    }
    const QString path = m_study->text();
    if (QFileInfo::exists(path) &&
        QMessageBox::question(this, tr("Calibrate"), tr("%1 exists. Replace it?").arg(path)) != QMessageBox::Yes)
        return;
    m_startWhenSaved = true;
    m_document.save(path);
}

void CalibrateDialog::run()
{
    m_study->setReadOnly(true);
    m_browse->hide();
    m_source->remember();
    if (const auto chosen = settings())
        m_runs.calibration.start({m_source->source(), m_source->portion(), *chosen});
}

} // namespace ql::views
