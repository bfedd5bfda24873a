// SPDX-License-Identifier: GPL-3.0-or-later
// ONNX files, which say themselves what is computed. Inputs and outputs have the names of the file.
#include "core/model/frontends/onnx/onnx_importer.h"

#include <array>

namespace ql {

namespace {

constexpr std::array kTypes{ModelType{"onnx", "{}"}};

Outputs build(ModelBuilder& builder)
{
    const Checkpoint& checkpoint = *builder.model().checkpoint;
    const auto parsed = parseOnnx(checkpoint.graph(), checkpoint.path().string());
    if (!parsed) {
        builder.fail(parsed.error());
        return {};
    }
    builder.leaveUnused();
    return OnnxImporter(builder, *parsed).import();
}

} // namespace

namespace frontends {
extern const Frontend onnx;
const Frontend onnx{
    .id = "onnx", .title = "ONNX graphs", .source = "onnx.ai/onnx/operators", .types = kTypes, .build = build};
} // namespace frontends

} // namespace ql
