// SPDX-License-Identifier: GPL-3.0-or-later
// What the families share when they build a format.
#pragma once

#include "core/formats/number_format.h"

#include <optional>

namespace ql {

/// Fills grid and maxLevel from levels and makes the format immutable.
NumberFormatPtr finishFormat(NumberFormat format);

/// A codebook with these levels, by code, in as few bits as number them.
NumberFormat codebookOf(std::string_view id, std::string title, std::string source, std::vector<float> levels);

/// "name7" of a name and a whole number without sign or leading zero; nothing for others.
std::optional<int> numberAfter(std::string_view text, std::string_view name);

} // namespace ql
