// SPDX-License-Identifier: GPL-3.0-or-later
// Text without locale: the only place where core parses and prints numbers. Doubles print shortest and read back
// exactly; NaN and infinities are spelled nan, inf, -inf.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ql {

/// Parses the whole text as a number; nothing if any character is left over.
std::optional<double> parseDouble(std::string_view text);
std::optional<std::int64_t> parseInt(std::string_view text);
/// Parses a byte count with an optional unit: 90MB, 1.5GiB, 1024, 12kB. MB = 10⁶, MiB = 2²⁰.
std::optional<std::int64_t> parseBytes(std::string_view text);

/// Shortest decimal that reads back as the same double.
std::string formatDouble(double value);
/// Fixed number of decimals: formatFixed(3.14159, 2) = "3.14".
std::string formatFixed(double value, int decimals);
/// Significant digits, general notation: formatSignificant(0.00123456, 3) = "0.00123".
std::string formatSignificant(double value, int digits);
/// Decimal units: "88.1 MB".
std::string formatBytes(std::int64_t bytes);

std::vector<std::string_view> split(std::string_view text, char separator);
std::string_view trim(std::string_view text);
std::string toLower(std::string_view text);
std::string join(const std::vector<std::string>& parts, std::string_view separator);
/// Shell-like match of the whole name: * any run, ? one character, [abc] one of a set. Linear memory, no recursion.
bool globMatch(std::string_view pattern, std::string_view name);
/// Replaces bytes that are not valid UTF-8 by U+FFFD and control characters by spaces, for names from strangers' files.
std::string printable(std::string_view text);

} // namespace ql
