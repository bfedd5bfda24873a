// SPDX-License-Identifier: GPL-3.0-or-later
// What the families share when they build a format.
#pragma once

#include "core/formats/number_format.h"

namespace ql {

/// Fills grid and maxLevel from levels and makes the format immutable.
NumberFormatPtr finishFormat(NumberFormat format);

} // namespace ql
