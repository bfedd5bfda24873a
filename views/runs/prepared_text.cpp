// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/runs/prepared_text.h"

#include "core/model/evaluation/run_cost.h"
#include "core/model/frontends/frontend.h"
#include "views/document/document.h"
#include "views/text/format.h"

#include <QFileInfo>
#include <QSettings>

#include <algorithm>

namespace ql::views {

namespace {

QString settingOf(TextUse use)
{
    return use == TextUse::calibration ? QStringLiteral("texts/calibration") : QStringLiteral("texts/held-out");
}

} // namespace

std::int64_t PreparedText::windowCount(std::int64_t length, std::int64_t limit) const
{
    const std::int64_t all = tokenCount() / length;
    return limit > 0 ? std::min(all, limit) : all;
}

CalibrationCost PreparedText::calibrationCost(const CalibrationSettings& settings, std::int64_t length,
                                              std::int64_t limit) const
{
    return ql::calibrationCost(*model, graph, settings, windowCount(length, limit), length);
}

double PreparedText::calibrationSeconds(const CalibrationSettings& settings, std::int64_t length,
                                        std::int64_t limit) const
{
    return secondsPerMultiplyAdd * calibrationCost(settings, length, limit).multiplyAdds;
}

double PreparedText::validationSeconds(std::int64_t length, std::int64_t limit) const
{
    const auto tokensRun = static_cast<double>(2 * length * windowCount(length, limit));
    return secondsPerMultiplyAdd * tokensRun * multiplyAddsPerToken(*model, graph);
}

TextSource textSource(const QString& path)
{
    const QString suffix = QFileInfo(path).suffix().toLower();
    const bool isArray = suffix == QLatin1String("npy") || suffix == QLatin1String("npz");
    return isArray ? TextSource{{}, toPath(path)} : TextSource{toPath(path), {}};
}

Result<std::shared_ptr<const PreparedText>> prepareText(const std::shared_ptr<const Model>& model, const QString& path,
                                                        const JobContext& context)
{
    auto prepared = std::make_shared<PreparedText>();
    prepared->model = model;
    prepared->path = path;
    QL_TRY(graph, buildGraph(*model));
    prepared->graph = std::move(graph);
    QL_TRY(tokens, readTokens(*model, textSource(path), context));
    prepared->tokens = std::move(tokens);
    const std::int64_t length = std::min(usualWindowLength(*model), prepared->tokenCount());
    QL_TRY(window, prepared->tokens.windows(length, 1));
    QL_TRY(cases, windowCases(prepared->graph, std::move(window)));
    QL_TRY(speed, measureSpeed(*model, prepared->graph, cases, context));
    prepared->secondsPerMultiplyAdd = speed.secondsPerMultiplyAdd;
    return std::shared_ptr<const PreparedText>(std::move(prepared));
}

QString usualText(const Document& document, TextUse use)
{
    if (!document.isOpen())
        return {};
    const QFileInfo checkpoint(document.checkpointPath());
    const QString folder = checkpoint.isDir() ? checkpoint.filePath() : checkpoint.path();
    const QString beside =
        folder + (use == TextUse::calibration ? QStringLiteral("/calibration.txt") : QStringLiteral("/test.txt"));
    if (QFileInfo::exists(beside))
        return beside;
    const QString last = QSettings().value(settingOf(use)).toString();
    return QFileInfo::exists(last) ? last : QString();
}

void rememberText(const QString& path, TextUse use)
{
    QSettings().setValue(settingOf(use), path);
}

std::int64_t usualWindowLength(const Model& model)
{
    const double longest = model.configNumber("max_position_embeddings").value_or(512);
    return static_cast<std::int64_t>(std::clamp(longest, 2.0, 512.0));
}

} // namespace ql::views
