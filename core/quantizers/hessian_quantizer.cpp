// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/hessian_quantizer.h"

#include "core/formats/block_format.h"
#include "core/jobs/parallel.h"
#include "core/quantizers/options.h"

#include <algorithm>
#include <cstring>

namespace ql {

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

Result<void> codesOneByOne(std::string_view quantizer, const Scheme& scheme)
{
    const BlockFormat* block = findBlockFormat(scheme);
    if (scheme.isPacked() && !(block && (block->codesElements() || block->codesCells())))
        return usageError(std::string(quantizer) + " codes one weight or cell after the other, but " +
                          printScheme(scheme) + " has codes of several together; use imatrix");
    return {};
}

Result<void> codesElements(std::string_view quantizer, const Scheme& scheme)
{
    const BlockFormat* block = findBlockFormat(scheme);
    if (scheme.isPacked() && !(block && block->codesElements()))
        return usageError(std::string(quantizer) + " codes one weight after the other, but " + printScheme(scheme) +
                          " has codes of several together; use gptq or imatrix");
    return {};
}

std::vector<double> Hessian::diagonal() const
{
    std::vector<double> values;
    for (std::int64_t i = 0; i < in; ++i)
        values.push_back(matrix[static_cast<std::size_t>(i * in + i)]);
    return values;
}

QuantizerOption hessianOption()
{
    return {.key = "hessian",
            .meaning = "H of the inputs, of inputs as the loss feels them (calibrate --fisher), or the mean of both",
            .fallback = "both",
            .words = {"inputs", "loss", "both"}};
}

namespace {

bool asks(const Quantizer& quantizer, const QuantizerSpec& spec, std::string_view key, std::string_view word)
{
    return std::ranges::find(quantizer.values, key, &QuantizerOption::key) != quantizer.values.end() &&
           optionWord(quantizer, spec, key) == word;
}

} // namespace

bool needsLossGram(const Quantizer& quantizer, const QuantizerSpec& spec)
{
    return asks(quantizer, spec, "hessian", "loss");
}

bool needsOutputGram(const Quantizer& quantizer, const QuantizerSpec& spec)
{
    return asks(quantizer, spec, "rows", "together");
}

QuantizerOption dampOption()
{
    return {.key = "damp",
            .meaning = "added to the diagonal of H, times its mean",
            .fallback = "0.01",
            .least = 0,
            .most = 10};
}

namespace {

double traceOf(std::span<const double> matrix, std::int64_t n)
{
    double sum = 0;
    for (std::int64_t i = 0; i < n; ++i)
        sum += matrix[static_cast<std::size_t>(i * n + i)];
    return sum;
}

/// H of the inputs as asked for, in `held` where it is none of the matrices at hand.
Result<Hessian> hessianOf(const ActivationStatistics& its, std::string_view which, std::vector<double>& held,
                          const JobContext& context)
{
    const Hessian inputs{its.in, its.gram, its.outputGram};
    if (which == "inputs" || (which == "both" && its.lossGram.empty()))
        return inputs;
    if (its.lossGram.empty())
        return usageError("hessian=loss needs what the loss feels of the inputs; calibrate with --fisher, or use "
                          "hessian=inputs");
    const std::int64_t n = its.in;
    QL_CHECK(context.checkMemory(8 * n * n, "a loss-weighted Gram matrix"));
    held.assign(its.lossGram.begin(), its.lossGram.end());
    const double trace = traceOf(held, n);
    if (!(trace > 0)) // no token matters
        return inputs;
    const double scale = traceOf(its.gram, n) / trace;
    const bool isMean = which == "both";
    constexpr std::int64_t kGrain = 1 << 17;
    QL_CHECK(parallelFor(context, n * n, kGrain, [&](std::int64_t begin, std::int64_t end) {
        for (auto i = static_cast<std::size_t>(begin); i < static_cast<std::size_t>(end); ++i)
            held[i] = isMean ? (its.gram[i] + scale * held[i]) / 2 : scale * held[i];
    }));
    return Hessian{n, held, its.outputGram};
}

} // namespace

Result<QuantizedTensor> quantizeUnderHessian(const QuantizeTask& task, std::string_view which,
                                             const RangeQuantizer& quantizeRange, const JobContext& context)
{
    const QuantizeTask plain{
        .weights = task.weights, .scheme = task.scheme, .spec = {}, .sharedAbsMax = task.sharedAbsMax};
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
    QuantizerReport report{.objective = "tr(ΔW·H·ΔWᵀ)"};
    const auto workOn = [&](const ActivationStatistics& its, std::int64_t begin, std::int64_t end) -> Result<void> {
        if (std::ranges::all_of(its.gram, [](double x) { return x == 0; }))
            return {};
        std::vector<double> held;
        QL_TRY(hessian, hessianOf(its, which, held, context));
        QL_TRY(done, quantizeRange(task, hessian, begin, end, out));
        if (done.withOutputs)
            report.objective = "tr(S·ΔW·H·ΔWᵀ)";
        report.rtn += done.rtn;
        report.reached += done.reached;
        return {};
    };
    if (inputs.parts.empty())
        QL_CHECK(workOn(inputs, 0, matrix.rows));
    const std::int64_t range = inputs.parts.empty() ? 0 : matrix.rows / std::ssize(inputs.parts);
    for (std::int64_t part = 0; part < std::ssize(inputs.parts); ++part)
        QL_CHECK(workOn(inputs.parts[static_cast<std::size_t>(part)], part * range, (part + 1) * range));
    report.keptRtn = !(report.reached < report.rtn);
    if (report.keptRtn && !task.report) { // rtn's objective may be a bound: once more, with all of it
        QuantizeTask exact = task;
        exact.report = &report;
        return quantizeUnderHessian(exact, which, quantizeRange, context);
    }
    if (report.keptRtn)
        report.reached = report.rtn;
    if (task.report)
        *task.report = report;
    return report.keptRtn ? std::move(rtn) : std::move(out);
}

} // namespace ql
