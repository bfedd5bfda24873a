// SPDX-License-Identifier: GPL-3.0-or-later
// decoupleQ: codes and scales are solved for in turn. Starts from GPTQ's codes for scales of a weighted search; then
// the scales (and zero points or minima) that are best for the codes, group after group until they settle, and the
// codes that are best for these, one after the other: the paper's second solver. Every step lowers the objective.
#include "core/quantizers/coordinate_descent.h"
#include "core/quantizers/hessian_quantizer.h"
#include "core/quantizers/options.h"

namespace ql::quantizers {

extern const Quantizer decoupleq;

namespace {

constexpr int kParameterSweeps = 8;
constexpr double kLeastGain = 1e-4; // of the objective, for another iteration

Result<void> decoupleqAccepts(const Scheme& scheme, const QuantizerSpec& spec)
{
    if (scheme.isPacked() || scheme.granularity == Granularity::tensor)
        return usageError("decoupleq solves for the scales of rows or groups, which " + printScheme(scheme) +
                          " does not have; use gptq");
    return checkOptions(decoupleq, spec);
}

Result<QuantizedTensor> quantizeDecoupleq(const QuantizeTask& task, const JobContext& context)
{
    const double damp = optionNumber(decoupleq, task.spec, "damp");
    const std::int64_t iterations = optionWhole(decoupleq, task.spec, "iterations");
    return quantizeUnderHessian(
        task, optionWord(decoupleq, task.spec, "hessian"),
        [&](const QuantizeTask& its, const Hessian& hessian, std::int64_t begin, std::int64_t end,
            QuantizedTensor& out) -> Result<SweepResult> {
            const double* const gram = hessian.matrix.data();
            QL_TRY(feedback, makeErrorFeedback(gram, fallingOrder(hessian.diagonal(), 0), damp, context));
            QL_TRY(result, sweep(its, feedback, {}, begin, end, out, context));
            for (std::int64_t i = 0; i < iterations; ++i) {
                QL_TRY(byScales, descend(its, gram, feedback.damping, kParameterSweeps, Moves::parameters, begin, end,
                                         out, context));
                QL_TRY(byCodes, descend(its, gram, feedback.damping, 1, Moves::all, begin, end, out, context));
                result.reached -= byScales + byCodes;
                if (byScales + byCodes < kLeastGain * result.reached)
                    break;
            }
            return result;
        },
        context);
}

} // namespace

const Quantizer decoupleq{
    .id = "decoupleq",
    .title = "decoupleQ: codes and scales in turn",
    .formula = "argmin tr(ΔW·H·ΔWᵀ) over codes by feedback, over scales by least squares",
    .source = "Guo et al., decoupleQ, 2024, sections 3.2 and 3.3",
    .options = noWords,
    .values = {{.key = "iterations", .meaning = "at most", .fallback = "8", .least = 0, .most = 100, .whole = true},
               dampOption(),
               hessianOption()},
    .needs = InputNeeds::gram,
    .accepts = decoupleqAccepts,
    .quantize = quantizeDecoupleq};

} // namespace ql::quantizers
