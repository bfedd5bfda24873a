// SPDX-License-Identifier: GPL-3.0-or-later
// Runs a check under every vector target compiled in and supported by this machine.
#pragma once

#include <hwy/targets.h>

#include <cstdint>
#include <string>

namespace ql::test {

/// body(name of the target); run-time dispatch is back to normal afterwards.
template<typename Body>
void forEachVectorTarget(const Body& body)
{
    for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
        hwy::SetSupportedTargetsForTest(target);
        body(std::string(hwy::TargetName(target)));
        hwy::SetSupportedTargetsForTest(0);
    }
}

} // namespace ql::test
