// SPDX-License-Identifier: GPL-3.0-or-later
// y = a + b, with NumPy's broadcasting.
#include "core/model/graph/broadcast.h"
#include "core/model/graph/row_kernels.h"

namespace ql::graph {

namespace {

template<typename T>
Result<void> forward(Call<T>& call)
{
    return forwardBroadcast(call, Plus());
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    return gradientBroadcast(
        call, []([[maybe_unused]] T a, [[maybe_unused]] T b) { return T{1}; },
        []([[maybe_unused]] T a, [[maybe_unused]] T b) { return T{1}; });
}

} // namespace

QL_OPERATOR(add, "Add", .required = 2)

} // namespace ql::graph
