// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/fused_layers.h"

namespace ql {

std::string fusedProduct(const Layer& layer)
{
    if (layer.op != Operator::linear)
        return {};
    const bool attention = layer.role == "q_proj" || layer.role == "k_proj" || layer.role == "v_proj";
    const bool gated = layer.role == "gate_proj" || layer.role == "up_proj";
    if (!attention && !gated)
        return {};
    const std::string module = layer.name.substr(0, layer.name.rfind(".weight"));
    return module.substr(0, module.rfind('.') + 1) + (attention ? "qkv" : "gate_up");
}

std::vector<std::int64_t> fusedWith(const Model& model, std::int64_t layer)
{
    std::vector<std::int64_t> others;
    const std::string product = fusedProduct(model.layers[static_cast<std::size_t>(layer)]);
    if (product.empty())
        return others;
    for (std::size_t i = 0; i < model.layers.size(); ++i) {
        const auto other = static_cast<std::int64_t>(i);
        if (other != layer && model.layers[i].quantizable && fusedProduct(model.layers[i]) == product)
            others.push_back(other);
    }
    return others;
}

} // namespace ql
