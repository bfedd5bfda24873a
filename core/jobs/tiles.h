// SPDX-License-Identifier: GPL-3.0-or-later
// Runs the tiles of core/base/linear_algebra.h on the pool of a job; a stop request ends them between two tiles.
#pragma once

#include "core/base/linear_algebra.h"
#include "core/jobs/parallel.h"

namespace ql {

/// Refers to the context, which outlives it.
inline TileRunner parallelTiles(const JobContext& context)
{
    return [&context](std::int64_t n, const std::function<void(std::int64_t)>& task) {
        return parallelFor(context, n, 1, [&](std::int64_t begin, std::int64_t) { task(begin); });
    };
}

} // namespace ql
