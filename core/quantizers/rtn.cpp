// SPDX-License-Identifier: GPL-3.0-or-later
// Round to nearest: one scale from the range, codes nearest. Packed schemes have no rule of that kind: their search.
#include "core/formats/matrix_format.h"
#include "core/quantizers/block_search.h"
#include "core/quantizers/ggml_rule.h"
#include "core/quantizers/options.h"
#include "core/quantizers/unit_quantizer.h"

#include <algorithm>

namespace ql {

namespace quantizers {
extern const Quantizer rtn;
}

namespace {

std::vector<std::string> rtnOptions()
{
    return {"", "ct", "ocp", "round", "ggml"};
}

Result<void> rtnAccepts(const Scheme& scheme, const QuantizerSpec& spec)
{
    const std::string where = "rtn:" + spec.option + " on " + printScheme(scheme);
    QL_CHECK(checkOptions(quantizers::rtn, spec));
    if (spec.option.empty())
        return {};
    if (const MatrixFormat* matrix = findMatrixFormat(scheme);
        matrix && std::ranges::find(matrix->rules(), spec.option) != matrix->rules().end())
        return {};
    if (spec.option == "ct") {
        const bool floatScale = scheme.scale != ScaleCoding::e8m0 && scheme.scale != ScaleCoding::ue4m3;
        if (scheme.element->kind == FormatKind::integer && floatScale && !scheme.restricted &&
            scheme.zeroPoint != ZeroPoint::minimum)
            return {};
        return usageError(where + ": ct is the rule of compressed-tensors for integers of full range with f32, f16 or "
                                  "bf16 scales; use rtn");
    }
    if (spec.option == "ocp" || spec.option == "round") {
        if (scheme.scale == ScaleCoding::e8m0 && scheme.zeroPoint == ZeroPoint::none)
            return {};
        return usageError(where + ": " + spec.option +
                          " rounds power-of-two scales (s=e8m0, s=pow2, the mx formats); use rtn");
    }
    if (isGgufScheme(scheme)) // and the option is ggml
        return {};
    return usageError(where + ": ggml is the rule of gguf:q4_0, q4_1, q5_0, q5_1 and q8_0; use rtn");
}

Result<QuantizedTensor> quantizeRtn(const QuantizeTask& task, const JobContext& context)
{
    const std::string& option = task.spec.option;
    if (option == "ggml")
        return quantizeLikeGgml(task, context);
    if (task.scheme.isPacked())
        return searchBlocks(task, {}, context);
    const RangeRule rule = option == "ct"      ? RangeRule::ct
                           : option == "ocp"   ? RangeRule::ocp
                           : option == "round" ? RangeRule::round
                                               : RangeRule::standard;
    return quantizeUnits(task, rule, {}, context);
}

} // namespace

namespace quantizers {
const Quantizer rtn{.id = "rtn",
                    .title = "Round to nearest",
                    .formula = "scale = max|w|/Q, code = nearest(w/scale)",
                    .source = "Krishnamoorthi 2018, section 2; OCP MX v1.0, section 6.3; ggml-quants.c",
                    .options = rtnOptions,
                    .accepts = rtnAccepts,
                    .quantize = quantizeRtn};
} // namespace quantizers

} // namespace ql
