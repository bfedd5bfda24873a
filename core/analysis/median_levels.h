// SPDX-License-Identifier: GPL-3.0-or-later
// Where the levels of a number format lie among the weights they code.
#pragma once

#include "core/formats/quantized_tensor.h"

namespace ql {

/// Levels of one code at the median magnitude of the tensor's scales, with the median of its zero points or minima:
/// (level − z)·|s| or level·|s| + m, ascending. Of packed schemes the scales of the elements of at most 4096 blocks.
/// Empty where nothing is scaled (casts) or no code is of one weight.
std::vector<double> medianLevels(const QuantizedTensor& quantized);

} // namespace ql
