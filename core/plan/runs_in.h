// SPDX-License-Identifier: GPL-3.0-or-later
// Where candidates run: the targets asked, layer by layer.
#pragma once

#include "core/plan/target.h"

#include <span>

namespace ql {

/// The targets that take the model and hold the candidate, completed by each, in this layer.
std::vector<const TargetProfile*> runsIn(const Model& model, const Layer& layer, const Candidate& candidate,
                                         std::span<const TargetProfile* const> targets);

/// Schemes to choose from, of one target: those of its own menu, then those of `also` and of exampleSchemes() that it
/// takes, each as the target completes it. A scheme belongs to the first target that takes it.
struct SchemeGroup {
    const TargetProfile* target = nullptr;
    std::vector<Scheme> schemes;
    /// "runs in compressed-tensors", "research (stored in hdf5 only)".
    std::string title() const;
};
std::vector<SchemeGroup> schemeGroups(const Model& model, const Layer& layer,
                                      std::span<const TargetProfile* const> targets, std::span<const Scheme> also = {});

/// The scheme as it stands in those groups: completed by the first target that takes it.
Scheme asGrouped(const Model& model, const Layer& layer, const Scheme& scheme,
                 std::span<const TargetProfile* const> targets);

} // namespace ql
