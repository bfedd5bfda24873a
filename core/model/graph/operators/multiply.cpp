// SPDX-License-Identifier: GPL-3.0-or-later
// y = a · b, with NumPy's broadcasting.
#include "core/model/graph/broadcast.h"

namespace ql::graph {

namespace {

template<typename T>
Result<void> forward(Call<T>& call)
{
    return forwardBroadcast(call, [](T a, T b) { return a * b; });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    return gradientBroadcast(
        call, []([[maybe_unused]] T a, [[maybe_unused]] T b) { return b; },
        []([[maybe_unused]] T a, [[maybe_unused]] T b) { return a; });
}

} // namespace

QL_OPERATOR(multiply, "Multiply")

} // namespace ql::graph
