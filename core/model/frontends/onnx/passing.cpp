// SPDX-License-Identifier: GPL-3.0-or-later
// Nodes that compute nothing, and graphs inside nodes.
#include "core/model/frontends/onnx/onnx_importer.h"
#include "core/model/frontends/onnx/onnx_operator.h"

namespace ql {

namespace {

using Integers = std::vector<std::int64_t>;

void importDropout(OnnxImporter& node)
{
    const auto training = node.has(2) ? node.constant("training_mode", 2) : Integers{0};
    if (!training || training->size() != 1 || training->front() != 0 || node.makes(1))
        return node.refuse("drops elements or makes their mask, which only training needs");
    node.pass();
}

/// One of two graphs, if it is known which.
void importIf(OnnxImporter& node)
{
    const auto condition = node.constant("", 0);
    const OnnxAttribute* branch = condition && condition->size() == 1
                                      ? node.node().find(condition->front() != 0 ? "then_branch" : "else_branch")
                                      : nullptr;
    if (!branch || branch->graphs.size() != 1)
        return node.refuse("chooses between graphs by what is not known before it runs");
    node.takeOver(*branch->graphs.front());
}

constexpr OnnxOperator kOperators[] = {
    {"Constant", [](OnnxImporter&) {}}, // a tensor of the file
    {"Identity", [](OnnxImporter& node) { node.pass(); }},
    {"Dropout", importDropout},
    {"If", importIf},
};

} // namespace

namespace onnx_families {
extern const OnnxFamily passing;
const OnnxFamily passing{"Nodes that compute nothing", kOperators};
} // namespace onnx_families

} // namespace ql
