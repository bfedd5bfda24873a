// SPDX-License-Identifier: GPL-3.0-or-later
// Attributes of windows, of Conv and pooling alike.
#pragma once

#include "core/model/frontends/onnx/onnx_importer.h"

namespace ql {

/// kernel_shape (only its rank), strides, dilations, pads and auto_pad, as core/model/graph/window.h names them; false
/// after a refusal.
inline bool takeWindow(OnnxImporter& node, graph::Attributes& attributes)
{
    const OnnxNode& onnx = node.node();
    if (const auto kernel = onnx.integers("kernel_shape"); kernel && kernel->size() > 2) {
        node.refuse("has a window of " + std::to_string(kernel->size()) + " dimensions, where one and two are known");
        return false;
    }
    for (const char* name : {"strides", "dilations", "pads"})
        if (auto values = onnx.integers(name))
            attributes[name] = *std::move(values);
    const std::string_view autoPad = onnx.text("auto_pad", "NOTSET");
    if (autoPad == "SAME_UPPER" || autoPad == "SAME_LOWER")
        attributes["auto_pad"] = std::string(autoPad == "SAME_UPPER" ? "same_upper" : "same_lower");
    return true;
}

} // namespace ql
