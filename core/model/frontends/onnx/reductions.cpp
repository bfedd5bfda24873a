// SPDX-License-Identifier: GPL-3.0-or-later
// Sums, means, extremes and what is largest along axes.
#include "core/model/frontends/onnx/onnx_importer.h"
#include "core/model/frontends/onnx/onnx_operator.h"

namespace ql {

namespace {

using graph::Attributes;
using graph::ValueId;
using Integers = std::vector<std::int64_t>;

/// Reduces x as the node says; `keep` overrides whether the axes stay.
ValueId reduced(OnnxImporter& node, const char* kind, ValueId x, std::optional<std::int64_t> keep = {})
{
    Attributes attributes{{"kind", std::string(kind)}, {"keep", keep.value_or(node.node().integer("keepdims", 1))}};
    if (auto axes = node.node().integers("axes"))
        attributes["axes"] = *std::move(axes);
    return node.add("reduce", {x, node.input(1)}, std::move(attributes));
}

ValueId of(OnnxImporter& node, const char* op, const char* function, ValueId x)
{
    return node.add(op, {x}, {{"function", std::string(function)}});
}

/// Runs an import unless no axes mean that nothing is reduced.
template<typename Import>
void unlessEmpty(OnnxImporter& node, const Import& import)
{
    if (node.node().integer("noop_with_empty_axes", 0) == 0)
        return import();
    const auto axes = node.constant("axes", 1);
    if (node.has(1) && !axes)
        return node.refuse("reduces nothing if its axes are empty, and they are not known before it runs");
    axes && !axes->empty() ? import() : node.refuse("reduces along no axes");
}

void importReduction(OnnxImporter& node, const char* kind)
{
    unlessEmpty(node, [&] { node.result(reduced(node, kind, node.input(0))); });
}

/// ln Σ exp(x − max) + max.
void importLogSumExp(OnnxImporter& node)
{
    unlessEmpty(node, [&] {
        const ValueId x = node.input(0);
        const ValueId below = node.add("subtract", {x, reduced(node, "max", x, 1)});
        const ValueId sum = reduced(node, "sum", of(node, "activation", "exp", below));
        node.result(node.add("add", {of(node, "unary", "log", sum), reduced(node, "max", x)}));
    });
}

ValueId squareSum(OnnxImporter& node)
{
    const ValueId x = node.input(0);
    return reduced(node, "sum", node.add("multiply", {x, x}));
}

void importCumSum(OnnxImporter& node)
{
    node.result(
        node.add("cumulative_sum", {node.input(0), node.input(1)},
                 {{"exclusive", node.node().integer("exclusive", 0)}, {"reverse", node.node().integer("reverse", 0)}}));
}

/// What stands at the chosen places of an axis, or the places.
ValueId chosen(OnnxImporter& node, const char* part, Attributes attributes)
{
    attributes["part"] = std::string(part);
    return node.add("top_k", {node.input(0), attributes.contains("k") ? graph::kLeftOut : node.input(1)},
                    std::move(attributes));
}

void importArgExtreme(OnnxImporter& node, std::int64_t largest)
{
    const std::int64_t axis = node.node().integer("axis", 0);
    const ValueId places = chosen(node, "places",
                                  {{"axis", axis},
                                   {"k", Integers{1}},
                                   {"largest", largest},
                                   {"last", node.node().integer("select_last_index", 0)}});
    node.result(node.node().integer("keepdims", 1) != 0 ? places
                                                        : node.add("reshape", {places}, {{"squeeze", Integers{axis}}}));
}

void importTopK(OnnxImporter& node)
{
    const Attributes attributes{{"axis", node.node().integer("axis", -1)},
                                {"largest", node.node().integer("largest", 1)}};
    if (node.makes(0))
        node.result(chosen(node, "values", attributes));
    if (node.makes(1))
        node.result(chosen(node, "places", attributes), 1);
}

constexpr OnnxOperator kOperators[] = {
    {"ReduceMean", [](OnnxImporter& node) { importReduction(node, "mean"); }},
    {"ReduceSum", [](OnnxImporter& node) { importReduction(node, "sum"); }},
    {"ReduceMax", [](OnnxImporter& node) { importReduction(node, "max"); }},
    {"ReduceMin", [](OnnxImporter& node) { importReduction(node, "min"); }},
    {"ReduceSumSquare", [](OnnxImporter& node) { unlessEmpty(node, [&] { node.result(squareSum(node)); }); }},
    {"ReduceL1",
     [](OnnxImporter& node) {
         unlessEmpty(node, [&] { node.result(reduced(node, "sum", of(node, "unary", "abs", node.input(0)))); });
     }},
    {"ReduceL2",
     [](OnnxImporter& node) { unlessEmpty(node, [&] { node.result(of(node, "unary", "sqrt", squareSum(node))); }); }},
    {"ReduceLogSum",
     [](OnnxImporter& node) {
         unlessEmpty(node, [&] { node.result(of(node, "unary", "log", reduced(node, "sum", node.input(0)))); });
     }},
    {"ReduceLogSumExp", importLogSumExp},
    {"CumSum", importCumSum},
    {"ArgMax", [](OnnxImporter& node) { importArgExtreme(node, 1); }},
    {"ArgMin", [](OnnxImporter& node) { importArgExtreme(node, 0); }},
    {"TopK", importTopK},
};

} // namespace

namespace onnx_families {
extern const OnnxFamily reductions;
const OnnxFamily reductions{"Reductions", kOperators};
} // namespace onnx_families

} // namespace ql
