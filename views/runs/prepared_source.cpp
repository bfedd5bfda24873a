// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/runs/prepared_source.h"

#include "core/model/evaluation/generate.h"
#include "core/model/evaluation/text_cases.h"
#include "views/text/format.h"

#include <QCoreApplication>
#include <QDir>

#include <algorithm>

namespace ql::views {

namespace {

Result<TextTokens> readText(const RunnableModel& runnable, SourceKind kind, const QString& path,
                            const JobContext& context)
{
    TextSource source;
    (kind == SourceKind::tokens ? source.tokens : source.text) = toPath(path);
    return readTokens(*runnable.model, source, context, textReaderOf(runnable.graph));
}

Result<Cases> readCases(const RunnableModel& runnable, SourceKind kind, const QString& path, const QString& labels,
                        const JobContext& context)
{
    return kind == SourceKind::arrays
               ? arrayCases(runnable.graph, toPath(path), context)
               : imageCases(*runnable.model, runnable.graph, toPath(path), toPath(labels), context);
}

constexpr std::int64_t kShortProbe = 32; // tokens; exported encoders do not say how many they take

/// A window to measure the speed on.
Result<Cases> firstWindow(const RunnableModel& runnable, const TextTokens& text)
{
    const Model& model = *runnable.model;
    const bool isKnown = runnable.isLanguageModel || model.configNumber("max_position_embeddings");
    const std::int64_t all = std::ssize(text.prefix) + std::ssize(text.ids) + std::ssize(text.suffix);
    QL_TRY(window, text.windows(std::min(isKnown ? usualWindowLength(model) : kShortProbe, all), 1));
    return windowCases(runnable.graph, std::move(window));
}

} // namespace

std::int64_t PreparedSource::count(const Portion& portion) const
{
    if (text())
        return text()->windowCount(portion.length, portion.limit);
    const std::int64_t all = std::get<Cases>(content).count;
    return portion.limit > 0 ? std::min(all, portion.limit) : all;
}

Result<Cases> PreparedSource::calibrationCases(const Portion& portion) const
{
    if (!text())
        return firstOf(std::get<Cases>(content), portion.limit);
    QL_TRY(windows, text()->windows(portion.length, portion.limit));
    return windowCases(graph(), std::move(windows));
}

Result<Cases> PreparedSource::comparisonCases(const Portion& portion) const
{
    if (!text())
        return firstOf(std::get<Cases>(content), portion.limit);
    return encoderCases(graph(), *text(), portion.length, portion.limit);
}

CalibrationCost PreparedSource::calibrationCost(const CalibrationSettings& settings, const Portion& portion) const
{
    return ql::calibrationCost(model(), graph(), settings, count(portion), tokensPerCase(portion));
}

double PreparedSource::calibrationSeconds(const CalibrationSettings& settings, const Portion& portion) const
{
    return speed.secondsPerMultiplyAdd * calibrationCost(settings, portion).multiplyAdds;
}

CalibrationCost PreparedSource::fisherCost(const FisherSettings& settings, const Portion& portion) const
{
    return ql::fisherCost(model(), graph(), settings, count(portion), tokensPerCase(portion));
}

double PreparedSource::fisherSeconds(const FisherSettings& settings, const Portion& portion) const
{
    return speed.secondsPerMultiplyAdd * fisherCost(settings, portion).multiplyAdds;
}

double PreparedSource::curvatureSeconds(const CurvatureSettings& settings, const Portion& portion) const
{
    constexpr double kOfForward = 4; // forward, once more for each segment, and backward
    return static_cast<double>(curvaturePasses(settings)) * kOfForward * runSeconds(portion);
}

double PreparedSource::runSeconds(const Portion& portion) const
{
    const auto tokensRun = static_cast<double>(tokensPerCase(portion) * count(portion));
    return speed.secondsPerMultiplyAdd * tokensRun * multiplyAddsPerToken(model(), graph());
}

QString countedCases(std::int64_t count, bool areWindows)
{
    if (count == 1)
        return areWindows ? QCoreApplication::translate("Runs", "1 window")
                          : QCoreApplication::translate("Runs", "1 case");
    return (areWindows ? QCoreApplication::translate("Runs", "%1 windows")
                       : QCoreApplication::translate("Runs", "%1 cases"))
        .arg(countText(count));
}

Result<std::shared_ptr<const PreparedSource>> prepareSource(const std::shared_ptr<const RunnableModel>& runnable,
                                                            const QString& path, const QString& labels,
                                                            const JobContext& context)
{
    auto prepared = std::make_shared<PreparedSource>();
    prepared->runnable = runnable;
    prepared->path = QDir::cleanPath(path);
    const SourceKind kind = sourceKind(*runnable, path);
    Cases first; // to measure the speed on
    if (isText(kind)) {
        QL_TRY(text, readText(*runnable, kind, path, context));
        QL_TRY(window, firstWindow(*runnable, text));
        first = std::move(window);
        prepared->content = std::move(text);
    } else {
        QL_TRY(cases, readCases(*runnable, kind, path, labels, context));
        first = cases;
        prepared->content = std::move(cases);
    }
    QL_TRY(speed, measureSpeed(*runnable->model, runnable->graph, first, context));
    prepared->speed = speed;
    return std::shared_ptr<const PreparedSource>(std::move(prepared));
}

std::int64_t usualWindowLength(const Model& model)
{
    const double longest = model.configNumber("max_position_embeddings").value_or(512);
    return static_cast<std::int64_t>(std::clamp(longest, 2.0, 512.0));
}

} // namespace ql::views
