// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/hessian_quantizer.h"

#include "core/formats/block_format.h"

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
    if (const BlockFormat* block = findBlockFormat(scheme); block && !block->codesElements())
        return usageError(std::string(quantizer) + " codes one weight after the other, but " + printScheme(scheme) +
                          " has codes of several together; use imatrix");
    return {};
}

std::vector<double> diagonalOf(const ActivationStatistics& inputs)
{
    std::vector<double> diagonal(static_cast<std::size_t>(inputs.in));
    for (std::int64_t i = 0; i < inputs.in; ++i)
        diagonal[static_cast<std::size_t>(i)] = inputs.gram[static_cast<std::size_t>(i * inputs.in + i)];
    return diagonal;
}

Result<QuantizedTensor> quantizeUnderHessian(const QuantizeTask& task, const RangeQuantizer& quantizeRange,
                                             const JobContext& context)
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
    QuantizerReport report{.objective = "tr(ΔW·H·ΔWᵀ)"};
    const auto workOn = [&](const ActivationStatistics& its, std::int64_t begin, std::int64_t end) -> Result<void> {
        if (std::ranges::all_of(its.gram, [](double x) { return x == 0; }))
            return {};
        QL_TRY(done, quantizeRange(task, its, begin, end, out));
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
        return quantizeUnderHessian(exact, quantizeRange, context);
    }
    if (report.keptRtn)
        report.reached = report.rtn;
    if (task.report)
        *task.report = report;
    return report.keptRtn ? std::move(rtn) : std::move(out);
}

} // namespace ql
