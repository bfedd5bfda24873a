// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/document/named_plans.h"

#include "views/text/format.h"

#include <QCoreApplication>
#include <QJsonArray>
#include <QJsonDocument>
#include <QJsonObject>
#include <QRegularExpression>

#include <algorithm>

namespace ql::views {

NamedPlans firstPlan()
{
    return {.plans = {{.name = QCoreApplication::translate("NamedPlans", "Plan 1"), .json = {}}}, .current = 0};
}

QString freeName(const NamedPlans& plans, const QString& wanted)
{
    const auto isTaken = [&](const QString& name) {
        return std::ranges::count(plans.plans, name, &NamedPlan::name) > 0;
    };
    if (!wanted.isEmpty() && !isTaken(wanted))
        return wanted;
    static const QRegularExpression kNumber(QStringLiteral("\\s*\\d{1,6}$"));
    const QString stem =
        wanted.isEmpty() ? QCoreApplication::translate("NamedPlans", "Plan") : QString(wanted).remove(kNumber);
    QString name;
    for (int number = 2; name.isEmpty() || isTaken(name); ++number)
        name = QStringLiteral("%1 %2").arg(stem).arg(number).trimmed();
    return name;
}

std::string printNamedPlans(const NamedPlans& plans)
{
    QJsonArray list;
    for (std::size_t i = 0; i < plans.plans.size(); ++i) {
        QJsonObject object{{QStringLiteral("name"), plans.plans[i].name}};
        if (i != plans.current)
            object[QStringLiteral("plan")] = toQString(plans.plans[i].json);
        list.append(object);
    }
    const QJsonObject object{{QStringLiteral("current"), static_cast<qint64>(plans.current)},
                             {QStringLiteral("plans"), list}};
    return QJsonDocument(object).toJson(QJsonDocument::Compact).toStdString();
}

std::optional<NamedPlans> parseNamedPlans(std::string_view json)
{
    const QJsonObject object =
        QJsonDocument::fromJson(QByteArray(json.data(), static_cast<qsizetype>(json.size()))).object();
    NamedPlans plans;
    plans.current = static_cast<std::size_t>(object[QStringLiteral("current")].toInteger(-1));
    for (const QJsonValue& value : object[QStringLiteral("plans")].toArray())
        plans.plans.push_back({.name = value.toObject()[QStringLiteral("name")].toString(),
                               .json = value.toObject()[QStringLiteral("plan")].toString().toStdString()});
    if (plans.current >= plans.plans.size())
        return std::nullopt;
    for (std::size_t i = 0; i < plans.plans.size(); ++i)
        if (plans.plans[i].name.isEmpty() || plans.plans[i].json.empty() != (i == plans.current))
            return std::nullopt;
    return plans;
}

} // namespace ql::views
