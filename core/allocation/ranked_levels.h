// SPDX-License-Identifier: GPL-3.0-or-later
// Two levels by rank: the most important parts get the high one, the k least important the low one.
// Source: Dumitru et al., Layer-Wise Quantization, arXiv 2406.17415.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace ql {

/// The least number k of `count` equal parts at the low level whose mean is at most meanBits:
/// k = ⌈count·(high − mean)/(high − low)⌉ within 0…count, low < high.
std::size_t lowCount(std::size_t count, double lowBits, double highBits, double meanBits);

/// By descending importance, the first of equals first.
std::vector<std::size_t> byImportance(std::span<const double> importance);

/// Whether each part gets the high level if the k least important get the low one.
std::vector<bool> highLevels(std::span<const double> importance, std::size_t k);

} // namespace ql
