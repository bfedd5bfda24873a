// SPDX-License-Identifier: GPL-3.0-or-later
// GPTQ: codes one column after the other, each making up for the errors of those before it.
#include "core/calibration/activations.h"
#include "core/quantizers/coordinate_descent.h"
#include "core/quantizers/feedback_sweep.h"
#include "core/quantizers/options.h"
#include "core/quantizers/tile_grid.h"

#include <algorithm>
#include <cstring>

namespace ql::quantizers {

extern const Quantizer gptq;

namespace {

std::vector<std::string> gptqOptions()
{
    return {""};
}

Result<void> gptqAccepts(const Scheme& scheme, const QuantizerSpec& spec)
{
    if (const BlockFormat* block = findBlockFormat(scheme); block && !block->codesElements())
        return usageError("gptq codes one weight after the other, but " + printScheme(scheme) +
                          " has codes of several together; use imatrix");
    return checkOptions(gptq, spec);
}

QuantizedTensor copyOf(const QuantizedTensor& tensor)
{
    QuantizedTensor copy{.scheme = tensor.scheme,
                         .shape = tensor.shape,
                         .codes = Buffer(tensor.codes.sizeBytes()),
                         .scales = tensor.scales,
                         .zeroPoints = tensor.zeroPoints,
                         .minima = tensor.minima,
                         .tensorScale = tensor.tensorScale};
    std::memcpy(copy.codes.data(), tensor.codes.data(), static_cast<std::size_t>(tensor.codes.sizeBytes()));
    return copy;
}

SweepSettings settingsOf(const QuantizerSpec& spec)
{
    const std::string_view scales = optionWord(gptq, spec, "scales");
    return {.scales = scales == "range" ? ScaleChoice::range
                      : scales == "mse" ? ScaleChoice::mse
                                        : ScaleChoice::weighted,
            .staticGroups = optionWord(gptq, spec, "groups") == "static"};
}

std::vector<std::int64_t> orderOf(const QuantizerSpec& spec, const Scheme& scheme, const ActivationStatistics& inputs)
{
    const std::string_view order = optionWord(gptq, spec, "order");
    std::vector<double> diagonal(static_cast<std::size_t>(inputs.in));
    for (std::int64_t i = 0; i < inputs.in && order != "natural"; ++i)
        diagonal[static_cast<std::size_t>(i)] = inputs.gram[static_cast<std::size_t>(i * inputs.in + i)];
    return fallingOrder(diagonal, order == "groups" ? groupWidth(scheme) : 0);
}

Result<QuantizedTensor> quantizeGptq(const QuantizeTask& task, const JobContext& context)
{
    const QuantizeTask plain{.weights = task.weights, .scheme = task.scheme, .spec = {}};
    QL_TRY(rtn, quantize(plain, context));
    const MatrixShape matrix = rtn.matrix();
    const ActivationStatistics& inputs = *task.inputs;
    if (matrix.rows == 0 || matrix.cols == 0)
        return rtn;
    if (inputs.in != matrix.cols)
        return badInput("the statistics are of " + std::to_string(inputs.in) + " inputs, but the layer has " +
                        std::to_string(matrix.cols));
    QL_CHECK(context.checkMemory(2 * rtn.codes.sizeBytes(), "the codes"));
    QuantizedTensor out = copyOf(rtn);
    const double bytes = info(task.weights.dtype).bitsPerElement() / 8;
    context.progress().addTotal(static_cast<std::int64_t>(bytes * static_cast<double>(task.weights.numel())));
    const SweepSettings settings = settingsOf(task.spec);
    QuantizerReport report{.objective = "tr(ΔW·H·ΔWᵀ)"};
    const auto sweepRows = [&](const ActivationStatistics& its, std::int64_t begin, std::int64_t end) -> Result<void> {
        const auto isZero = [](double x) { return x == 0; };
        if (std::ranges::all_of(its.gram, isZero))
            return {}; // rtn's codes stay where no input was seen
        QL_TRY(feedback, makeErrorFeedback(its.gram.data(), orderOf(task.spec, task.scheme, its),
                                           optionNumber(gptq, task.spec, "damp"), context));
        QL_TRY(done, sweep(task, feedback, settings, begin, end, out, context));
        report.rtn += done.rtn;
        report.reached += done.reached;
        if (const std::int64_t sweeps = optionWhole(gptq, task.spec, "polish"); sweeps > 0) {
            QL_TRY(gain, descend(task, its.gram.data(), feedback.damping, static_cast<int>(sweeps), begin, end, out,
                                 context));
            report.reached -= gain;
        }
        return {};
    };
    if (inputs.parts.empty()) {
        QL_CHECK(sweepRows(inputs, 0, matrix.rows));
    } else {
        const std::int64_t range = matrix.rows / std::ssize(inputs.parts);
        for (std::int64_t part = 0; part < std::ssize(inputs.parts); ++part)
            QL_CHECK(sweepRows(inputs.parts[static_cast<std::size_t>(part)], part * range, (part + 1) * range));
    }
    report.keptRtn = !(report.reached < report.rtn);
    if (report.keptRtn)
        report.reached = report.rtn;
    if (task.report)
        *task.report = report;
    return report.keptRtn ? std::move(rtn) : std::move(out);
}

} // namespace

const Quantizer gptq{
    .id = "gptq",
    .title = "GPTQ: error feedback",
    .formula = "codes column by column, argmin tr(ΔW·H·ΔWᵀ) with the columns before fixed",
    .source = "Frantar et al., GPTQ, ICLR 2023; feedback form: Chee et al., QuIP, NeurIPS 2023",
    .options = gptqOptions,
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
               {.key = "damp",
                .meaning = "added to the diagonal of H, times its mean",
                .fallback = "0.01",
                .least = 0,
                .most = 10},
               {.key = "polish",
                .meaning = "sweeps of coordinate descent over codes and scales after that",
                .fallback = "0",
                .least = 0,
                .most = 100,
                .whole = true}},
    .needs = InputNeeds::gram,
    .accepts = gptqAccepts,
    .quantize = quantizeGptq};

} // namespace ql::quantizers
