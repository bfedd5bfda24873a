// SPDX-License-Identifier: GPL-3.0-or-later
// What the JSON of every analysis begins with.
#pragma once

#include "core/model/model.h"

#include <nlohmann/json.hpp>

namespace ql {

inline nlohmann::ordered_json layerJson(const Layer& layer)
{
    nlohmann::ordered_json json;
    json["layer"] = layer.name;
    json["shape"] = layer.shape;
    json["dtype"] = std::string(info(layer.dtype).word);
    return json;
}

/// Undefined numbers become null; bytes of names that are not UTF-8 are replaced.
inline std::string jsonText(const nlohmann::ordered_json& json)
{
    return json.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

} // namespace ql
