// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/frontends/layer_roles.h"

#include "core/base/text.h"

#include <algorithm>
#include <array>

namespace ql {

namespace {

std::int64_t expertOf(std::string_view name)
{
    if (name.find("shared_expert") != std::string_view::npos || name.find("_shexp.") != std::string_view::npos)
        return LayerPlace::kShared;
    if (name.find("_exps.") != std::string_view::npos)
        return LayerPlace::kStack;
    constexpr std::string_view kExperts = ".experts.";
    const auto at = name.find(kExperts);
    if (at == std::string_view::npos)
        return LayerPlace::kPlain;
    const std::string_view rest = name.substr(at + kExperts.size());
    return parseInt(rest.substr(0, rest.find('.'))).value_or(LayerPlace::kStack);
}

} // namespace

LayerPlace LayerPlace::of(const Layer& layer)
{
    return {layer.block, expertOf(layer.name)};
}

LayerRoles::LayerRoles(const Model& model)
{
    for (std::size_t i = 0; i < model.layers.size(); ++i) {
        const Layer& layer = model.layers[i];
        if (!layer.role.empty() && !isBeside(layer))
            m_layers.try_emplace({LayerPlace::of(layer), layer.role}, static_cast<std::int64_t>(i));
    }
}

std::int64_t LayerRoles::find(const LayerPlace& place, std::string_view role) const
{
    const auto found = m_layers.find({place, role});
    return found == m_layers.end() ? -1 : found->second;
}

bool LayerRoles::isBeside(const Layer& layer)
{
    static constexpr std::array<std::string_view, 4> kWords{"vision_", "visual.", "multi_modal_projector", "audio_"};
    return std::ranges::any_of(kWords,
                               [&](std::string_view word) { return layer.name.find(word) != std::string::npos; });
}

} // namespace ql
