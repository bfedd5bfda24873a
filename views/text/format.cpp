// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/text/format.h"

#include <QCoreApplication>
#include <QLocale>

#include <array>
#include <cmath>

namespace ql::views {

namespace {

QString notANumber(double value)
{
    if (std::isnan(value))
        return QStringLiteral("—");
    return value > 0 ? QStringLiteral("∞") : QStringLiteral("−∞");
}

} // namespace

QString toQString(std::string_view text)
{
    return QString::fromUtf8(text.data(), static_cast<qsizetype>(text.size()));
}

QString pathText(const std::filesystem::path& path)
{
    return QString::fromStdString(path.string());
}

std::filesystem::path toPath(const QString& text)
{
    return {text.toStdString()};
}

QString bytesText(std::int64_t bytes)
{
    static constexpr std::array kUnits = {"B", "kB", "MB", "GB", "TB", "PB"};
    double value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (std::fabs(value) >= 999.95 && unit + 1 < kUnits.size()) {
        value /= 1000;
        ++unit;
    }
    const int decimals = unit == 0 || std::fabs(value) >= 99.95 ? (unit == 0 ? 0 : 1)
                         : std::fabs(value) < 9.995             ? 2
                                                                : 1;
    return QLocale().toString(value, 'f', decimals) + QChar(0xa0) + QLatin1String(kUnits[unit]);
}

QString numberText(double value, int digits)
{
    if (!std::isfinite(value))
        return notANumber(value);
    return QLocale().toString(value, 'g', digits);
}

QString fixedText(double value, int decimals)
{
    return std::isfinite(value) ? QLocale().toString(value, 'f', decimals) : notANumber(value);
}

QString countText(std::int64_t value)
{
    return QLocale().toString(static_cast<qlonglong>(value));
}

QString shortCountText(std::int64_t value)
{
    static constexpr std::array kUnits = {"", "k", "M", "G", "T"};
    double scaled = static_cast<double>(value);
    std::size_t unit = 0;
    while (std::fabs(scaled) >= 999.5 && unit + 1 < kUnits.size()) {
        scaled /= 1000;
        ++unit;
    }
    if (unit == 0)
        return countText(value);
    return QLocale().toString(scaled, 'g', 3) + QChar(0xa0) + QLatin1String(kUnits[unit]);
}

QString percentText(double fraction)
{
    if (!std::isfinite(fraction))
        return notANumber(fraction);
    return QLocale().toString(fraction * 100, 'g', 3) + QStringLiteral("\u00a0%");
}

QString withErrorText(double value, double error, int decimals)
{
    return QStringLiteral("%1 ± %2").arg(fixedText(value, decimals), numberText(error, 1));
}

QString percentWithErrorText(double fraction, double error)
{
    return QStringLiteral("%1 ± %2").arg(percentText(fraction),
                                         QLocale().toString(error * 100, 'g', 2) + QStringLiteral("\u00a0%"));
}

QString signedText(const QString& number)
{
    const bool hasSign = number.startsWith(QLocale().negativeSign()) || number.startsWith(QChar(0x2212));
    return hasSign || number == QStringLiteral("—") ? number : QLocale().positiveSign() + number;
}

QString durationText(double seconds)
{
    const auto whole = static_cast<int>(std::lround(seconds));
    if (whole < 60)
        return QCoreApplication::translate("Format", "%1 s").arg(whole);
    return QCoreApplication::translate("Format", "%1 min %2 s")
        .arg(whole / 60)
        .arg(whole % 60, 2, 10, QLatin1Char('0'));
}

QString errorText(const Error& error)
{
    return toQString(describe(error));
}

} // namespace ql::views
