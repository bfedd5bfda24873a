// SPDX-License-Identifier: GPL-3.0-or-later
// y = f(x), element by element, for functions beside those of MLPs (activation.cpp); `function` names f, `alpha` and
// `beta` are its parameters. Computed in double, rounded once; integers for negate, abs and sign.
#include "core/model/graph/operator.h"

#include <cmath>
#include <limits>
#include <numbers>

namespace ql::graph {

namespace {

struct Function {
    std::string_view name;
    double alpha, beta; // where the node has none
    double (*value)(double x, double a, double b);
    double (*slope)(double x, double a, double b);
};

constexpr double kInf = std::numeric_limits<double>::infinity();

double sign(double x)
{
    return x > 0 ? 1 : x < 0 ? -1 : x; // 0 and NaN stay
}
double softplus(double x)
{
    return x > 30 ? x : std::log1p(std::exp(x));
}

#define QL_FUNCTION(name, alpha, beta, value, slope)                                                                   \
    {                                                                                                                  \
        name, alpha, beta,                                                                                             \
            []([[maybe_unused]] double x, [[maybe_unused]] double a, [[maybe_unused]] double b) -> double {            \
                return value;                                                                                          \
            },                                                                                                         \
            []([[maybe_unused]] double x, [[maybe_unused]] double a, [[maybe_unused]] double b) -> double {            \
                return slope;                                                                                          \
            }                                                                                                          \
    }
constexpr Function kFunctions[] = {
    QL_FUNCTION("log", 0, 0, std::log(x), 1 / x),
    QL_FUNCTION("sqrt", 0, 0, std::sqrt(x), 0.5 / std::sqrt(x)),
    QL_FUNCTION("reciprocal", 0, 0, 1 / x, -1 / (x * x)),
    QL_FUNCTION("erf", 0, 0, std::erf(x), 2 * std::numbers::inv_sqrtpi * std::exp(-x * x)),
    QL_FUNCTION("sin", 0, 0, std::sin(x), std::cos(x)),
    QL_FUNCTION("cos", 0, 0, std::cos(x), -std::sin(x)),
    QL_FUNCTION("negate", 0, 0, -x, -1),
    QL_FUNCTION("abs", 0, 0, std::fabs(x), sign(x)),
    QL_FUNCTION("sign", 0, 0, sign(x), 0),
    QL_FUNCTION("floor", 0, 0, std::floor(x), 0),
    QL_FUNCTION("ceil", 0, 0, std::ceil(x), 0),
    QL_FUNCTION("round", 0, 0, std::nearbyint(x), 0), // half to even
    // The ReLU family: leaky below 0, x between two bounds, exponential below 0, and pieces of lines for sigmoids.
    QL_FUNCTION("leaky_relu", 0.01, 0, x < 0 ? a * x : x, x < 0 ? a : 1),
    QL_FUNCTION("clip", -kInf, kInf, std::min(std::max(x, a), b), x >= a && x <= b ? 1 : 0),
    QL_FUNCTION("elu", 1, 0, x < 0 ? a * std::expm1(x) : x, x < 0 ? a * std::exp(x) : 1),
    QL_FUNCTION("hard_sigmoid", 0.2, 0.5, std::clamp(b + a * x, 0.0, 1.0), b + a * x > 0 && b + a * x < 1 ? a : 0),
    QL_FUNCTION("hard_swish", 0, 0, std::clamp(x / 6 + 0.5, 0.0, 1.0) * x,
                std::fabs(x) < 3 ? x / 3 + 0.5 : (sign(x) + 1) / 2),
    QL_FUNCTION("mish", 0, 0, std::tanh(softplus(x)) * x,
                std::tanh(softplus(x)) +
                    x * (1 - std::tanh(softplus(x)) * std::tanh(softplus(x))) / (1 + std::exp(-x))),
};
#undef QL_FUNCTION

Result<Function> functionOf(const Node& node)
{
    const std::string_view name = node.text("function", "");
    const auto* const found = std::ranges::find(kFunctions, name, &Function::name);
    if (found == std::end(kFunctions))
        return nodeError(node, "there is no function '" + std::string(name) + "'");
    Function function = *found;
    function.alpha = node.number("alpha", function.alpha);
    function.beta = node.number("beta", function.beta);
    return function;
}

template<typename T>
Result<void> forward(Call<T>& call)
{
    QL_TRY(f, functionOf(call.node));
    return forEitherKind(call, 0, [&](auto kind) {
        const auto& x = call.inputs[0]->*kind;
        auto* y = call.make(kind, 0, x.shape());
        return parallelFor(call.context, x.numel(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
            for (std::int64_t i = begin; i < end; ++i)
                y[i] =
                    static_cast<std::decay_t<decltype(*y)>>(f.value(static_cast<double>(x.data()[i]), f.alpha, f.beta));
        });
    });
}

template<typename T>
Result<void> gradient(GradientCall<T>& call)
{
    if (!call.wants(0))
        return {};
    QL_TRY(f, functionOf(call.node));
    const T* x = call.real(0).data();
    const T* dy = call.outputGradients[0].data();
    T* dx = call.make(0);
    return parallelFor(call.context, call.real(0).numel(), kElementGrain, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i)
            dx[i] = static_cast<T>(static_cast<double>(dy[i]) * f.slope(static_cast<double>(x[i]), f.alpha, f.beta));
    });
}

} // namespace

QL_OPERATOR(unary, "Elementwise function", .kinds = "e")

} // namespace ql::graph
