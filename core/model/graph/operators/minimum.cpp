// SPDX-License-Identifier: GPL-3.0-or-later
// y = min(a, b), with NumPy's broadcasting; of equals the gradient goes to a.
#include "core/model/graph/broadcast.h"

#include <cmath>

namespace ql::graph {

namespace {

template<typename T>
Result<void> forward(Call<T>& call)
{
    return forwardBroadcast(call, [](auto a, auto b) { return b < a ? b : a; });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    return gradientBroadcast(
        call, [](T a, T b) { return b < a ? T{0} : T{1}; }, [](T a, T b) { return b < a ? T{1} : T{0}; });
}

} // namespace

QL_OPERATOR(minimum, "Minimum", .required = 2, .kinds = "e")

} // namespace ql::graph
