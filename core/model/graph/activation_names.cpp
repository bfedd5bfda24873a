// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/graph/activation_names.h"

#include "core/model/graph/operator.h"

#include <array>
#include <utility>

namespace ql::graph {

std::optional<Activation> activationFromName(std::string_view name)
{
    using enum Activation;
    static constexpr std::array<std::pair<std::string_view, Activation>, 16> kNames{{
        {"relu", relu},
        {"silu", silu},
        {"swish", silu},
        {"gelu", gelu},
        {"gelu_python", gelu},
        {"gelu_new", geluTanh},
        {"gelu_fast", geluTanh},
        {"gelu_tanh", geluTanh},
        {"gelu_pytorch_tanh", geluTanh},
        {"sigmoid", sigmoid},
        {"tanh", tanh},
        {"quick_gelu", quickGelu},
        {"relu2", relu2},
        {"squared_relu", relu2},
        {"softplus", softplus},
        {"exp", exp},
    }};
    for (const auto& [known, function] : kNames)
        if (known == name)
            return function;
    return std::nullopt;
}

Result<Activation> activationOf(const Node& node)
{
    const std::string_view name = node.text("function", "");
    const auto function = activationFromName(name);
    if (!function)
        return nodeError(node, "there is no activation function '" + std::string(name) + "'");
    return *function;
}

} // namespace ql::graph
