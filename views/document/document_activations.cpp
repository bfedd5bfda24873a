// SPDX-License-Identifier: GPL-3.0-or-later
// Activations: opened, dropped on the window, or what a calibration has so far.
#include "core/study/study.h"
#include "views/document/activations_file.h"
#include "views/document/document.h"
#include "views/jobs/job_runner.h"
#include "views/text/format.h"

#include <QFileInfo>

namespace ql::views {

/// Whether a variant is shown, whose inputs follow from those of the model as stored; says so.
bool Document::refuseActivations()
{
    if (m_variant)
        m_jobs.report(tr("Opening activations"),
                      {Errc::usage,
                       tr("What a variant's layers see follows from the activations of the model as stored: choose "
                          "Model ▸ As stored, open them there, and transform again.")
                           .toStdString(),
                       {}});
    return m_variant != nullptr;
}

void Document::openActivations(const QString& path, std::function<void()> then)
{
    if (!m_model)
        return;
    if (refuseActivations()) {
        if (then)
            then();
        return;
    }
    m_jobs.start(
        {.title = tr("Opening activations"), .channel = QStringLiteral("activations")}, this,
        [file = toPath(path), model = m_base](const JobContext& context) {
            return activationsIn(file, *model, context);
        },
        [this, model = m_base, then = std::move(then)](Result<std::shared_ptr<const Activations>> activations) {
            if (model != m_base)
                return;
            if (activations)
                takeActivations(std::move(*activations));
            if (then)
                then();
        });
}

void Document::openActivationsOr(const QString& path, std::function<void()> otherwise)
{
    if (!m_model) {
        otherwise();
        return;
    }
    m_jobs.start(
        {.title = tr("Opening %1").arg(QFileInfo(path).fileName()),
         .channel = QStringLiteral("activations"),
         .quiet = true},
        this,
        [file = toPath(path), model = m_base](const JobContext& context) {
            return ql::openActivations(file, *model, context);
        },
        [this, model = m_base,
         otherwise = std::move(otherwise)](Result<std::shared_ptr<const Activations>> activations) {
            if (activations && model == m_base)
                takeActivations(std::move(*activations));
            else if (!activations && activations.error().code != Errc::cancelled)
                otherwise();
        });
}

void Document::takeActivations(std::shared_ptr<const Activations> activations)
{
    if (refuseActivations())
        return;
    showActivations(std::move(activations));
    // A study names its activations and has to be saved; a model alone has nothing that could be lost.
    m_settingsModified = m_settingsModified || m_study;
    measureWithActivations();
}

void Document::showActivations(std::shared_ptr<const Activations> activations)
{
    if (m_variant) // whose inputs follow from what was known when it was made
        return;
    m_baseActivations = m_activations = std::move(activations);
    Q_EMIT activationsChanged();
}

void Document::measureWithActivations()
{
    if (!m_activations)
        return;
    // A calibration is in its study at once, unless there is none or it names other activations.
    if (isCalibrated() && (!m_study || !m_study->document().activations.empty()))
        m_settingsModified = true;
    takeBestMetric();
    buildTable(); // losses of the second metric have to be measured
    Q_EMIT tableChanged();
    Q_EMIT settingsChanged();
    Q_EMIT titleChanged();
    refreshTotals();
    startMeasuring();
}

} // namespace ql::views
