// SPDX-License-Identifier: GPL-3.0-or-later
// Products with weights and convolutions. A right operand that is a matrix of the file is a layer.
#include "core/model/frontends/onnx/onnx_importer.h"
#include "core/model/frontends/onnx/onnx_operator.h"
#include "core/model/frontends/onnx/onnx_window.h"

namespace ql {

namespace {

using graph::Attributes;
using graph::kLeftOut;
using graph::ValueId;

void importMatMul(OnnxImporter& node)
{
    const ValueId weights = node.matrix(1);
    node.result(weights == kLeftOut ? node.add("matmul", {node.input(0), node.input(1)})
                                    : node.add("linear", {node.input(0), weights}));
}

/// Y = α·A'·B' + β·C.
void importGemm(OnnxImporter& node)
{
    const bool aTurned = node.node().integer("transA", 0) != 0;
    const bool bTurned = node.node().integer("transB", 0) != 0;
    const double alpha = node.node().number("alpha", 1);
    const double beta = node.node().number("beta", 1);
    const ValueId weights = node.matrix(1, bTurned);
    ValueId a = node.input(0);
    ValueId y = kLeftOut;
    if (weights == kLeftOut) {
        y = node.add("matmul", {a, node.input(1)},
                     {{"transpose_a", std::int64_t{aTurned}}, {"transpose_b", std::int64_t{bTurned}}});
    } else {
        if (aTurned)
            a = node.add("transpose", {a});
        y = node.add("linear", {a, weights});
    }
    if (alpha != 1)
        y = node.add("scale", {y}, {{"factor", alpha}});
    if (node.has(2)) {
        const ValueId c = node.input(2);
        y = node.add("add", {y, beta == 1 ? c : node.add("scale", {c}, {{"factor", beta}})});
    }
    node.result(y);
}

void importConv(OnnxImporter& node)
{
    Attributes attributes;
    if (!takeWindow(node, attributes))
        return;
    attributes["groups"] = node.node().integer("group", 1);
    node.result(node.add("conv", {node.input(0), node.input(1), node.input(2)}, std::move(attributes)));
}

void importConvTranspose(OnnxImporter& node)
{
    Attributes attributes;
    if (!takeWindow(node, attributes))
        return;
    for (const char* name : {"output_padding", "output_shape"})
        if (auto values = node.node().integers(name))
            attributes[name] = *std::move(values);
    attributes["groups"] = node.node().integer("group", 1);
    node.result(node.add("conv_transpose", {node.input(0), node.input(1), node.input(2)}, std::move(attributes)));
}

constexpr OnnxOperator kOperators[] = {
    {"MatMul", importMatMul},
    {"Gemm", importGemm},
    {"Conv", importConv},
    {"ConvTranspose", importConvTranspose},
};

} // namespace

namespace onnx_families {
extern const OnnxFamily products;
const OnnxFamily products{"Products and convolutions", kOperators};
} // namespace onnx_families

} // namespace ql
