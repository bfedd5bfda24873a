// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/text.h"
#include "views/document/document.h"
#include "views/text/format.h"

#include <QLocale>

namespace ql::views {

std::optional<Budget> parseBudget(const QString& text)
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

QString printBudget(const Budget& budget)
{
    if (budget.fileBytes)
        return toQString(std::string_view(formatDouble(static_cast<double>(*budget.fileBytes) / 1e6) + " MB"));
    if (budget.bitsPerWeight)
        return toQString(std::string_view(formatDouble(*budget.bitsPerWeight) + " bpw"));
    return {};
}

QString budgetText(const Budget& budget)
{
    QString text = printBudget(budget);
    return text.replace(QLatin1Char('.'), QLocale().decimalPoint());
}

} // namespace ql::views
