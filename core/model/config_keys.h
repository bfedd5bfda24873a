// SPDX-License-Identifier: GPL-3.0-or-later
// Settings of models under their many names: one meaning, one line.
#pragma once

#include <array>
#include <string_view>

namespace ql {

struct ConfigKey {
    std::string_view name;                  // transformers' usual one; "a.b" is b inside the object a
    std::array<std::string_view, 4> others; // those of other families
    std::string_view gguf;                  // behind "<architecture>."
};

/// By any of its names but GGUF's; null if it is not listed.
const ConfigKey* findConfigKey(std::string_view name);

} // namespace ql
