// SPDX-License-Identifier: GPL-3.0-or-later
// How often the experts of a mixture were seen: what is known of an expert that few tokens went to is worth little, and
// of one that none went to nothing is known.
#pragma once

#include "core/calibration/activations.h"

namespace ql {

/// Of one block.
struct ExpertCoverage {
    std::int64_t block = -1;
    std::int64_t tokens = 0;           // that the router had; 0: not known
    std::vector<std::int64_t> experts; // of them, those that went to each

    /// Share of the router's tokens, 0…1; NaN where they are not known.
    double share(std::size_t expert) const;
    /// Less than a tenth of what each expert would get if all got the same.
    bool isFew(std::size_t expert) const;
};

/// Of the blocks with experts of which something is known; nothing of activations that do not say what they saw.
std::vector<ExpertCoverage> expertCoverage(const Activations& activations, const Model& model);
/// Of the block of that number; nothing if it has no experts or nothing is known.
std::optional<ExpertCoverage> expertCoverage(const Activations& activations, const Model& model, std::int64_t block);

/// A warning for each block with experts that saw no tokens, or few, which names them.
std::vector<Warning> coverageWarnings(const std::vector<ExpertCoverage>& coverage);

} // namespace ql
