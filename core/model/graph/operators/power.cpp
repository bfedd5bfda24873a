// SPDX-License-Identifier: GPL-3.0-or-later
// y = aᵇ, with NumPy's broadcasting; of integers cut towards zero. Real numbers may have integers as exponents. The
// gradient of b is 0 where a ≤ 0.
#include "core/model/graph/broadcast.h"

#include <cmath>

namespace ql::graph {

namespace {

template<typename T>
Result<void> forward(Call<T>& call)
{
    const auto power = [](auto a, auto b) { return std::pow(a, b); };
    if (!call.real(0) || !call.integers(1))
        return forwardBroadcast(call, power);
    const Array<std::int64_t>& integers = call.integers(1);
    Value<T> exponent{Array<T>(integers.shape()), {}};
    std::transform(integers.data(), integers.data() + integers.numel(), exponent.real.write(),
                   [](std::int64_t e) { return static_cast<T>(e); });
    const Value<T>* const inputs[] = {call.inputs[0], &exponent};
    Call<T> inReal{call.node, inputs, call.outputs, call.context, call.state};
    return forwardBroadcast(inReal, power);
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    if (!call.real(1))
        return nodeError(call.node, "has no gradient with integers as exponents; write them as real numbers");
    return gradientBroadcast(
        call, [](T a, T b) { return b * std::pow(a, b - 1); },
        [](T a, T b) { return a > 0 ? std::pow(a, b) * std::log(a) : T{0}; });
}

} // namespace

QL_OPERATOR(power, "Power", .required = 2, .kinds = "e")

} // namespace ql::graph
