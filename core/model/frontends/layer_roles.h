// SPDX-License-Identifier: GPL-3.0-or-later
// Layers found by block and role, whatever the checkpoint calls them.
#pragma once

#include "core/model/model.h"

#include <tuple>

namespace ql {

/// Where in a block a layer is: outside of any experts, in the shared expert, in expert n, or a stack of all experts.
struct LayerPlace {
    static constexpr std::int64_t kPlain = -1, kShared = -2, kStack = -3;
    std::int64_t block = -1; // −1: outside the blocks
    std::int64_t expert = kPlain;
    auto operator<=>(const LayerPlace&) const = default;
    /// By block and name: "….experts.3.…" is expert 3, "….experts.…" and "…_exps.…" the stack.
    static LayerPlace of(const Layer& layer);
};

class LayerRoles {
public:
    explicit LayerRoles(const Model& model);
    /// The layer of that role ("q_proj", "q_proj_bias"), or −1.
    std::int64_t find(const LayerPlace& place, std::string_view role) const;
    /// Whether a layer belongs to something beside the language model: a vision tower, …
    static bool isBeside(const Layer& layer);

private:
    std::map<std::pair<LayerPlace, std::string_view>, std::int64_t> m_layers;
};

} // namespace ql
