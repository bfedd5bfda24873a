// SPDX-License-Identifier: GPL-3.0-or-later
// x as numbers of the kind `to`: "real", "integers" (cut towards zero) or "flags" (1 where not 0).
#include "core/model/graph/operator.h"

namespace ql::graph {

namespace {

template<typename T>
Result<void> forward(Call<T>& call)
{
    const std::string_view to = call.node.text("to", "");
    if (to != "real" && to != "integers" && to != "flags")
        return nodeError(call.node, "there is no kind of numbers '" + std::string(to) + "'");
    return forEitherKind(call, 0, [&](auto kind) {
        const auto& x = call.inputs[0]->*kind;
        if (to == "real")
            std::transform(x.data(), x.data() + x.numel(), call.make(0, x.shape()),
                           [](auto e) { return static_cast<T>(e); });
        else if (to == "integers")
            std::transform(x.data(), x.data() + x.numel(), call.makeIntegers(0, x.shape()),
                           [](auto e) { return static_cast<std::int64_t>(e); });
        else
            std::transform(x.data(), x.data() + x.numel(), call.makeIntegers(0, x.shape()),
                           [](auto e) { return e != 0 ? 1 : 0; });
        return Result<void>();
    });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    if (call.wants(0))
        call.inputGradients[0] = call.outputGradients[0];
    return {};
}

} // namespace

QL_OPERATOR(cast, "Cast", .kinds = "e")

} // namespace ql::graph
