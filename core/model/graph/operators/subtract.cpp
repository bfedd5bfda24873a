// SPDX-License-Identifier: GPL-3.0-or-later
// y = a − b, with NumPy's broadcasting.
#include "core/model/graph/broadcast.h"
#include "core/model/graph/row_kernels.h"

#include <cmath>

namespace ql::graph {

namespace {

template<typename T>
Result<void> forward(Call<T>& call)
{
    return forwardBroadcast(call, Minus());
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    return gradientBroadcast(
        call, [](T, T) { return T{1}; }, [](T, T) { return T{-1}; });
}

} // namespace

QL_OPERATOR(subtract, "Subtract", .required = 2, .kinds = "e")

} // namespace ql::graph
