// SPDX-License-Identifier: GPL-3.0-or-later
// What is said where a model computes NaN or infinity: figures made of that would be none.
#pragma once

#include "core/base/result.h"

namespace ql {

inline Error notFinite(const std::string& what)
{
    return badInput(what + " are not finite; look for NaN, infinite or very large weights (qloupe stats)");
}

} // namespace ql
