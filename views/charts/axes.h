// SPDX-License-Identifier: GPL-3.0-or-later
// Axes as people read them: ticks at round numbers.
#pragma once

class QLogValueAxis;
class QValueAxis;

namespace ql::views {

/// 1, 2 or 5 times a power of ten, such that a range has about so many steps; 1 for a range that is not positive.
double roundStep(double range, int steps);
/// Shows [low, high] with ticks at multiples of a round step; a range of no width is widened.
void setRoundTicks(QValueAxis& axis, double low, double high, int steps);
/// Shows [low, high] with a tick per power of ten, written out (1000) while that is short.
void setPowerTicks(QLogValueAxis& axis, double low, double high);

} // namespace ql::views
