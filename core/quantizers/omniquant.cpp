// SPDX-License-Identifier: GPL-3.0-or-later
// OmniQuant's learnable weight clipping, as SliM-LLM+ uses it: the ends of each range times σ(u), learned straight
// through rounding (straight_through.h); codes are nearest.
#include "core/quantizers/hessian_quantizer.h"
#include "core/quantizers/options.h"
#include "core/quantizers/straight_through.h"

namespace ql::quantizers {

extern const Quantizer omniquant;

namespace {

Result<void> omniquantAccepts(const Scheme& scheme, const QuantizerSpec& spec)
{
    if (scheme.isPacked() || scheme.granularity == Granularity::tensor)
        return usageError("omniquant learns the ranges of rows or groups, which " + printScheme(scheme) +
                          " does not have; use adaquant or gptq");
    return checkOptions(omniquant, spec);
}

Result<QuantizedTensor> quantizeOmniquant(const QuantizeTask& task, const JobContext& context)
{
    const StraightThroughSettings settings{.iterations = optionWhole(omniquant, task.spec, "iterations"),
                                           .weightRate = 0,
                                           .moment = MomentOf::row,
                                           .ranges = RangeLearning::clipping,
                                           .rangeRate = optionNumber(omniquant, task.spec, "rate")};
    const double damp = optionNumber(omniquant, task.spec, "damp");
    return quantizeUnderHessian(
        task, optionWord(omniquant, task.spec, "hessian"),
        [&](const QuantizeTask& its, const Hessian& hessian, std::int64_t begin, std::int64_t end,
            QuantizedTensor& out) -> Result<SweepResult> {
            QL_TRY(layer, makeLayerUnderH(its, hessian.matrix, damp, out, context));
            return learnStraightThrough(layer, settings, nullptr, false, begin, end, context);
        },
        context);
}

} // namespace

const Quantizer omniquant{
    .id = "omniquant",
    .title = "OmniQuant: learnable clipping",
    .formula = "argmin tr(ΔW·H·ΔWᵀ) over u: range = [lo·σ(u'), hi·σ(u)], u = 4 at first, by Adam",
    .source = "Shao et al., OmniQuant, ICLR 2024, section 3.2; Huang et al., SliM-LLM, 2024, section 4.3",
    .options = noWords,
    .values =
        {{.key = "iterations", .meaning = "of Adam", .fallback = "150", .least = 1, .most = 100000, .whole = true},
         {.key = "rate", .meaning = "of Adam, in u", .fallback = "0.1", .least = 1e-6, .most = 10},
         dampOption(),
         hessianOption()},
    .needs = InputNeeds::gram,
    .accepts = omniquantAccepts,
    .quantize = quantizeOmniquant};

} // namespace ql::quantizers
