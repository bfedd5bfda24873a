// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/text.h"
#include "views/document/document.h"
#include "views/text/format.h"

#include <QLocale>

namespace ql::views {

namespace {

std::optional<Budget> parseOne(const QString& text)
{
    std::string plain = text.trimmed().toStdString();
    for (const std::string_view unit : {" bits per weight", " bpw", "bpw"}) {
        if (plain.ends_with(unit)) {
            plain.resize(plain.size() - unit.size());
            break;
        }
    }
    bool localeOk = false;
    const double inLocale = QLocale().toDouble(toQString(std::string_view(plain)), &localeOk);
    const std::optional<double> number = parseDouble(trim(plain));
    if (number || localeOk) {
        const double bits = number ? *number : inLocale;
        if (bits > 0 && bits <= 64)
            return Budget{.fileBytes = std::nullopt, .bitsPerWeight = bits};
        return std::nullopt;
    }
    // A comma is a decimal sign only if there is no point as well.
    if (plain.find('.') == std::string::npos) {
        const auto comma = plain.find(',');
        if (comma != std::string::npos)
            plain[comma] = '.';
    }
    const std::optional<std::int64_t> bytes = parseBytes(plain);
    if (!bytes || *bytes <= 0)
        return std::nullopt;
    return Budget{.fileBytes = bytes, .bitsPerWeight = std::nullopt};
}

} // namespace

std::optional<Budget> parseBudget(const QString& text)
{
    const QStringList parts = text.split(QLatin1Char('+'));
    if (parts.size() != 2)
        return parseOne(text);
    const auto first = parseOne(parts[0]);
    const auto second = parseOne(parts[1]);
    if (!first || !second || first->fileBytes.has_value() == second->fileBytes.has_value())
        return std::nullopt;
    return Budget{.fileBytes = first->fileBytes ? first->fileBytes : second->fileBytes,
                  .bitsPerWeight = first->bitsPerWeight ? first->bitsPerWeight : second->bitsPerWeight};
}

QString printBudget(const Budget& budget)
{
    std::vector<std::string> parts;
    if (budget.fileBytes)
        parts.push_back(formatDouble(static_cast<double>(*budget.fileBytes) / 1e6) + " MB");
    if (budget.bitsPerWeight)
        parts.push_back(formatDouble(*budget.bitsPerWeight) + " bpw");
    return toQString(std::string_view(join(parts, " + ")));
}

QString budgetText(const Budget& budget)
{
    QString text = printBudget(budget);
    return text.replace(QLatin1Char('.'), QLocale().decimalPoint());
}

} // namespace ql::views
