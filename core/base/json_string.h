// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <string_view>

namespace ql {

/// The text as a JSON string with its quotes. Valid UTF-8 is left as it is; names from GGUF files need not be UTF-8,
/// JSON strings must: other bytes become U+FFFD.
std::string jsonString(std::string_view text);

} // namespace ql
