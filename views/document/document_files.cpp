// SPDX-License-Identifier: GPL-3.0-or-later
// Opening, saving and closing.
#include "core/calibration/calibrated_activations.h"
#include "core/plan/plan_inputs.h"
#include "core/study/study.h"
#include "views/document/document.h"
#include "views/document/limits.h"
#include "views/document/measure_mailbox.h"
#include "views/document/memory_sink.h"
#include "views/document/opened_work.h"
#include "views/jobs/job_runner.h"
#include "views/text/format.h"

#include <QFileInfo>

#include <algorithm>

namespace ql::views {

namespace {

const Target* targetOf(const Model& model, std::string_view id)
{
    for (const Target* target : allTargets()) {
        if (target->profile.id == id)
            return target;
    }
    for (const Target* target : allTargets()) {
        if (target->profile.acceptsModel(model))
            return target;
    }
    return nullptr;
}

} // namespace

void Document::open(const QString& path)
{
    Q_EMIT opening(path);
    m_jobs.start(
        {.title = tr("Opening %1").arg(QFileInfo(path).fileName()), .channel = QStringLiteral("open"), .quiet = true},
        this, [file = toPath(path)](const JobContext& context) { return openWork(file, context); },
        [this, path](Result<OpenedWork> work) {
            if (work)
                take(std::move(*work));
            else if (work.error().code != Errc::cancelled)
                Q_EMIT openFailed(path, errorText(work.error()));
            else
                Q_EMIT openFailed(path, {});
        });
}

void Document::stopMeasuring()
{
    m_jobs.cancelChannel(QStringLiteral("statistics"));
    m_jobs.cancelChannel(QStringLiteral("measure"));
    m_factsMailbox.reset();
    m_cellsMailbox.reset();
    m_measuring = false;
    m_editing = false;
}

/// That there is another model, with all that belongs to it.
void Document::tellAll()
{
    Q_EMIT modelChanged();
    Q_EMIT tableChanged();
    Q_EMIT planChanged(m_planLayers);
    Q_EMIT plansChanged();
    Q_EMIT activationsChanged();
    Q_EMIT settingsChanged();
    refreshTotals();
    Q_EMIT titleChanged();
}

void Document::take(OpenedWork work)
{
    stopMeasuring();
    m_jobs.cancelChannel(QStringLiteral("transform"));
    m_transformJob = 0;
    m_selection.clear();
    m_undo.clear();
    m_base = std::move(work.model);
    m_baseActivations = std::move(work.activations);
    m_variant = std::move(work.variant);
    m_model = m_variant ? m_variant->model : m_base;
    m_activations = m_variant ? m_variant->activations : m_baseActivations;
    m_plans.clear();
    m_plansNamed.clear();
    m_study = std::move(work.study);
    m_sink = std::make_shared<MemorySink>();
    m_studyPath = m_study ? pathText(m_study->path()) : QString();
    m_viewState = work.document.viewState;
    m_planLayers = m_model->quantizableLayers();
    m_plan = work.plan ? *work.plan : keepPlan(*m_model);
    m_plan.fingerprint = m_model->checkpoint->fingerprint();
    m_plan.checkpointName = m_model->checkpoint->path().filename().string();
    m_target = targetOf(*m_model, m_plan.target);
    m_plan.target = m_target ? std::string(m_target->profile.id) : std::string();
    m_ownCandidates.clear();
    m_isMetricChosen = false;
    takeBestMetric();
    m_limits.clear();
    m_settingsModified = false;
    takeSettings(work.document.settings);
    if (m_limits.empty())
        m_limits = limitsWith({}, {.fileBytes = {}, .bitsPerWeight = usualBudget()});
    m_facts.assign(m_model->layers.size(), {});
    tellAll();
    for (const Warning& warning : work.warnings)
        m_jobs.report(tr("Warning"), {Errc::badInput, warning.what, warning.where});
    startStatistics();
    if (!m_planLayers.empty()) {
        // The first that has a choice: an embedding often has none.
        const auto first = std::find_if(m_planLayers.begin(), m_planLayers.end(),
                                        [this](std::int64_t l) { return ladder(l).size() > 1; });
        const std::int64_t layer = first == m_planLayers.end() ? m_planLayers.front() : *first;
        m_selection.setCurrent(layer);
        m_selection.setSelected({layer});
    }
    Q_EMIT opened();
}

void Document::save(const QString& path)
{
    if (!m_model)
        return;
    StudyDocument document;
    document.checkpoint = m_base->checkpoint->path();
    document.fingerprint = m_base->checkpoint->fingerprint();
    if (m_baseActivations)
        document.activations = m_baseActivations->path();
    Plan plan = m_plan;
    nameActivations(plan, m_activations.get());
    document.planJson = printPlan(plan, *m_model);
    document.viewState = m_viewState;
    document.settings = settings();

    const bool sameStudy = m_study && path == m_studyPath;
    const int undoIndex = m_undo.index();
    m_jobs.start(
        {.title = tr("Saving %1").arg(QFileInfo(path).fileName()), .channel = QStringLiteral("save")}, this,
        [file = toPath(path), study = m_study, sameStudy, model = m_base, sink = m_sink,
         document](const JobContext&) -> Result<std::shared_ptr<Study>> {
            std::shared_ptr<Study> into = study;
            if (!sameStudy) {
                QL_TRY(created, createStudy(file));
                into = std::move(created);
                if (study)
                    QL_CHECK(copyCalibration(*study, *into, *model));
            }
            QL_CHECK(sink->copyTo(*into));
            QL_CHECK(into->save(document));
            return into;
        },
        [this, path, undoIndex, model = m_base](Result<std::shared_ptr<Study>> study) {
            if (model != m_base)
                return;
            if (!study) {
                Q_EMIT saveFailed(path, errorText(study.error()));
                return;
            }
            m_study = std::move(*study);
            m_studyPath = path;
            m_settingsModified = false;
            if (m_undo.index() == undoIndex) // else there was an edit meanwhile
                m_undo.setClean();
            Q_EMIT titleChanged();
            Q_EMIT saved(path);
        });
}

void Document::close()
{
    for (const char* channel : {"open", "activations", "transform"})
        m_jobs.cancelChannel(QString::fromLatin1(channel));
    stopMeasuring();
    m_transformJob = 0;
    m_selection.clear();
    m_undo.clear();
    m_drain.stop();
    m_model.reset();
    m_base.reset();
    m_activations.reset();
    m_baseActivations.reset();
    m_variant.reset();
    m_plans.clear();
    m_plansNamed.clear();
    m_named = firstPlan();
    m_study.reset();
    m_sink = std::make_shared<MemorySink>();
    m_studyPath.clear();
    m_viewState.clear();
    m_planLayers.clear();
    m_facts.clear();
    m_plan = {};
    m_target = nullptr;
    m_limits.clear();
    m_ownCandidates.clear();
    m_settingsModified = false;
    buildTable();
    tellAll();
}

} // namespace ql::views
