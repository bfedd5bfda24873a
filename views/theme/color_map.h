// SPDX-License-Identifier: GPL-3.0-or-later
// Perceptually ordered colour maps as polynomials of degree 6 fitted to the published tables (viridis, inferno: Smith
// and van der Walt 2015; fit: M. Zucker, public domain); largest deviation about 2 % of a channel.
#pragma once

#include <QRgb>

namespace ql::views {

enum class ColorMap { viridis, inferno, grey };

/// Opaque colour for t in 0…1 (clamped).
QRgb colorAt(ColorMap map, double t);

} // namespace ql::views
