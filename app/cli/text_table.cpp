// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/text_table.h"

#include "core/base/text.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <vector>

namespace ql::cli {

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kLongArray = 16;

std::string cell(const Json& value)
{
    if (value.is_null())
        return "–";
    if (value.is_string())
        return printable(value.get<std::string>());
    if (value.is_boolean())
        return value.get<bool>() ? "yes" : "no";
    if (value.is_number_float())
        return formatSignificant(value.get<double>(), 6);
    if (value.is_number())
        return value.dump();
    if (value.empty())
        return "none";
    if (value.is_array()) {
        if (value.size() > kLongArray)
            return "(" + std::to_string(value.size()) + " values; see --json)";
        std::vector<std::string> parts;
        for (const Json& part : value)
            parts.push_back(cell(part));
        return join(parts, value.front().is_number_integer() ? "×" : ", ");
    }
    std::vector<std::string> parts;
    for (const auto& [key, part] : value.items())
        parts.push_back(key + "=" + cell(part));
    return join(parts, " ");
}

/// Number of characters shown, for valid UTF-8.
std::size_t width(const std::string& text)
{
    return static_cast<std::size_t>(std::count_if(
        text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80; }));
}

std::string table(const Json& rows)
{
    std::vector<std::string> keys;
    for (const Json& row : rows)
        for (const auto& item : row.items())
            if (std::find(keys.begin(), keys.end(), item.key()) == keys.end())
                keys.push_back(item.key());

    std::vector<std::vector<std::string>> cells{keys};
    std::vector<bool> right(keys.size(), true);
    for (const Json& row : rows) {
        std::vector<std::string> line;
        for (std::size_t k = 0; k < keys.size(); ++k) {
            const bool has = row.contains(keys[k]);
            line.push_back(has ? cell(row[keys[k]]) : "");
            if (has && !row[keys[k]].is_number() && !row[keys[k]].is_null())
                right[k] = false;
        }
        cells.push_back(std::move(line));
    }
    std::vector<std::size_t> widths(keys.size(), 0);
    for (const auto& line : cells)
        for (std::size_t k = 0; k < line.size(); ++k)
            widths[k] = std::max(widths[k], width(line[k]));

    std::string text;
    for (const auto& line : cells) {
        std::string row;
        for (std::size_t k = 0; k < line.size(); ++k) {
            const std::string pad(widths[k] - width(line[k]), ' ');
            row += (k > 0 ? "  " : "") + (right[k] ? pad + line[k] : line[k] + pad);
        }
        row.erase(row.find_last_not_of(' ') + 1);
        text += row + "\n";
    }
    return text;
}

bool isTable(const Json& value)
{
    return value.is_array() && !value.empty() && value.front().is_object();
}

/// One row of an object; of an object of objects a row for each member.
Json rowsOf(const Json& object)
{
    if (std::none_of(object.begin(), object.end(), [](const Json& member) { return member.is_object(); }))
        return Json::array({object});
    Json rows = Json::array();
    for (const auto& [key, member] : object.items()) {
        Json row{{"figure", key}};
        row.update(member.is_object() ? member : Json{{"value", member}});
        rows.push_back(std::move(row));
    }
    return rows;
}

} // namespace

std::string renderText(const Json& document)
{
    if (!document.is_object())
        return isTable(document) ? table(document) : cell(document) + "\n";
    std::string text;
    for (const auto& [key, value] : document.items()) {
        if (isTable(value))
            text += (text.empty() ? "" : "\n") + table(value);
        else if (value.is_object() && !value.empty())
            text += key + ":\n" + table(rowsOf(value));
        else
            text += key + ": " + cell(value) + "\n";
    }
    return text;
}

} // namespace ql::cli
