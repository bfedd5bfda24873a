// SPDX-License-Identifier: GPL-3.0-or-later
// Round to nearest: one scale from the range, codes nearest; or ties away from zero, or by chance (other_rounding.h).
// Packed schemes have no rule of that kind: their search.
#include "core/formats/matrix_format.h"
#include "core/quantizers/block_search.h"
#include "core/quantizers/ggml_rule.h"
#include "core/quantizers/options.h"
#include "core/quantizers/other_rounding.h"
#include "core/quantizers/unit_quantizer.h"

#include <algorithm>

namespace ql {

namespace quantizers {
extern const Quantizer rtn;
}

namespace {

std::vector<std::string> rtnOptions()
{
    return {"", "ct", "ocp", "round", "ggml", "away", "stochastic"};
}

Result<void> rtnAccepts(const Scheme& scheme, const QuantizerSpec& spec)
{
    const std::string where = "rtn:" + spec.option + " on " + printScheme(scheme);
    QL_CHECK(checkOptions(quantizers::rtn, spec));
    if (spec.values.contains("seed") && spec.option != "stochastic")
        return usageError("rtn:seed= is for rtn:stochastic; nothing else in rtn goes by chance");
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
    if (spec.option == "away" || spec.option == "stochastic") {
        if (!scheme.isPacked())
            return {};
        return usageError(where + ": " + spec.option +
                          " rounds weights that are coded one by one, packed schemes are searched by block; use rtn");
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
    QL_TRY(out, quantizeUnits(task, rule, {}, context));
    if (option == "away")
        QL_CHECK(roundOtherwise(out, task.weights, OtherRounding::halfAway, 0, context));
    if (option == "stochastic")
        QL_CHECK(roundOtherwise(out, task.weights, OtherRounding::byChance,
                                static_cast<std::uint64_t>(optionWhole(quantizers::rtn, task.spec, "seed")), context));
    return out;
}

} // namespace

namespace quantizers {
const Quantizer rtn{.id = "rtn",
                    .title = "Round to nearest",
                    .formula = "scale = max|w|/Q, code = nearest(w/scale)",
                    .source = "Krishnamoorthi 2018, section 2; OCP MX v1.0, section 6.3; ggml-quants.c",
                    .options = rtnOptions,
                    .values = {{.key = "seed",
                                .meaning = "of stochastic: equal seeds, equal codes",
                                .fallback = "0",
                                .least = 0,
                                .most = 9007199254740991.0,
                                .whole = true}},
                    .accepts = rtnAccepts,
                    .quantize = quantizeRtn};
} // namespace quantizers

} // namespace ql
