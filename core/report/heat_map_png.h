// SPDX-License-Identifier: GPL-3.0-or-later
// Heat maps as PNG, in the colours of the viridis map. Of outliers: one pixel shows the largest |x| of the elements it
// covers, so no outlier disappears; logarithmic colours from absmax/1000 (dark) to absmax (light). Of a grid of values:
// linear colours from the least (dark) to the largest (light).
#pragma once

#include "core/analysis/outliers.h"

#include <span>
#include <string>

namespace ql {

/// PNG bytes of at most maxWidth × maxHeight pixels.
Result<std::string> heatMapPng(const OutlierPyramid& pyramid, int maxWidth, int maxHeight);

/// PNG bytes of values[rows, cols], each a square of `cell` pixels; NaN and infinities are dark.
Result<std::string> gridPng(std::span<const double> values, std::int64_t rows, std::int64_t cols, std::int64_t cell);

/// Base64 of bytes, for data: URLs.
std::string base64(std::string_view bytes);

} // namespace ql
