// SPDX-License-Identifier: GPL-3.0-or-later
// y = aᵇ, with NumPy's broadcasting; of integers cut towards zero. The gradient of b is 0 where a ≤ 0.
#include "core/model/graph/broadcast.h"

#include <cmath>

namespace ql::graph {

namespace {

template<typename T>
Result<void> forward(Call<T>& call)
{
    return forwardBroadcast(call, [](auto a, auto b) { return std::pow(a, b); });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    return gradientBroadcast(
        call, [](T a, T b) { return b * std::pow(a, b - 1); },
        [](T a, T b) { return a > 0 ? std::pow(a, b) * std::log(a) : T{0}; });
}

} // namespace

QL_OPERATOR(power, "Power", .required = 2)

} // namespace ql::graph
