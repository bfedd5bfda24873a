// SPDX-License-Identifier: GPL-3.0-or-later
// Between core's UTF-8 text and Qt's, and numbers for people in the user's locale with units.
#pragma once

#include "core/base/result.h"

#include <QString>

#include <filesystem>
#include <string>
#include <string_view>

namespace ql::views {

QString toQString(std::string_view text);
QString pathText(const std::filesystem::path& path);
std::filesystem::path toPath(const QString& text);

/// "88.1 MB"; decimal units.
QString bytesText(std::int64_t bytes);
/// Significant digits: 0.00123, 1.23e-07, "—" for NaN.
QString numberText(double value, int digits = 3);
/// Fixed decimals, "—" for NaN, "∞".
QString fixedText(double value, int decimals);
/// 134 515 008 with the locale's grouping.
QString countText(std::int64_t value);
/// "12.3 M" parameters, short.
QString shortCountText(std::int64_t value);
/// A fraction as percent: "0.031 %".
QString percentText(double fraction);
/// A value with its standard error: "15.123 ± 0.2", "80 % ± 2.1 %".
QString withErrorText(double value, double error, int decimals);
QString percentWithErrorText(double fraction, double error);
/// A difference: the number's text with a plus sign unless it has a minus sign or is no number.
QString signedText(const QString& number);
/// "3 s", "2 min 05 s".
QString durationText(double seconds);
/// The error as a sentence for people.
QString errorText(const Error& error);

} // namespace ql::views
