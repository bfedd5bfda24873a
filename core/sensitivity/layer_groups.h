// SPDX-License-Identifier: GPL-3.0-or-later
// Layers that are measured or decided as one: those of a role, of a block, or of a pattern.
#pragma once

#include "core/model/model.h"

namespace ql {

struct LayerGroup {
    std::string name; // "down_proj", "block 3", or the pattern
    std::vector<std::int64_t> layers;
};

/// What a word says of these layers: `role`, a group of each role (a layer without one is alone); `block`, a group of
/// each block (those outside of blocks by their roles); else a role, or a name or glob, one group. Groups stand in the
/// order of their first layers. An error where there is none.
Result<std::vector<LayerGroup>> layerGroups(const Model& model, std::span<const std::int64_t> layers,
                                            std::string_view word);

} // namespace ql
