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

#include <QCheckBox>
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
#include <QSpinBox>
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
      m_fisher(new QCheckBox(tr("&Fisher information: how much each weight matters to the predictions, on"), this)),
      m_fisherWindows(new QSpinBox(this)),
      m_outputGram(new QCheckBox(tr("&Gram matrices of outputs' gradients, too, for gptq:rows=together"), this)),
      m_depth(
          new QCheckBox(tr("Figures along the &depth: how far blocks turn hidden states, entropy of inputs"), this)),
      m_curvature(new QCheckBox(tr("Cur&vature: traces of the loss's Hessian of all layers, by"), this)),
      m_probes(new QSpinBox(this)),
      m_curvatureWindows(new QSpinBox(this)),
      m_study(new QLineEdit(this)),
      m_browse(new QPushButton(tr("B&rowse…"), this)),
      m_cost(new QLabel(this)),
      m_command(new QLineEdit(this)),
      m_progress(new QProgressBar(this)),
      m_status(new QLabel(this))
{
    setWindowTitle(tr("Calibrate"));
    resize(760, 200);
    buildForm();
    connect(m_source, &SourceChoice::changed, this, &CalibrateDialog::refresh);
    connect(m_gram, &QComboBox::currentIndexChanged, this, &CalibrateDialog::refresh);
    connect(m_full, &QLineEdit::textChanged, this, &CalibrateDialog::refresh);
    connect(m_study, &QLineEdit::textChanged, this, &CalibrateDialog::refresh);
    for (const QCheckBox* box : {m_fisher, m_outputGram, m_depth, m_curvature})
        connect(box, &QCheckBox::toggled, this, &CalibrateDialog::refresh);
    for (const QSpinBox* box : {m_fisherWindows, m_probes, m_curvatureWindows})
        connect(box, &QSpinBox::valueChanged, this, &CalibrateDialog::refresh);
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
    form->addRow(tr("And keep"), gradientRows());
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

QLayout* CalibrateDialog::gradientRows()
{
    auto* rows = new QVBoxLayout;
    auto* fisher = new QHBoxLayout;
    fisher->addWidget(m_fisher);
    fisher->addWidget(m_fisherWindows);
    fisher->addWidget(new QLabel(tr("windows; 0: all"), this));
    fisher->addStretch(1);
    rows->addLayout(fisher);
    rows->addWidget(m_outputGram);
    rows->addWidget(m_depth);
    auto* curvature = new QHBoxLayout;
    curvature->addWidget(m_curvature);
    curvature->addWidget(m_probes);
    curvature->addWidget(new QLabel(tr("probes over"), this));
    curvature->addWidget(m_curvatureWindows);
    curvature->addWidget(new QLabel(tr("windows; 0: all"), this));
    curvature->addStretch(1);
    rows->addLayout(curvature);
    m_fisher->setObjectName(QStringLiteral("fisher"));
    m_fisher->setToolTip(tr("Goes forward and backward with labels drawn from the model's own predictions. The loss of "
                            "a plan is its KLD in nats per token from then on: kfac where all of XᵀX is kept, fisher "
                            "elsewhere."));
    m_fisherWindows->setObjectName(QStringLiteral("fisherWindows"));
    m_fisherWindows->setAccessibleName(tr("Windows that go backward"));
    m_fisherWindows->setRange(0, 1 << 24);
    m_outputGram->setObjectName(QStringLiteral("outputGram"));
    m_depth->setObjectName(QStringLiteral("depth"));
    m_curvature->setObjectName(QStringLiteral("curvature"));
    m_curvature->setToolTip(tr("Hutchinson's estimate tr ∇²L by random vectors, for the loss hessian_trace: the more "
                               "probes, the smaller its error. Each takes two passes forward and backward."));
    m_probes->setObjectName(QStringLiteral("probes"));
    m_curvatureWindows->setObjectName(QStringLiteral("curvatureWindows"));
    m_probes->setAccessibleName(tr("Probes of the Hessian"));
    m_probes->setRange(1, 10000);
    m_probes->setValue(static_cast<int>(CurvatureChoice().probes));
    m_curvatureWindows->setAccessibleName(tr("Windows that probes run over"));
    m_curvatureWindows->setRange(0, 1 << 24);
    m_curvatureWindows->setValue(static_cast<int>(CurvatureChoice().windows));
    return rows;
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

bool CalibrateDialog::readsLanguage() const
{
    return m_source->source() && m_source->source()->runnable->isLanguageModel;
}

std::optional<FisherSettings> CalibrateDialog::fisherSettings() const
{
    if (!readsLanguage() || !m_fisher->isChecked())
        return std::nullopt;
    FisherSettings settings;
    settings.windows = m_fisherWindows->value();
    settings.outputGram = m_outputGram->isChecked();
    return settings;
}

bool CalibrateDialog::isDepthAskedFor() const
{
    return readsLanguage() && m_depth->isChecked();
}

std::optional<CurvatureChoice> CalibrateDialog::curvature() const
{
    if (!readsLanguage() || !m_curvature->isChecked())
        return std::nullopt;
    return CurvatureChoice{.probes = m_probes->value(), .windows = m_curvatureWindows->value()};
}

/// A line for each run.
QString CalibrateDialog::costText(const CalibrationSettings& settings) const
{
    const PreparedSource& source = *m_source->source();
    const Portion portion = m_source->portion();
    const auto amount = [&](std::int64_t count) {
        return source.text() ? tr("%1 tokens").arg(countText(count * portion.length)) : countedCases(count, false);
    };
    const auto bytes = [](const CalibrationCost& cost) {
        return tr("%1 of memory, %2 in the study").arg(bytesText(cost.memoryBytes), bytesText(cost.resultBytes));
    };
    QString text = tr("about %1 for %2, %3")
                       .arg(durationText(source.calibrationSeconds(settings, portion)), amount(m_source->count()),
                            bytes(source.calibrationCost(settings, portion)));
    if (isDepthAskedFor())
        text += tr("\nalong the depth: about %1").arg(durationText(source.runSeconds(portion)));
    if (auto fisher = fisherSettings()) {
        fisher->keepGramsAs(settings);
        text += tr("\nFisher information: about %1 for %2, %3")
                    .arg(durationText(source.fisherSeconds(*fisher, portion)), amount(fisher->count(m_source->count())),
                         bytes(source.fisherCost(*fisher, portion)));
        if (settings.gram != GramKind::full && settings.full.empty())
            text += tr("\nWithout all of XᵀX the KLD is left to the metric fisher, which takes a layer's inputs for "
                       "uncorrelated; keep all of it for kfac.");
    }
    if (const auto its = curvature())
        text +=
            tr("\ncurvature: about %1").arg(durationText(source.curvatureSeconds(its->settings(), its->of(portion))));
    return text;
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
    m_fisher->setEnabled(!running && readsLanguage());
    m_fisherWindows->setEnabled(m_fisher->isEnabled() && m_fisher->isChecked());
    m_outputGram->setEnabled(m_fisherWindows->isEnabled());
    m_depth->setEnabled(m_fisher->isEnabled());
    m_curvature->setEnabled(m_fisher->isEnabled());
    for (QSpinBox* box : {m_probes, m_curvatureWindows})
        box->setEnabled(m_curvature->isEnabled() && m_curvature->isChecked());
    m_study->setEnabled(!running);
    m_start->setEnabled(possible && !running);
    m_start->setText(run.state() == CalibrationRun::State::paused ? tr("Re&sume") : tr("&Start"));
    m_pause->setEnabled(running);
    setProblemColor(*m_cost, !chosen);
    if (!chosen) {
        m_cost->setText(errorText(chosen.error()));
    } else if (m_source->count() > 0) {
        m_cost->setText(costText(*chosen));
    } else {
        m_cost->setText(QStringLiteral("—"));
    }
    const QString full =
        m_full->text().isEmpty() ? QString() : QStringLiteral(" --full ") + shellQuoted(m_full->text());
    QString more = isDepthAskedFor() ? QStringLiteral(" --depth") : QString();
    if (const auto fisher = fisherSettings()) {
        more += QStringLiteral(" --fisher");
        if (fisher->windows > 0)
            more += QStringLiteral(" --fisher-windows %1").arg(fisher->windows);
        if (fisher->outputGram)
            more += QStringLiteral(" --output-gram");
    }
    const QString checkpoint = shellQuoted(m_document.checkpointPath());
    const QString study = shellQuoted(m_study->text());
    QString command = QStringLiteral("qloupe calibrate %1 %2 --gram %3%4%5 --out %6")
                          .arg(checkpoint, m_source->arguments(), toQString(word(gram())), full, more, study);
    if (const auto its = curvature())
        command += QStringLiteral(" && qloupe curvature %1 %2 --together --probes %3 --tolerance 0 --study %4")
                       .arg(checkpoint, m_source->arguments(its->of(m_source->portion()).limit))
                       .arg(its->probes)
                       .arg(study);
    m_command->setText(command);
    m_command->setCursorPosition(0);
    showProgress();
}

QString CalibrateDialog::runningText() const
{
    const CalibrationRun& run = m_runs.calibration;
    const QString memory = bytesText(residentBytes());
    if (run.stage() == CalibrationRun::Stage::depth)
        return tr("Along the depth; %1 of memory in use").arg(memory);
    if (run.stage() == CalibrationRun::Stage::curvature)
        return tr("Traces of the Hessian; %1 of memory in use").arg(memory);
    if (run.stage() == CalibrationRun::Stage::fisher)
        return tr("Fisher information of %1; %2 of memory in use").arg(countedCases(run.fisherCount(), true), memory);
    return run.block() < 0
               ? tr("Running; %1 of memory in use").arg(memory)
               : tr("Block %1 has seen %2; %3 of memory in use").arg(countText(run.block()), run.countText(), memory);
}

QString CalibrateDialog::wentBackwardText() const
{
    const Metric* metric = m_document.metric();
    const Metric& best = bestMetric(m_document.activations().get());
    return (metric == &best ? tr(" %1 went backward; the loss of a plan is its KLD now, by the metric %2.")
                            : tr(" %1 went backward; choose the loss %2 above the bars to predict a plan's KLD."))
        .arg(countedCases(m_runs.calibration.fisherCount(), true), toQString(best.id));
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
                text = runningText();
                if (state.remainingSeconds >= 0)
                    text += tr("; %1 left").arg(durationText(state.remainingSeconds));
            }
        break;
    case CalibrationRun::State::paused:
        text = tr("Paused; every finished block and batch is kept, and the run goes on from there.");
        break;
    case CalibrationRun::State::finished:
        text = tr("Done: every layer has seen %1. The activation panel and the output error use them.")
                   .arg(run.countText());
        if (run.fisherCount() > 0)
            text += wentBackwardText();
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
        m_runs.calibration.start(
            {m_source->source(), m_source->portion(), *chosen, isDepthAskedFor(), fisherSettings(), curvature()});
}

} // namespace ql::views
