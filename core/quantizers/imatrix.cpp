// SPDX-License-Identifier: GPL-3.0-or-later
// Scales, minima and codes that make Σ xⱼ²·(wⱼ − ŵⱼ)² small, with the mean square xⱼ² of each input
// column from an importance matrix or a calibration: what an error of a weight does to the layer's output if inputs are
// uncorrelated. Without one every column counts the same. GGUF's searches are those of core/formats, all others that of
// weighted_scales.h.
#include "core/calibration/activations.h"
#include "core/quantizers/block_search.h"
#include "core/quantizers/ggml_rule.h"
#include "core/quantizers/options.h"
#include "core/quantizers/run_quantizer.h"
#include "core/quantizers/scale_candidates.h"
#include "core/quantizers/weighted_scales.h"

namespace ql::quantizers {

extern const Quantizer imatrix;

namespace {

Result<void> imatrixAccepts(const Scheme&, const QuantizerSpec& spec)
{
    return checkOptions(imatrix, spec);
}

class ImportanceChooser final : public RunChooser {
public:
    ImportanceChooser(const ElementCoder& coder, const ScaleRule& rule)
        : m_coder(coder),
          m_rule(rule),
          m_candidates(scaleCandidates(rule.scheme(), kSteps)),
          m_scales(coder, rule, m_candidates)
    {}

    Result<ChosenRun> choose(const WeightRun& run, const JobContext& context) override
    {
        QL_CHECK(context.checkStop());
        const float* importance = run.importance;
        if (!importance) {
            m_ones.assign(static_cast<std::size_t>(run.count), 1);
            importance = m_ones.data();
        }
        const auto error = [&](const RunParameters& parameters) {
            return weightedErrorOfRun(m_coder, m_rule.affine(parameters), run.weights, importance, run.count);
        };
        const RunParameters best = m_scales.best(run.weights, importance, run.count);
        return ChosenRun{best, error(m_rule.choose(run.range)), error(best)};
    }

private:
    static constexpr std::int64_t kSteps = 40;
    const ElementCoder& m_coder;
    const ScaleRule& m_rule;
    const Candidates m_candidates;
    WeightedScales m_scales;
    std::vector<float> m_ones;
};

Result<QuantizedTensor> quantizeImatrix(const QuantizeTask& task, const JobContext& context)
{
    if (!task.scheme.isPacked() && !isGgufScheme(task.scheme))
        return quantizeRuns(
            task, true, "Σ xⱼ²·(wⱼ − ŵⱼ)²",
            [](const ElementCoder& coder, const ScaleRule& rule) {
                return std::make_unique<ImportanceChooser>(coder, rule);
            },
            context);
    const ColumnImportance importance = importanceOf(task.inputs, matrixShape(task.weights.shape).cols);
    return task.scheme.isPacked() ? searchBlocks(task, importance, context) : searchGroups(task, importance, context);
}

} // namespace

const Quantizer imatrix{.id = "imatrix",
                        .title = "Importance-weighted search",
                        .formula = "scales, codes = argmin Σ xⱼ²·(wⱼ − ŵⱼ)²",
                        .source = "llama.cpp, tools/imatrix; LeCun, Denker and Solla 1990",
                        .options = noWords,
                        .needs = InputNeeds::diagonalIfKnown,
                        .accepts = imatrixAccepts,
                        .quantize = quantizeImatrix};
} // namespace ql::quantizers
