// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/json_string.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace ql {

namespace {

/// Printable ASCII, which JSON takes as it is but for two signs.
bool isPlain(std::string_view text)
{
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f && c != '"' && c != '\\'; });
}

} // namespace

std::string jsonString(std::string_view text)
{
    if (isPlain(text)) // many and often: a JSON value for each would cost more than the rest of a plan's text
        return '"' + std::string(text) + '"';
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

} // namespace ql
