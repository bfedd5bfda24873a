// SPDX-License-Identifier: GPL-3.0-or-later
// Scales, minima and codes of GGUF's types that make Σ xⱼ²·(wⱼ − ŵⱼ)² small, with the mean square xⱼ² of each input
// column from an importance matrix or a calibration: what an error of a weight does to the layer's output if inputs are
// uncorrelated. Without one every column counts the same. The searches are those of core/formats.
#include "core/calibration/activations.h"
#include "core/quantizers/block_search.h"
#include "core/quantizers/ggml_rule.h"

namespace ql {

namespace {

std::vector<std::string> imatrixOptions()
{
    return {""};
}

Result<void> imatrixAccepts(const Scheme& scheme, const QuantizerSpec& spec)
{
    if (!spec.option.empty() || !spec.values.empty())
        return usageError("imatrix takes no options");
    if (scheme.isPacked() || isGgufScheme(scheme))
        return {};
    return usageError("imatrix searches the types of GGUF (gguf:q4_k, gguf:q4_0, …); for " + printScheme(scheme) +
                      " use mse");
}

Result<QuantizedTensor> quantizeImatrix(const QuantizeTask& task, const JobContext& context)
{
    const ColumnImportance importance = importanceOf(task.inputs, matrixShape(task.weights.shape).cols);
    return task.scheme.isPacked() ? searchBlocks(task, importance, context) : searchGroups(task, importance, context);
}

} // namespace

namespace quantizers {
extern const Quantizer imatrix;
const Quantizer imatrix{.id = "imatrix",
                        .title = "Importance-weighted search",
                        .formula = "scales, codes = argmin Σ xⱼ²·(wⱼ − ŵⱼ)²",
                        .source = "llama.cpp, tools/imatrix; LeCun, Denker and Solla 1990",
                        .options = imatrixOptions,
                        .needs = InputNeeds::diagonalIfKnown,
                        .accepts = imatrixAccepts,
                        .quantize = quantizeImatrix};
} // namespace quantizers

} // namespace ql
