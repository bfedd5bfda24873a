// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/layer_groups.h"

#include "core/base/text.h"
#include "core/model/layer_choice.h"

#include <algorithm>

namespace ql {

namespace {

std::string groupOf(const Layer& layer, std::string_view word)
{
    const std::string& role = layer.role.empty() ? layer.name : layer.role;
    if (word == "role")
        return role;
    if (word == "block")
        return layer.block < 0 ? role : "block " + std::to_string(layer.block);
    return isMeant(layer, word) ? std::string(word) : std::string();
}

} // namespace

Result<std::vector<LayerGroup>> layerGroups(const Model& model, std::span<const std::int64_t> layers,
                                            std::string_view word)
{
    std::vector<LayerGroup> groups;
    for (const std::int64_t layer : layers) {
        const std::string name = groupOf(model.layers[static_cast<std::size_t>(layer)], word);
        if (name.empty())
            continue;
        auto found = std::ranges::find(groups, name, &LayerGroup::name);
        if (found == groups.end())
            found = groups.insert(groups.end(), {.name = name, .layers = {}});
        found->layers.push_back(layer);
    }
    if (groups.empty())
        return usageError("none of the layers is of the group '" + printable(word) +
                          "'; give role, block, a role (down_proj) or a name, in which * stands for any characters");
    return groups;
}

} // namespace ql
