// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/runs/validation_record.h"

#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>

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

} // namespace

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
                           {QStringLiteral("bits_per_weight"), record.bitsPerWeight},
                           {QStringLiteral("metric"), record.metric},
                           {QStringLiteral("text"), record.text},
                           {QStringLiteral("context"), static_cast<qint64>(record.length)},
                           {QStringLiteral("runtime"), record.runtime},
                           {QStringLiteral("points"), points}};
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
        record.bitsPerWeight = object[QStringLiteral("bits_per_weight")].toDouble();
        record.predictedLoss =
            object[QStringLiteral("predicted_loss")].toDouble(std::numeric_limits<double>::quiet_NaN());
        record.metric = object[QStringLiteral("metric")].toString();
        record.text = object[QStringLiteral("text")].toString();
        record.length = object[QStringLiteral("context")].toInteger();
        record.runtime = object[QStringLiteral("runtime")].toString();
        for (const QJsonValue& point : object[QStringLiteral("points")].toArray())
            record.points.push_back(pointFrom(point.toArray()));
        if (record.time.isValid() && !record.points.empty())
            records.push_back(std::move(record));
    }
    return records;
}

} // namespace ql::views
