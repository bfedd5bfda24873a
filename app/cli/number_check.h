// SPDX-License-Identifier: GPL-3.0-or-later
// Bounds of numbers on the command line.
#pragma once

#include "core/base/text.h"

#include <CLI/Validators.hpp>

namespace ql::cli {

/// Refuses numbers below the bound, or at it, and NaN.
inline CLI::Validator above(double bound)
{
    return {[bound](const std::string& text) {
                const auto number = parseDouble(text);
                return number && *number > bound ? std::string() : text + " is not above " + formatDouble(bound);
            },
            "> " + formatDouble(bound)};
}
inline CLI::Validator atLeast(double bound)
{
    return {[bound](const std::string& text) {
                const auto number = parseDouble(text);
                return number && *number >= bound ? std::string()
                                                  : text + " is not " + formatDouble(bound) + " or more";
            },
            ">= " + formatDouble(bound)};
}

} // namespace ql::cli
