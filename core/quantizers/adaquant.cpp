// SPDX-License-Identifier: GPL-3.0-or-later
// AdaQuant: weights, scales and zero points learned straight through rounding (straight_through.h). Rates are relative,
// so that layers of any size learn alike. The defaults improve on GPTQ's codes; from rtn's both rates at 0.01 do
// better. Published, for convolutional nets: start=rtn, moment=weight, 100 iterations at 1e-5 (weights) and 1e-3
// (ranges), absolute.
#include "core/quantizers/coordinate_descent.h"
#include "core/quantizers/hessian_quantizer.h"
#include "core/quantizers/options.h"
#include "core/quantizers/straight_through.h"

namespace ql::quantizers {

extern const Quantizer adaquant;

namespace {

Result<void> adaquantAccepts(const Scheme& scheme, const QuantizerSpec& spec)
{
    QL_CHECK(codesElements("adaquant", scheme));
    return checkOptions(adaquant, spec);
}

Result<QuantizedTensor> quantizeAdaquant(const QuantizeTask& task, const JobContext& context)
{
    const StraightThroughSettings settings{
        .iterations = optionWhole(adaquant, task.spec, "iterations"),
        .weightRate = optionNumber(adaquant, task.spec, "rate"),
        .moment = optionWord(adaquant, task.spec, "moment") == "weight" ? MomentOf::weight : MomentOf::row,
        .ranges = optionWord(adaquant, task.spec, "ranges") == "fixed" ? RangeLearning::fixed : RangeLearning::free,
        .rangeRate = optionNumber(adaquant, task.spec, "rangerate")};
    const double damp = optionNumber(adaquant, task.spec, "damp");
    const auto sweeps = static_cast<int>(optionWhole(adaquant, task.spec, "polish"));
    const std::string_view startsFrom = optionWord(adaquant, task.spec, "start");
    QL_TRY(start, startOf(task, startsFrom, context));
    return quantizeUnderHessian(
        task, optionWord(adaquant, task.spec, "hessian"),
        [&](const QuantizeTask& its, const Hessian& hessian, std::int64_t begin, std::int64_t end,
            QuantizedTensor& out) -> Result<SweepResult> {
            QL_TRY(layer, makeLayerUnderH(its, hessian.matrix, damp, out, context));
            QL_TRY(done, learnStraightThrough(layer, settings, start ? &*start : nullptr, startsFrom == "gptq", begin,
                                              end, context));
            if (sweeps > 0) {
                QL_TRY(gain, descend(its, hessian.matrix.data(), layer.unit * layer.damping, sweeps, Moves::all, begin,
                                     end, out, context));
                done.reached -= gain;
            }
            return done;
        },
        context);
}

} // namespace

const Quantizer adaquant{
    .id = "adaquant",
    .title = "AdaQuant: weights and ranges learned",
    .formula = "argmin tr(ΔW·H·ΔWᵀ), Ŵ = Q(W + V), over V, scales and zero points by Adam straight through rounding",
    .source = "Hubara et al., AdaQuant, ICML 2021, section 3.1",
    .options = noWords,
    .values =
        {startOption("the quantizer whose scales, and of gptq the codes, it starts from", "gptq"),
         {.key = "iterations", .meaning = "of Adam", .fallback = "200", .least = 1, .most = 100000, .whole = true},
         {.key = "rate",
          .meaning = "of Adam for weights, in steps of the grid",
          .fallback = "0.003",
          .least = 1e-6,
          .most = 10},
         {.key = "moment",
          .meaning = "whose gradients Adam divides a weight's by the size of",
          .fallback = "row",
          .words = {"row", "weight"}},
         {.key = "ranges",
          .meaning = "whether scales and zero points are learned, too",
          .fallback = "learned",
          .words = {"learned", "fixed"}},
         {.key = "rangerate",
          .meaning = "of Adam for ranges, as a share of them",
          .fallback = "0.0003",
          .least = 1e-6,
          .most = 1},
         dampOption(),
         {.key = "polish",
          .meaning = "sweeps of coordinate descent over codes and scales after that",
          .fallback = "0",
          .least = 0,
          .most = 100,
          .whole = true},
         hessianOption()},
    .needs = InputNeeds::gram,
    .accepts = adaquantAccepts,
    .quantize = quantizeAdaquant};

} // namespace ql::quantizers
