// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/landscape/landscape_source.h"

#include "views/document/document.h"
#include "views/jobs/job_runner.h"
#include "views/runs/source_paths.h"
#include "views/text/format.h"

namespace ql::views {

namespace {

const QString kChannel = QStringLiteral("landscape source");

QString problemText(const Error& error)
{
    return error.code == Errc::cancelled ? LandscapeSource::tr("Reading was stopped: choose the text again.")
                                         : errorText(error);
}

} // namespace

LandscapeSource::LandscapeSource(Document& document, JobRunner& jobs, QObject* parent)
    : QObject(parent), m_document(document), m_jobs(jobs), m_path(usualText(document, SourceUse::probing))
{
    connect(&m_document, &Document::modelChanged, this, &LandscapeSource::forget);
}

void LandscapeSource::forget()
{
    m_jobs.cancelChannel(kChannel);
    m_runnable.reset();
    m_source.reset();
    m_problem.clear();
    m_path = usualText(m_document, SourceUse::probing);
    Q_EMIT changed();
}

void LandscapeSource::setPath(const QString& path)
{
    m_path = path;
    rememberSource(SourceKind::text, SourceUse::probing, path);
    m_jobs.cancelChannel(kChannel);
    m_source.reset();
    m_problem.clear();
    read();
    Q_EMIT changed();
}

void LandscapeSource::read()
{
    if (!m_document.isOpen() || m_source || !m_problem.isEmpty() || m_jobs.isRunning(kChannel))
        return;
    if (m_runnable) {
        readText();
        return;
    }
    m_jobs.start(
        {.title = tr("Reading the model"), .channel = kChannel, .quiet = true}, this,
        [model = m_document.model()](const JobContext&) { return prepareModel(model); },
        [this](Result<std::shared_ptr<const RunnableModel>> runnable) {
            if (runnable) {
                m_runnable = std::move(*runnable);
                readText();
            } else {
                m_problem = problemText(runnable.error());
            }
            Q_EMIT changed();
        });
}

void LandscapeSource::readText()
{
    if (!m_runnable->isLanguageModel || m_path.isEmpty())
        return;
    m_jobs.start(
        {.title = tr("Reading what the model is run on"), .channel = kChannel, .quiet = true}, this,
        [runnable = m_runnable, path = m_path](const JobContext& context) {
            return prepareSource(runnable, path, {}, context);
        },
        [this](Result<std::shared_ptr<const PreparedSource>> source) {
            if (source)
                m_source = std::move(*source);
            else
                m_problem = problemText(source.error());
            Q_EMIT changed();
        });
}

std::shared_ptr<const PreparedSource> LandscapeSource::source() const
{
    const bool isCurrent = m_source && m_source->runnable->model == m_document.model();
    return isCurrent ? m_source : nullptr; // others learn of a new model earlier
}

QString LandscapeSource::obstacle() const
{
    if (source() || !m_document.isOpen())
        return {};
    if (!m_problem.isEmpty())
        return m_problem;
    if (!m_runnable)
        return tr("Reading the model…");
    if (!m_runnable->isLanguageModel)
        return tr("The loss is that of the tokens a language model predicts, and this model continues no text: open "
                  "a language model.");
    return m_path.isEmpty() ? tr("Choose a text; the model reads its first windows.") : tr("Reading the text…");
}

} // namespace ql::views
