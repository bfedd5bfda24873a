// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/panels/layers/layer_filter.h"

#include "core/base/text.h"

#include <QCoreApplication>
#include <QLocale>

#include <cmath>
#include <map>
#include <optional>

namespace ql::views {

namespace {

const std::map<QString, QString LayerValues::*>& textFields()
{
    static const std::map<QString, QString LayerValues::*> kFields = {
        {QStringLiteral("name"), &LayerValues::name},
        {QStringLiteral("role"), &LayerValues::role},
        {QStringLiteral("op"), &LayerValues::op},
        {QStringLiteral("dtype"), &LayerValues::dtype},
        {QStringLiteral("candidate"), &LayerValues::candidate},
    };
    return kFields;
}

const std::map<QString, double LayerValues::*>& numberFields()
{
    static const std::map<QString, double LayerValues::*> kFields = {
        {QStringLiteral("block"), &LayerValues::block}, {QStringLiteral("bits"), &LayerValues::bits},
        {QStringLiteral("size"), &LayerValues::size},   {QStringLiteral("params"), &LayerValues::params},
        {QStringLiteral("error"), &LayerValues::loss},  {QStringLiteral("loss"), &LayerValues::loss},
        {QStringLiteral("sqnr"), &LayerValues::sqnr},   {QStringLiteral("outliers"), &LayerValues::outliers},
        {QStringLiteral("crest"), &LayerValues::crest}, {QStringLiteral("kurtosis"), &LayerValues::kurtosis},
    };
    return kFields;
}

std::optional<double> parseNumber(const QString& text)
{
    const std::string plain =
        QString(text).replace(QLocale().decimalPoint(), QStringLiteral(".")).toStdString(); // 0.1 or the locale's 0,1
    if (const auto number = parseDouble(plain))
        return number;
    if (const auto bytes = parseBytes(plain))
        return static_cast<double>(*bytes);
    const double factor = text.endsWith(QLatin1Char('k'))   ? 1e3
                          : text.endsWith(QLatin1Char('M')) ? 1e6
                          : text.endsWith(QLatin1Char('G')) ? 1e9
                                                            : 0;
    if (factor > 0) {
        if (const auto number = parseDouble(std::string_view(plain).substr(0, plain.size() - 1)))
            return *number * factor;
    }
    return std::nullopt;
}

} // namespace

LayerFilter::LayerFilter(const QString& text)
{
    struct Spelling {
        QLatin1String text;
        Operator op;
    };
    // Longer spellings first.
    static constexpr Spelling kOperators[] = {
        {QLatin1String("<="), Operator::lessEqual}, {QLatin1String(">="), Operator::greaterEqual},
        {QLatin1String("!="), Operator::unequal},   {QLatin1String("<"), Operator::less},
        {QLatin1String(">"), Operator::greater},    {QLatin1String("="), Operator::equal}};
    const auto complain = [this](const QString& problem) {
        if (m_problem.isEmpty())
            m_problem = problem;
    };
    for (const QString& word : text.split(QLatin1Char(' '), Qt::SkipEmptyParts)) {
        Term term;
        qsizetype at = -1;
        qsizetype length = 0;
        for (const Spelling& spelling : kOperators) {
            const qsizetype found = word.indexOf(spelling.text);
            if (found > 0 && (at < 0 || found < at)) {
                at = found;
                length = spelling.text.size();
                term.op = spelling.op;
            }
        }
        if (at < 0) {
            term.word = word;
            m_terms.push_back(term);
            continue;
        }
        const QString field = word.left(at).toLower();
        term.word = word.mid(at + length);
        if (term.word.isEmpty())
            continue; // still being typed
        const auto textField = textFields().find(field);
        const auto numberField = numberFields().find(field);
        if (textField != textFields().end()) {
            term.text = textField->second;
            if (term.op != Operator::equal && term.op != Operator::unequal) {
                complain(QCoreApplication::translate("LayerFilter", "%1 is text: use = or !=").arg(field));
                continue;
            }
        } else if (numberField != numberFields().end()) {
            term.number = numberField->second;
            const std::optional<double> value = parseNumber(term.word);
            if (!value) {
                complain(QCoreApplication::translate("LayerFilter", "%1 is not a number").arg(term.word));
                continue;
            }
            term.value = *value;
        } else {
            complain(QCoreApplication::translate("LayerFilter", "There is no column %1; there are %2")
                         .arg(field, fields().join(QStringLiteral(", "))));
            continue;
        }
        m_terms.push_back(term);
    }
}

QStringList LayerFilter::fields()
{
    QStringList names;
    for (const auto& field : textFields())
        names << field.first;
    for (const auto& field : numberFields())
        names << field.first;
    return names;
}

bool LayerFilter::holds(const Term& term, const LayerValues& values)
{
    if (term.op == Operator::contains)
        return values.name.contains(term.word, Qt::CaseInsensitive);
    if (term.text) {
        const bool same = globMatch(term.word.toLower().toStdString(), (values.*term.text).toLower().toStdString());
        return same == (term.op == Operator::equal);
    }
    const double value = values.*term.number;
    if (std::isnan(value))
        return false;
    switch (term.op) {
    case Operator::equal:
        return value == term.value;
    case Operator::unequal:
        return value != term.value;
    case Operator::less:
        return value < term.value;
    case Operator::lessEqual:
        return value <= term.value;
    case Operator::greater:
        return value > term.value;
    case Operator::greaterEqual:
        return value >= term.value;
    case Operator::contains:
        break;
    }
    return true;
}

bool LayerFilter::matches(const LayerValues& values) const
{
    for (const Term& term : m_terms) {
        if (!holds(term, values))
            return false;
    }
    return true;
}

} // namespace ql::views
