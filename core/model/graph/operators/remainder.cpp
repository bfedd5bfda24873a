// SPDX-License-Identifier: GPL-3.0-or-later
// What a division a / b leaves, with NumPy's broadcasting: of the sign of b (Python's %), or with `truncated` = 1 of
// the sign of a (C's %).
#include "core/model/graph/broadcast.h"

#include <cmath>

namespace ql::graph {

namespace {

struct Remainder {
    bool truncated = false;
    template<typename T>
    T operator()(T a, T b) const
    {
        T rest = 0;
        if constexpr (std::is_integral_v<T>)
            rest = b == -1 ? 0 : a % b; // the least integer by −1 is no integer
        else
            rest = std::fmod(a, b);
        return !truncated && rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
    }
};

template<typename C>
Remainder remainderOf(const C& call)
{
    return {call.node.integer("truncated", 0) != 0};
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_CHECK(checkDivisor(call));
    return forwardBroadcast(call, remainderOf(call));
}

/// r = a − q·b with an integer q.
template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    const Remainder remainder = remainderOf(call);
    return gradientBroadcast(
        call, []([[maybe_unused]] T a, [[maybe_unused]] T b) { return T{1}; },
        [remainder](T a, T b) { return (remainder(a, b) - a) / b; });
}

} // namespace

QL_OPERATOR(remainder, "Remainder", .required = 2, .kinds = "e")

} // namespace ql::graph
