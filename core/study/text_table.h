// SPDX-License-Identifier: GPL-3.0-or-later
// Rows of texts as one text: fields separated by tabs, rows ended by line feeds; tab, line feed and % inside a field
// are written as %09, %0a, %25. Any bytes come back.
#pragma once

#include "core/base/result.h"

#include <string>
#include <string_view>
#include <vector>

namespace ql {

using TextTable = std::vector<std::vector<std::string>>;

std::string printTable(const TextTable& rows);
/// An error unless every row has `columns` fields.
Result<TextTable> parseTable(std::string_view text, std::size_t columns);

} // namespace ql
