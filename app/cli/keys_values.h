// SPDX-License-Identifier: GPL-3.0-or-later
// --kv SCHEME, also in llama.cpp's own words for the types of its cache.
#pragma once

#include "core/formats/activation_scheme.h"

#include <string>

namespace ql::cli {

inline Result<ActivationScheme> parseKeysValues(const std::string& text)
{
    const bool isBare = text.starts_with("q") && text.find('_') != std::string::npos;
    return parseActivationScheme((isBare ? "gguf:" : "") + text);
}

} // namespace ql::cli
