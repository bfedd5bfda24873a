// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/runs/predictions.h"

#include "views/document/activations_file.h"
#include "views/document/document.h"
#include "views/jobs/job_runner.h"
#include "views/text/format.h"

#include <algorithm>
#include <cmath>

namespace ql::views {

struct Predictions::Fitted {
    PredictedQuantity of;
    double floor = 0;
    bool isTrusted = true;
    std::vector<std::string> groups; // that parts of sums are counted by
    std::optional<LossModel> model;  // for those, once it was asked for
};

Predictions::Predictions(Document& document, JobRunner& jobs) : m_document(document), m_jobs(jobs)
{
    connect(&m_document, &Document::modelChanged, this, &Predictions::takeOver);
    connect(&m_document, &Document::activationsChanged, this, &Predictions::readOther);
    connect(&m_document, &Document::saved, this, [this] { keep(); }); // it may be another study
}

Predictions::~Predictions() = default;

QString sourceTitle(std::string_view source)
{
    if (source == kProbedLosses)
        return Predictions::tr("Measured losses of layers");
    const auto metric = findMetric(source);
    return metric ? toQString((*metric)->title) : toQString(source);
}

Predictions::Fitted* Predictions::fitted(std::string_view source) const
{
    if (m_fitted && m_fitted->of.metric == source)
        return m_fitted.get();
    const auto of = usualQuantity(m_records, source);
    if (!of)
        return nullptr;
    m_fitted = std::make_unique<Fitted>(Fitted{.of = *of,
                                               .floor = usualFloor(m_records, *of),
                                               .isTrusted = ql::isTrusted(m_records, *of),
                                               .groups = {},
                                               .model = {}});
    return m_fitted.get();
}

std::optional<Prediction> Predictions::expected(std::string_view source, double sum, double error,
                                                const SharesByGroup& shares) const
{
    Fitted* by = fitted(source);
    if (!by)
        return std::nullopt;
    if (!by->model || by->groups != shares.groups) {
        by->groups = shares.groups;
        by->model = lossModelOf(m_records, by->of, {}, shares.groups);
    }
    return by->model->predict({.sum = sum, .sumError = error, .floor = by->floor}, 0, shares.shares);
}

std::optional<Prediction> Predictions::ofPlan() const
{
    const Totals& totals = m_document.totals();
    const std::string source = m_document.lossSource();
    if (!m_document.isOpen() || std::isnan(totals.loss) || !fitted(source))
        return std::nullopt;
    return expected(source, totals.loss, totals.lossError,
                    sharesOf(*m_document.model(), m_document.table(), m_document.plan()));
}

bool Predictions::isTrusted(std::string_view source) const
{
    const Fitted* by = fitted(source);
    return !by || by->isTrusted;
}

QString Predictions::suspects(std::string_view source) const
{
    QStringList lines;
    if (const Fitted* by = fitted(source))
        for (const std::string& line : describeSuspects(m_records, by->of))
            lines << toQString(line);
    return lines.join(QLatin1Char('\n'));
}

void Predictions::add(const PredictionRecord& record)
{
    std::erase_if(m_records,
                  [&](const PredictionRecord& known) { return known.of == record.of && known.plan == record.plan; });
    m_records.push_back(record);
    m_fitted.reset();
    keep();
    Q_EMIT changed();
}

/// All of them, one job at a time: they are merged into what is there.
void Predictions::keep()
{
    const QString channel = QStringLiteral("keep predictions");
    m_keepAgain = m_jobs.isRunning(channel);
    if (m_records.empty() || m_keepAgain)
        return;
    m_jobs.start(
        {.title = tr("Keeping what was predicted"), .channel = channel}, this,
        [sink = m_document.sink(), records = m_records](const JobContext&) { return keepPredictions(*sink, records); },
        [this](const Result<void>&) {
            if (m_keepAgain)
                keep();
        });
}

void Predictions::takeOver()
{
    if (m_base == m_document.baseModel())
        return;
    m_base = m_document.baseModel();
    m_records.clear();
    m_other.clear();
    m_fitted.reset();
    Q_EMIT changed();
    if (!m_document.isOpen())
        return;
    readFrom([sink = m_document.sink()]() -> Result<std::vector<PredictionRecord>> { return readPredictions(*sink); });
}

/// Records of the study that the activations are of, if that is another one.
void Predictions::readOther()
{
    const auto& activations = m_document.activations();
    const std::filesystem::path path = activations ? activations->path() : std::filesystem::path();
    if (path == m_other)
        return;
    m_other = path;
    if (isStudy(path))
        readFrom([path]() -> Result<std::vector<PredictionRecord>> {
            QL_TRY(study, openOtherStudy(path));
            return readPredictions(*study);
        });
}

/// Puts what a job reads before the records that are there, but for those of the same plans and quantities.
void Predictions::readFrom(std::function<Result<std::vector<PredictionRecord>>()> read)
{
    m_jobs.start(
        {.title = tr("Reading what was predicted")}, this,
        [read = std::move(read)](const JobContext&) { return read(); },
        [this, base = m_base](Result<std::vector<PredictionRecord>> records) {
            if (!records || base != m_base)
                return;
            std::erase_if(*records, [this](const PredictionRecord& its) {
                return std::ranges::any_of(m_records, [&](const PredictionRecord& known) {
                    return known.of == its.of && known.plan == its.plan;
                });
            });
            if (records->empty())
                return;
            m_records.insert(m_records.begin(), records->begin(), records->end());
            m_fitted.reset();
            Q_EMIT changed();
        });
}

} // namespace ql::views
