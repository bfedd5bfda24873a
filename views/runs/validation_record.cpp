// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/runs/validation_record.h"

#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace ql::views {

namespace {

Measured measured(const Estimate& estimate)
{
    return {estimate.value, estimate.windowError};
}

/// Numbers of a point in the order they are stored.
std::array<double*, 11> numbersOf(ValidationPoint& point, double& windows)
{
    return {&windows,
            &point.perplexity.value,
            &point.perplexity.error,
            &point.planPerplexity.value,
            &point.planPerplexity.error,
            &point.kld.value,
            &point.kld.error,
            &point.sameTop.value,
            &point.sameTop.error,
            &point.medianKld,
            &point.kld999};
}

QJsonArray toJson(ValidationPoint point)
{
    auto windows = static_cast<double>(point.windows);
    QJsonArray array;
    for (const double* number : numbersOf(point, windows))
        array.append(*number);
    return array;
}

ValidationPoint pointFrom(const QJsonArray& array)
{
    ValidationPoint point;
    double windows = 0;
    qsizetype i = 0;
    for (double* number : numbersOf(point, windows))
        *number = array.at(i++).toDouble();
    point.windows = static_cast<std::int64_t>(windows);
    return point;
}

QJsonArray toJson(const RowMean& mean)
{
    return {mean.value, mean.error};
}

RowMean meanFrom(const QJsonValue& value)
{
    return {value.toArray().at(0).toDouble(), value.toArray().at(1).toDouble()};
}

QJsonObject toJson(const AnswerScore& score)
{
    return {{QStringLiteral("count"), static_cast<qint64>(score.count)},
            {QStringLiteral("loss"), toJson(score.loss)},
            {QStringLiteral("top1"), toJson(score.top1)},
            {QStringLiteral("top5"), toJson(score.top5)}};
}

AnswerScore answersFrom(const QJsonValue& value)
{
    const QJsonObject object = value.toObject();
    return {.count = object[QStringLiteral("count")].toInteger(),
            .loss = meanFrom(object[QStringLiteral("loss")]),
            .top1 = meanFrom(object[QStringLiteral("top1")]),
            .top5 = meanFrom(object[QStringLiteral("top5")])};
}

QJsonObject toJson(const OutputScore& score)
{
    QJsonObject object{{QStringLiteral("name"), QString::fromStdString(score.name)},
                       {QStringLiteral("rows"), static_cast<qint64>(score.rows)},
                       {QStringLiteral("cosine"), toJson(score.cosine)},
                       {QStringLiteral("least_cosine"), score.leastCosine}};
    if (std::isfinite(score.sqnrDb)) // else equal
        object[QStringLiteral("sqnr_db")] = score.sqnrDb;
    return object;
}

OutputScore outputFrom(const QJsonValue& value)
{
    const QJsonObject object = value.toObject();
    return {.name = object[QStringLiteral("name")].toString().toStdString(),
            .rows = object[QStringLiteral("rows")].toInteger(),
            .sqnrDb = object[QStringLiteral("sqnr_db")].toDouble(std::numeric_limits<double>::infinity()),
            .cosine = meanFrom(object[QStringLiteral("cosine")]),
            .leastCosine = object[QStringLiteral("least_cosine")].toDouble()};
}

QJsonObject toJson(const OutputsPoint& point)
{
    QJsonArray outputs;
    for (const OutputScore& output : point.score.outputs)
        outputs.append(toJson(output));
    return {{QStringLiteral("cases"), static_cast<qint64>(point.cases)},
            {QStringLiteral("outputs"), outputs},
            {QStringLiteral("model"), toJson(point.score.model)},
            {QStringLiteral("plan"), toJson(point.score.other)},
            {QStringLiteral("same_top"), toJson(point.score.sameTop)}};
}

/// None where it is not whole.
std::optional<OutputsPoint> outputsFrom(const QJsonObject& object)
{
    OutputsPoint point{.cases = object[QStringLiteral("cases")].toInteger(),
                       .score = {.outputs = {},
                                 .model = answersFrom(object[QStringLiteral("model")]),
                                 .other = answersFrom(object[QStringLiteral("plan")]),
                                 .sameTop = meanFrom(object[QStringLiteral("same_top")])}};
    for (const QJsonValue& output : object[QStringLiteral("outputs")].toArray())
        point.score.outputs.push_back(outputFrom(output));
    return point.cases > 0 && !point.score.outputs.empty() ? std::optional(std::move(point)) : std::nullopt;
}

} // namespace

const OutputScore& OutputsPoint::leading() const
{
    for (const char* name : {"logits", "embedding"})
        if (const auto found = std::ranges::find(score.outputs, name, &OutputScore::name); found != score.outputs.end())
            return *found;
    return score.outputs.front();
}

void ValidationRecord::add(const ValidationStep& step)
{
    if (const auto* point = std::get_if<ValidationPoint>(&step))
        points.push_back(*point);
    else
        outputs = std::get<OutputsPoint>(step);
}

ValidationPoint pointOf(const std::vector<TokenScore>& scores, std::int64_t windows)
{
    const ComparisonScore comparison = comparisonOf(scores, windows);
    return {windows,
            measured(perplexityOf(scores, windows).perplexity),
            measured(comparison.perplexity),
            measured(comparison.kld),
            measured(comparison.sameTop),
            comparison.medianKld,
            comparison.kld999};
}

QByteArray printRecords(const std::vector<ValidationRecord>& records)
{
    QJsonArray list;
    for (const ValidationRecord& record : records) {
        QJsonArray points;
        for (const ValidationPoint& point : record.points)
            points.append(toJson(point));
        QJsonObject object{{QStringLiteral("time"), record.time.toString(Qt::ISODate)},
                           {QStringLiteral("plan"), record.plan},
                           {QStringLiteral("plan_json"), record.planJson},
                           {QStringLiteral("variant"), record.variant},
                           {QStringLiteral("bits_per_weight"), record.bitsPerWeight},
                           {QStringLiteral("file_bytes"), static_cast<qint64>(record.fileBytes)},
                           {QStringLiteral("metric"), record.metric},
                           {QStringLiteral("text"), record.source},
                           {QStringLiteral("context"), static_cast<qint64>(record.length)},
                           {QStringLiteral("runtime"), record.runtime},
                           {QStringLiteral("points"), points}};
        if (record.outputs)
            object[QStringLiteral("outputs")] = toJson(*record.outputs);
        if (std::isfinite(record.predictedLoss))
            object[QStringLiteral("predicted_loss")] = record.predictedLoss;
        list.append(object);
    }
    return QJsonDocument(list).toJson(QJsonDocument::Compact);
}

std::vector<ValidationRecord> parseRecords(const QByteArray& json)
{
    std::vector<ValidationRecord> records;
    for (const QJsonValue& value : QJsonDocument::fromJson(json).array()) {
        const QJsonObject object = value.toObject();
        ValidationRecord record;
        record.time = QDateTime::fromString(object[QStringLiteral("time")].toString(), Qt::ISODate);
        record.plan = object[QStringLiteral("plan")].toString();
        record.planJson = object[QStringLiteral("plan_json")].toString();
        record.variant = object[QStringLiteral("variant")].toString();
        record.bitsPerWeight = object[QStringLiteral("bits_per_weight")].toDouble();
        record.fileBytes = object[QStringLiteral("file_bytes")].toInteger();
        record.predictedLoss =
            object[QStringLiteral("predicted_loss")].toDouble(std::numeric_limits<double>::quiet_NaN());
        record.metric = object[QStringLiteral("metric")].toString();
        record.source = object[QStringLiteral("text")].toString();
        record.length = object[QStringLiteral("context")].toInteger();
        record.runtime = object[QStringLiteral("runtime")].toString();
        for (const QJsonValue& point : object[QStringLiteral("points")].toArray())
            record.points.push_back(pointFrom(point.toArray()));
        record.outputs = outputsFrom(object[QStringLiteral("outputs")].toObject());
        if (record.time.isValid() && !record.isEmpty())
            records.push_back(std::move(record));
    }
    return records;
}

} // namespace ql::views
