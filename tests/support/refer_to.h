// SPDX-License-Identifier: GPL-3.0-or-later
// Weights that a test keeps itself, for a version.
#pragma once

#include "core/model/graph/run.h"

#include <memory>

namespace ql::test {

inline std::shared_ptr<const graph::WeightSource> referTo(const graph::WeightSource& weights)
{
    return {std::shared_ptr<const void>(), &weights};
}

} // namespace ql::test
