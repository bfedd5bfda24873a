// SPDX-License-Identifier: GPL-3.0-or-later
// The scheme of keys and values in memory, also in llama.cpp's own words for the types of its cache: q8_0, q4_1.
#pragma once

#include "core/formats/activation_scheme.h"

#include <string>

namespace ql {

inline Result<ActivationScheme> parseKeysValues(const std::string& text)
{
    const bool isBare = text.starts_with("q") && text.find('_') != std::string::npos;
    return parseActivationScheme((isBare ? "gguf:" : "") + text);
}

} // namespace ql
