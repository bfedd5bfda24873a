// SPDX-License-Identifier: GPL-3.0-or-later
// Functions of one array, element by element, and arithmetic with NumPy's broadcasting.
#include "core/model/frontends/onnx/onnx_importer.h"
#include "core/model/frontends/onnx/onnx_operator.h"

namespace ql {

namespace {

using graph::Attributes;
using graph::ValueId;

/// y = f(x) of the operators activation and unary.
ValueId activation(OnnxImporter& node, const char* function, ValueId x)
{
    return node.add("activation", {x}, {{"function", std::string(function)}});
}
ValueId unary(OnnxImporter& node, const char* function, ValueId x, Attributes parameters = {})
{
    parameters["function"] = std::string(function);
    return node.add("unary", {x}, std::move(parameters));
}

/// Joins all inputs, one after the other.
void fold(OnnxImporter& node, const char* op, double factor = 1)
{
    ValueId sum = node.input(0);
    for (const ValueId next : node.inputs(1))
        sum = node.add(op, {sum, next});
    node.result(factor == 1 && node.node().inputs.size() > 1 ? sum : node.add("scale", {sum}, {{"factor", factor}}));
}

void importExtreme(OnnxImporter& node, const char* op)
{
    if (node.node().inputs.size() == 1)
        return node.pass();
    fold(node, op);
}

void importBinary(OnnxImporter& node, const char* op)
{
    node.result(node.add(op, {node.input(0), node.input(1)}));
}

void importClip(OnnxImporter& node)
{
    ValueId x = node.input(0);
    if (node.has(1))
        x = node.add("maximum", {x, node.input(1)});
    if (node.has(2))
        x = node.add("minimum", {x, node.input(2)});
    x == node.input(0) ? node.pass() : node.result(x);
}

/// x where it is above the bound, and elsewhere what `below` is.
ValueId above(OnnxImporter& node, double bound, ValueId x, ValueId below)
{
    const ValueId isAbove = node.add("compare", {x, node.constant(bound)}, {{"relation", std::string("greater")}});
    return node.add("where", {isAbove, x, below});
}

void importGelu(OnnxImporter& node)
{
    const std::string_view form = node.node().text("approximate", "none");
    if (form != "none" && form != "tanh")
        return node.refuse("approximates by '" + std::string(form) + "'");
    node.result(activation(node, form == "tanh" ? "gelu_pytorch_tanh" : "gelu", node.input(0)));
}

void importSelu(OnnxImporter& node)
{
    const double alpha = node.node().number("alpha", 1.67326319217681884765625);
    const double gamma = node.node().number("gamma", 1.05070102214813232421875);
    node.result(node.add("scale", {unary(node, "elu", node.input(0), {{"alpha", alpha}})}, {{"factor", gamma}}));
}

/// max(0, x) + min(0, α·(exp(x/α) − 1)) = α·elu(x/α).
void importCelu(OnnxImporter& node)
{
    const double alpha = node.node().number("alpha", 1);
    const ValueId x = node.add("scale", {node.input(0)}, {{"factor", 1 / alpha}});
    node.result(node.add("scale", {unary(node, "elu", x)}, {{"factor", alpha}}));
}

/// x / (1 + |x|).
void importSoftsign(OnnxImporter& node)
{
    const ValueId x = node.input(0);
    node.result(node.add("divide", {x, node.add("scale", {unary(node, "abs", x)}, {{"offset", 1.0}})}));
}

/// x·σ(αx).
void importSwish(OnnxImporter& node)
{
    const ValueId x = node.input(0);
    const ValueId inner = node.add("scale", {x}, {{"factor", node.node().number("alpha", 1)}});
    node.result(node.add("multiply", {x, activation(node, "sigmoid", inner)}));
}

#define QL_ACTIVATION(id, function)                                                                                    \
    {                                                                                                                  \
        id, [](OnnxImporter& node) { node.result(activation(node, function, node.input(0))); }                         \
    }
#define QL_UNARY(id, function, ...)                                                                                    \
    {                                                                                                                  \
        id, [](OnnxImporter& node) {                                                                                   \
            node.result(unary(node, function, node.input(0) __VA_OPT__(, {{"alpha", __VA_ARGS__}})));                  \
        }                                                                                                              \
    }
#define QL_BINARY(id, op)                                                                                              \
    {                                                                                                                  \
        id, [](OnnxImporter& node) { importBinary(node, op); }                                                         \
    }
constexpr OnnxOperator kOperators[] = {
    QL_BINARY("Add", "add"),
    QL_BINARY("Sub", "subtract"),
    QL_BINARY("Mul", "multiply"),
    QL_BINARY("Div", "divide"),
    QL_BINARY("Pow", "power"),
    {"Mod",
     [](OnnxImporter& node) {
         node.result(
             node.add("remainder", {node.input(0), node.input(1)}, {{"truncated", node.node().integer("fmod", 0)}}));
     }},
    {"Sum", [](OnnxImporter& node) { fold(node, "add"); }},
    {"Mean", [](OnnxImporter& node) { fold(node, "add", 1 / static_cast<double>(node.node().inputs.size())); }},
    {"Max", [](OnnxImporter& node) { importExtreme(node, "maximum"); }},
    {"Min", [](OnnxImporter& node) { importExtreme(node, "minimum"); }},
    {"Clip", importClip},
    QL_ACTIVATION("Relu", "relu"),
    QL_ACTIVATION("Sigmoid", "sigmoid"),
    QL_ACTIVATION("Tanh", "tanh"),
    QL_ACTIVATION("Exp", "exp"),
    QL_ACTIVATION("Softplus", "softplus"),
    {"Gelu", importGelu},
    {"Swish", importSwish},
    {"Selu", importSelu},
    {"Celu", importCelu},
    {"Softsign", importSoftsign},
    QL_UNARY("Mish", "mish"),
    QL_UNARY("HardSwish", "hard_swish"),
    QL_UNARY("LeakyRelu", "leaky_relu", node.node().number("alpha", 0.01)),
    QL_UNARY("Elu", "elu", node.node().number("alpha", 1)),
    {"HardSigmoid",
     [](OnnxImporter& node) {
         node.result(unary(node, "hard_sigmoid", node.input(0),
                           {{"alpha", node.node().number("alpha", 0.2)}, {"beta", node.node().number("beta", 0.5)}}));
     }},
    {"PRelu",
     [](OnnxImporter& node) {
         const ValueId x = node.input(0);
         node.result(above(node, 0, x, node.add("multiply", {x, node.input(1)})));
     }},
    {"ThresholdedRelu",
     [](OnnxImporter& node) {
         node.result(above(node, node.node().number("alpha", 1), node.input(0), node.constant(0.0)));
     }},
    QL_UNARY("Sqrt", "sqrt"),
    QL_UNARY("Reciprocal", "reciprocal"),
    QL_UNARY("Log", "log"),
    QL_UNARY("Erf", "erf"),
    QL_UNARY("Sin", "sin"),
    QL_UNARY("Cos", "cos"),
    QL_UNARY("Neg", "negate"),
    QL_UNARY("Abs", "abs"),
    QL_UNARY("Sign", "sign"),
    QL_UNARY("Floor", "floor"),
    QL_UNARY("Ceil", "ceil"),
    QL_UNARY("Round", "round"),
};

} // namespace

namespace onnx_families {
extern const OnnxFamily elementwise;
const OnnxFamily elementwise{"Element by element", kOperators};
} // namespace onnx_families

} // namespace ql
