// SPDX-License-Identifier: GPL-3.0-or-later
// y = a · b, with NumPy's broadcasting.
#include "core/model/graph/broadcast.h"
#include "core/model/graph/row_kernels.h"

namespace ql::graph {

namespace {

template<typename T>
Result<void> forward(Call<T>& call)
{
    return forwardBroadcast(call, Times());
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    return gradientBroadcast(
        call, []([[maybe_unused]] T a, [[maybe_unused]] T b) { return b; },
        []([[maybe_unused]] T a, [[maybe_unused]] T b) { return a; });
}

} // namespace

QL_OPERATOR(multiply, "Multiply", .required = 2, .kinds = "e")

} // namespace ql::graph
