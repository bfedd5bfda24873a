// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/plan/shrunk_couplings.h"

#include "core/base/sum.h"

#include <cmath>

namespace ql {

std::vector<LayerCoupling> shrunk(std::vector<LayerCoupling> couplings)
{
    CompensatedSum beyondNoise;
    for (const LayerCoupling& coupling : couplings) {
        beyondNoise.add(coupling.loss * coupling.loss);
        beyondNoise.add(-coupling.standardError * coupling.standardError);
    }
    const double variance = beyondNoise.value() / static_cast<double>(couplings.size());
    if (!(variance > 0))
        return {};
    for (LayerCoupling& coupling : couplings) {
        const double kept = variance / (variance + coupling.standardError * coupling.standardError);
        coupling.loss *= kept;
        coupling.standardError *= std::sqrt(kept);
    }
    return couplings;
}

} // namespace ql
