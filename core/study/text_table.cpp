// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/study/text_table.h"

#include "core/base/text.h"

namespace ql {

namespace {

std::string escaped(std::string_view field)
{
    std::string text;
    for (const char c : field)
        text += c == '\t' ? "%09" : c == '\n' ? "%0a" : c == '%' ? "%25" : std::string(1, c);
    return text;
}

std::string unescaped(std::string_view text)
{
    std::string field;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const std::string_view code = text.substr(i, 3);
        const char meant = code == "%09" ? '\t' : code == "%0a" ? '\n' : code == "%25" ? '%' : '\0';
        field += meant != '\0' ? meant : text[i];
        i += meant != '\0' ? 2 : 0;
    }
    return field;
}

} // namespace

std::string printTable(const TextTable& rows)
{
    std::string text;
    for (const auto& row : rows) {
        for (std::size_t i = 0; i < row.size(); ++i)
            text += (i > 0 ? "\t" : "") + escaped(row[i]);
        text += '\n';
    }
    return text;
}

Result<TextTable> parseTable(std::string_view text, std::size_t columns)
{
    TextTable rows;
    if (text.empty())
        return rows;
    if (text.back() != '\n')
        return badInput("holds a table that is cut off");
    for (const std::string_view line : split(text.substr(0, text.size() - 1), '\n')) {
        std::vector<std::string> row;
        for (const std::string_view field : split(line, '\t'))
            row.push_back(unescaped(field));
        if (row.size() != columns)
            return badInput("holds a table with rows of another length");
        rows.push_back(std::move(row));
    }
    return rows;
}

} // namespace ql
