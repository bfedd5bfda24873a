// SPDX-License-Identifier: GPL-3.0-or-later
// Reorders the axes of an array, tile by tile, so that both sides are read and written in runs.
#pragma once

#include "core/jobs/job_context.h"
#include "core/tensor/tensor_view.h"

#include <span>

namespace ql {

/// Axis d of `out` is axis axes[d] of `in`, a row-major array of the given shape with elements of that many bytes; the
/// two do not overlap and may be unaligned. Parallel; the error is cancelled after a stop request.
Result<void> permuteAxes(const std::byte* in, const Shape& shape, std::span<const std::int64_t> axes,
                         std::int64_t elementBytes, std::byte* out, const JobContext& context);

} // namespace ql
