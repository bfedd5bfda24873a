// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/export/text_sink.h"

#include <nlohmann/json.hpp>

namespace ql {

std::string jsonString(std::string_view text)
{
    return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

} // namespace ql
