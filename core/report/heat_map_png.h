// SPDX-License-Identifier: GPL-3.0-or-later
// An outlier heat map as PNG: one pixel shows the largest |x| of the elements it covers, so no outlier disappears.
// Logarithmic colours from absmax/1000 (dark) to absmax (light), the viridis map in 16 steps of interpolation.
#pragma once

#include "core/analysis/outliers.h"

#include <string>

namespace ql {

/// PNG bytes of at most maxWidth × maxHeight pixels.
Result<std::string> heatMapPng(const OutlierPyramid& pyramid, int maxWidth, int maxHeight);

/// Base64 of bytes, for data: URLs.
std::string base64(std::string_view bytes);

} // namespace ql
