// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/layer_choice.h"

#include "core/base/text.h"

#include <algorithm>

namespace ql {

bool isMeant(const Layer& layer, std::string_view words)
{
    return layer.role == words || globMatch(words, layer.name) ||
           std::ranges::any_of(layer.aliases, [&](const std::string& alias) { return globMatch(words, alias); });
}

std::vector<std::int64_t> layersMeant(const Model& model, std::span<const std::int64_t> layers, std::string_view words)
{
    std::vector<std::int64_t> found;
    std::ranges::copy_if(layers, std::back_inserter(found), [&](std::int64_t layer) {
        return isMeant(model.layers[static_cast<std::size_t>(layer)], words);
    });
    return found;
}

} // namespace ql
