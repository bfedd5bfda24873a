// SPDX-License-Identifier: GPL-3.0-or-later
// Renders a JSON document as text for people: scalars as "key: value", arrays of objects as aligned tables, long arrays
// of numbers by their length.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace ql::cli {

std::string renderText(const nlohmann::ordered_json& document);

} // namespace ql::cli
