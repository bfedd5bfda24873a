// SPDX-License-Identifier: GPL-3.0-or-later
// The config.json beside weights, taken only if it is harmless to parse.
#pragma once

#include "core/base/result.h"

#include <filesystem>

namespace ql {

/// Text of folder/config.json if it is a JSON object of at most 4 MiB and 64 levels; otherwise empty, with a warning
/// unless there is none.
std::string readConfigJson(const std::filesystem::path& folder, std::vector<Warning>& warnings);

} // namespace ql
