// SPDX-License-Identifier: GPL-3.0-or-later
// The config.json beside weights, taken only if it is harmless to parse.
#pragma once

#include "core/base/result.h"

#include <filesystem>
#include <string_view>

namespace ql {

/// Whether the text is a JSON object of at most 64 levels.
bool isHarmlessObject(std::string_view text);

/// Text of folder/config.json if it is a JSON object of at most 4 MiB and 64 levels; otherwise empty, with a warning
/// unless there is none.
std::string readConfigJson(const std::filesystem::path& folder, std::vector<Warning>& warnings);

} // namespace ql
