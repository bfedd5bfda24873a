// SPDX-License-Identifier: GPL-3.0-or-later
// AdaRound: up or down, learned (learned_rounding.h).
#include "core/quantizers/hessian_quantizer.h"
#include "core/quantizers/learned_rounding.h"
#include "core/quantizers/options.h"

namespace ql::quantizers {

extern const Quantizer adaround;

namespace {

Result<void> adaroundAccepts(const Scheme& scheme, const QuantizerSpec& spec)
{
    QL_CHECK(codesElements("adaround", scheme));
    return checkOptions(adaround, spec);
}

Result<QuantizedTensor> quantizeAdaround(const QuantizeTask& task, const JobContext& context)
{
    const RoundingSettings settings{.iterations = optionWhole(adaround, task.spec, "iterations"),
                                    .rate = optionNumber(adaround, task.spec, "rate"),
                                    .lambda = optionNumber(adaround, task.spec, "lambda")};
    const double damp = optionNumber(adaround, task.spec, "damp");
    QL_TRY(start, startOf(task, optionWord(adaround, task.spec, "start"), context));
    return quantizeUnderHessian(
        task, optionWord(adaround, task.spec, "hessian"),
        [&](const QuantizeTask& its, const Hessian& hessian, std::int64_t begin, std::int64_t end,
            QuantizedTensor& out) -> Result<SweepResult> {
            QL_TRY(layer, makeLayerUnderH(its, hessian.matrix, damp, out, context));
            QL_TRY(learned, learnRounding(layer, settings, start ? &*start : nullptr, begin, end, context));
            return learned.objectives;
        },
        context);
}

} // namespace

const Quantizer adaround{
    .id = "adaround",
    .title = "AdaRound: learned rounding",
    .formula = "ŵ = ⌊w⌋ + h·(⌈w⌉ − ⌊w⌋), h → 0 or 1, argmin tr(ΔW·H·ΔWᵀ) + λ·Σ(1 − |2h − 1|^β) by Adam",
    .source = "Nagel et al., Up or Down?, ICML 2020, section 3.2",
    .options = noWords,
    .values =
        {startOption("the quantizer whose scales it keeps", "imatrix"),
         {.key = "iterations", .meaning = "of Adam", .fallback = "300", .least = 1, .most = 100000, .whole = true},
         {.key = "rate", .meaning = "of Adam", .fallback = "0.1", .least = 1e-6, .most = 10},
         {.key = "lambda",
          .meaning = "of the pull towards 0 and 1, in mean costs of a step",
          .fallback = "2",
          .least = 0,
          .most = 1000},
         dampOption(),
         hessianOption()},
    .needs = InputNeeds::gram,
    .accepts = adaroundAccepts,
    .quantize = quantizeAdaround};

} // namespace ql::quantizers
