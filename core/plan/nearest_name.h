// SPDX-License-Identifier: GPL-3.0-or-later
// The name a misspelled one was probably meant to be: least Levenshtein distance, the first of equals. O(names ·
// length²).
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace ql {

/// The nearest name, or empty if even that one differs in more than a third of the given word.
std::string nearestName(std::string_view word, std::span<const std::string> names);

} // namespace ql
