// SPDX-License-Identifier: GPL-3.0-or-later
// Opening, saving and closing.
#include "core/calibration/calibrated_activations.h"
#include "core/plan/plan_inputs.h"
#include "core/study/study.h"
#include "views/document/document.h"
#include "views/document/measure_mailbox.h"
#include "views/document/memory_sink.h"
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

/// All that one opening brings; made by a job.
struct OpenedWork {
    std::shared_ptr<const Model> model;
    std::shared_ptr<const Activations> activations;
    std::shared_ptr<Study> study;
    StudyDocument document;
    std::optional<Plan> plan;
    std::vector<Warning> warnings;
};

namespace {

Result<OpenedWork> openWork(const std::filesystem::path& path, const JobContext& context)
{
    OpenedWork work;
    std::filesystem::path checkpoint = path;
    if (path.extension() == ".qloupe") {
        std::error_code error;
        if (!std::filesystem::exists(path, error)) // openStudy() would create it
            return ioError("no such study", path.string());
        QL_TRY(study, openStudy(path, work.warnings));
        work.study = study;
        work.document = study->document();
        checkpoint = work.document.checkpoint;
        if (checkpoint.is_relative())
            checkpoint = path.parent_path() / checkpoint;
    }
    QL_TRY(model, openModel(checkpoint, context));
    work.model = std::move(model);
    const auto notes = work.model->checkpoint->warnings();
    work.warnings.insert(work.warnings.end(), notes.begin(), notes.end());
    if (!work.study)
        return work;
    if (work.document.activations.empty()) {
        work.activations = calibratedActivations(work.study, findCalibration(*work.study, *work.model), {});
    } else {
        std::filesystem::path file = work.document.activations;
        if (file.is_relative())
            file = path.parent_path() / file;
        auto activations = openActivations(file, *work.model, context);
        if (activations)
            work.activations = std::move(*activations);
        else // the study is still useful without them
            work.warnings.push_back({activations.error().where, activations.error().what});
    }
    if (!work.document.planJson.empty()) {
        QL_TRY(plan, parsePlan(work.document.planJson, *work.model));
        work.plan = std::move(plan);
    }
    return work;
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

void Document::take(OpenedWork work)
{
    m_jobs.cancelChannel(QStringLiteral("statistics"));
    m_jobs.cancelChannel(QStringLiteral("measure"));
    m_factsMailbox.reset();
    m_cellsMailbox.reset();
    m_measuring = false;
    m_editing = false;
    m_selection.clear();
    m_undo.clear();
    m_model = std::move(work.model);
    m_activations = std::move(work.activations);
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
    m_metric = 0;
    m_budget = {};
    m_settingsModified = false;
    takeSettings(work.document.settings);
    if (m_budget == Budget())
        m_budget.bitsPerWeight = usualBudget();
    m_facts.assign(m_model->layers.size(), {});
    Q_EMIT modelChanged();
    Q_EMIT tableChanged();
    Q_EMIT planChanged(m_planLayers);
    Q_EMIT activationsChanged();
    Q_EMIT settingsChanged();
    refreshTotals();
    Q_EMIT titleChanged();
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

void Document::openActivations(const QString& path)
{
    if (!m_model)
        return;
    m_jobs.start(
        {.title = tr("Opening activations"), .channel = QStringLiteral("activations")}, this,
        [file = toPath(path), model = m_model](const JobContext& context) {
            return ql::openActivations(file, *model, context);
        },
        [this, model = m_model](Result<std::shared_ptr<const Activations>> activations) {
            if (activations && model == m_model)
                takeActivations(std::move(*activations));
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
        [file = toPath(path), model = m_model](const JobContext& context) {
            return ql::openActivations(file, *model, context);
        },
        [this, model = m_model,
         otherwise = std::move(otherwise)](Result<std::shared_ptr<const Activations>> activations) {
            if (activations && model == m_model)
                takeActivations(std::move(*activations));
            else if (!activations && activations.error().code != Errc::cancelled)
                otherwise();
        });
}

void Document::takeActivations(std::shared_ptr<const Activations> activations)
{
    showActivations(std::move(activations));
    // A study names its activations and has to be saved; a model alone has nothing that could be lost.
    m_settingsModified = m_settingsModified || m_study;
    measureWithActivations();
}

void Document::showActivations(std::shared_ptr<const Activations> activations)
{
    m_activations = std::move(activations);
    Q_EMIT activationsChanged();
}

void Document::measureWithActivations()
{
    if (!m_activations)
        return;
    // A calibration is in its study at once, unless there is none or it names other activations.
    if (isCalibrated() && (!m_study || !m_study->document().activations.empty()))
        m_settingsModified = true;
    buildTable(); // losses of the second metric have to be measured
    Q_EMIT tableChanged();
    Q_EMIT settingsChanged();
    Q_EMIT titleChanged();
    refreshTotals();
    startMeasuring();
}

void Document::save(const QString& path)
{
    if (!m_model)
        return;
    StudyDocument document;
    document.checkpoint = m_model->checkpoint->path();
    document.fingerprint = m_model->checkpoint->fingerprint();
    if (m_activations)
        document.activations = m_activations->path();
    Plan plan = m_plan;
    nameActivations(plan, m_activations.get());
    document.planJson = printPlan(plan, *m_model);
    document.viewState = m_viewState;
    document.settings = settings();

    const bool sameStudy = m_study && path == m_studyPath;
    const int undoIndex = m_undo.index();
    m_jobs.start(
        {.title = tr("Saving %1").arg(QFileInfo(path).fileName()), .channel = QStringLiteral("save")}, this,
        [file = toPath(path), study = m_study, sameStudy, model = m_model, sink = m_sink,
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
        [this, path, undoIndex, model = m_model](Result<std::shared_ptr<Study>> study) {
            if (model != m_model)
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
    for (const char* channel : {"open", "statistics", "measure", "activations"})
        m_jobs.cancelChannel(QString::fromLatin1(channel));
    m_factsMailbox.reset();
    m_cellsMailbox.reset();
    m_measuring = false;
    m_editing = false;
    m_selection.clear();
    m_undo.clear();
    m_drain.stop();
    m_model.reset();
    m_activations.reset();
    m_study.reset();
    m_sink = std::make_shared<MemorySink>();
    m_studyPath.clear();
    m_viewState.clear();
    m_planLayers.clear();
    m_facts.clear();
    m_plan = {};
    m_target = nullptr;
    m_budget = {};
    m_ownCandidates.clear();
    m_settingsModified = false;
    buildTable();
    Q_EMIT modelChanged();
    Q_EMIT tableChanged();
    Q_EMIT planChanged({});
    Q_EMIT activationsChanged();
    Q_EMIT settingsChanged();
    refreshTotals();
    Q_EMIT titleChanged();
}

} // namespace ql::views
