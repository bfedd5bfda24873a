// SPDX-License-Identifier: GPL-3.0-or-later
// GPTQ: codes one column after the other, each making up for the errors of those before it; and, where it is known what
// the loss feels of the outputs, rows after rows likewise.
#include "core/quantizers/coordinate_descent.h"
#include "core/quantizers/hessian_quantizer.h"
#include "core/quantizers/options.h"
#include "core/quantizers/row_feedback.h"
#include "core/quantizers/tile_grid.h"

namespace ql::quantizers {

extern const Quantizer gptq;

namespace {

Result<void> gptqAccepts(const Scheme& scheme, const QuantizerSpec& spec)
{
    QL_CHECK(codesOneByOne("gptq", scheme));
    return checkOptions(gptq, spec);
}

SweepSettings settingsOf(const QuantizerSpec& spec)
{
    const std::string_view scales = optionWord(gptq, spec, "scales");
    return {.scales = scales == "range" ? ScaleChoice::range
                      : scales == "mse" ? ScaleChoice::mse
                                        : ScaleChoice::weighted,
            .staticGroups = optionWord(gptq, spec, "groups") == "static"};
}

std::vector<std::int64_t> orderOf(const QuantizerSpec& spec, const Scheme& scheme, const Hessian& hessian)
{
    const std::string_view order = optionWord(gptq, spec, "order");
    if (order == "natural")
        return fallingOrder(std::vector<double>(static_cast<std::size_t>(hessian.in)), 0);
    return fallingOrder(hessian.diagonal(), order == "groups" ? groupWidth(scheme) : 0, cellWidth(scheme));
}

Result<QuantizedTensor> quantizeGptq(const QuantizeTask& task, const JobContext& context)
{
    const SweepSettings settings = settingsOf(task.spec);
    const double damp = optionNumber(gptq, task.spec, "damp");
    const auto sweeps = static_cast<int>(optionWhole(gptq, task.spec, "polish"));
    const bool alone = optionWord(gptq, task.spec, "rows") == "alone";
    const double rowDamp = optionNumber(gptq, task.spec, "rowdamp");
    return quantizeUnderHessian(
        task, optionWord(gptq, task.spec, "hessian"),
        [&](const QuantizeTask& its, const Hessian& hessian, std::int64_t begin, std::int64_t end,
            QuantizedTensor& out) -> Result<SweepResult> {
            const double* const h = hessian.matrix.data();
            QL_TRY(feedback, makeErrorFeedback(h, orderOf(task.spec, task.scheme, hessian), damp, context));
            const auto code = [&](const QuantizeTask& rows, std::int64_t first, std::int64_t last,
                                  QuantizedTensor& coded) -> Result<SweepResult> {
                QL_TRY(done, sweep(rows, feedback, settings, first, last, coded, context));
                if (sweeps > 0) {
                    QL_TRY(gain, descend(rows, h, feedback.damping, sweeps, Moves::all, first, last, coded, context));
                    done.reached -= gain;
                }
                return done;
            };
            if (alone || !rowsAreSeparate(out))
                return code(its, begin, end, out);
            if (hessian.outputs.empty())
                return usageError("rows=together needs the Gram matrix of the gradients of this layer's outputs; "
                                  "calibrate with --fisher --output-gram, or use rows=alone");
            return codeWithRowFeedback(its, hessian, rowDamp, code, begin, end, out, context);
        },
        context);
}

} // namespace

const Quantizer gptq{
    .id = "gptq",
    .title = "GPTQ: error feedback",
    .formula = "codes column by column, argmin tr(ΔW·H·ΔWᵀ) with the columns before fixed",
    .source =
        "Frantar et al., GPTQ, ICLR 2023; feedback form: Chee et al., QuIP, NeurIPS 2023; rows: Tseng et al., YAQA, "
        "2025",
    .options = noWords,
    .values = {{.key = "order",
                .meaning = "columns in their own order, by falling Σx², or so with the groups kept together",
                .fallback = "groups",
                .words = {"natural", "act", "groups"}},
               {.key = "groups",
                .meaning = "scales chosen from the weights before the sweep, or on the way from what is left of them",
                .fallback = "dynamic",
                .words = {"static", "dynamic"}},
               {.key = "scales",
                .meaning = "of a run: from its range, by least squared error, or by least error weighted with D",
                .fallback = "weighted",
                .words = {"range", "mse", "weighted"}},
               dampOption(),
               {.key = "polish",
                .meaning = "sweeps of coordinate descent over codes and scales after that",
                .fallback = "0",
                .least = 0,
                .most = 100,
                .whole = true},
               hessianOption(),
               {.key = "rows",
                .meaning =
                    "each by itself, or making up for the errors of those before it where the loss does not tell "
                    "them apart (calibrate --fisher --output-gram)",
                .fallback = "alone",
                .words = {"alone", "together"}},
               {.key = "rowdamp",
                .meaning = "added to the diagonal of what the loss feels of the outputs, times its mean",
                .fallback = "0.1",
                .least = 0,
                .most = 100}},
    .needs = InputNeeds::gram,
    .accepts = gptqAccepts,
    .quantize = quantizeGptq};

} // namespace ql::quantizers
