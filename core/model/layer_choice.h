// SPDX-License-Identifier: GPL-3.0-or-later
// Layers as a user names them: by a role, or by a name, in which * stands for any characters, be it the layer's own or
// one of its aliases. Pure and thread-safe.
#pragma once

#include "core/model/model.h"

namespace ql {

bool isMeant(const Layer& layer, std::string_view words);

/// Those of the layers that are meant, in their order; may be none.
std::vector<std::int64_t> layersMeant(const Model& model, std::span<const std::int64_t> layers, std::string_view words);

} // namespace ql
