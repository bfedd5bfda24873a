// SPDX-License-Identifier: GPL-3.0-or-later
// What assistive technology sees of the bars: a slider whose value is the bits of the current layer.
#pragma once

namespace ql::views {

/// Makes the bars known to QAccessible; calling it again does nothing.
void installBitBarsAccessibility();

} // namespace ql::views
