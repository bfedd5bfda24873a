// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/frontends/onnx/onnx_operator.h"

#include <algorithm>

namespace ql {

namespace onnx_families {
#define ONNX_OPERATORS(id) extern const OnnxFamily id;
#include "core/model/frontends/onnx/onnx_operators.def"
#undef ONNX_OPERATORS
} // namespace onnx_families

std::span<const OnnxFamily* const> allOnnxFamilies()
{
    static constexpr const OnnxFamily* kAll[] = {
#define ONNX_OPERATORS(id) &onnx_families::id,
#include "core/model/frontends/onnx/onnx_operators.def"
#undef ONNX_OPERATORS
    };
    return kAll;
}

const OnnxOperator* findOnnxOperator(std::string_view id)
{
    for (const OnnxFamily* family : allOnnxFamilies())
        if (const auto found = std::ranges::find(family->operators, id, &OnnxOperator::id);
            found != family->operators.end())
            return &*found;
    return nullptr;
}

} // namespace ql
