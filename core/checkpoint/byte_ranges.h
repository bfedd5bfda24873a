// SPDX-License-Identifier: GPL-3.0-or-later
// Where tensors lie in a file, checked as a whole: two may share one range (a tied weight), but not overlap in part.
#pragma once

#include "core/checkpoint/checkpoint.h"

namespace ql {

/// Offset and size of every tensor lie in [begin, end); refuses partial overlaps, naming both tensors. Warns of shared
/// ranges and of bytes no tensor covers; gaps below `slackBytes` are alignment. O(n log n).
Result<void> checkByteRanges(std::span<const TensorInfo> tensors, std::int64_t begin, std::int64_t end,
                             std::int64_t slackBytes, const std::string& where, std::vector<Warning>& warnings);

} // namespace ql
