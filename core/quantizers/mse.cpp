// SPDX-License-Identifier: GPL-3.0-or-later
// Clip search: of the candidates of scale_candidates.h the one with the least squared error of its run. rtn's own scale
// is the first, so the result is never worse. clips=published tries the 111 of the minifloat papers instead. Packed
// schemes: the search of core/formats/block_format.h.
#include "core/quantizers/block_search.h"
#include "core/quantizers/ggml_rule.h"
#include "core/quantizers/options.h"
#include "core/quantizers/scale_candidates.h"
#include "core/quantizers/unit_quantizer.h"

namespace ql::quantizers {

extern const Quantizer mse;

namespace {

Result<void> mseAccepts(const Scheme& scheme, const QuantizerSpec& spec)
{
    if (scheme.isPacked() && !spec.values.empty())
        return usageError("mse has a search of its own for " + printScheme(scheme) + ", without options");
    QL_CHECK(checkOptions(mse, spec));
    const bool isReal =
        scheme.scale == ScaleCoding::f32 || scheme.scale == ScaleCoding::f16 || scheme.scale == ScaleCoding::bf16;
    if (optionWord(mse, spec, "clips") == "published" && (!isReal || isGgufScheme(scheme)))
        return usageError("mse:clips=published is for scales in floating point over a range, which " +
                          printScheme(scheme) + " does not have");
    return {};
}

Result<QuantizedTensor> quantizeMse(const QuantizeTask& task, const JobContext& context)
{
    if (task.scheme.isPacked())
        return searchBlocks(task, {}, context);
    const std::int64_t steps = optionWhole(mse, task.spec, "steps");
    const bool isPublished = optionWord(mse, task.spec, "clips") == "published";
    return quantizeUnits(task, RangeRule::standard,
                         isPublished ? clipCandidates(task.scheme) : scaleCandidates(task.scheme, steps), context);
}

} // namespace

const Quantizer mse{
    .id = "mse",
    .title = "Least squared error",
    .formula = "scale = argmin Σ(w − ŵ)² over shrunk ranges",
    .source = "Banner et al. 2019, section 3; grid of 1 % steps as in QuEST 2024",
    .options = noWords,
    .values = {{.key = "steps", .meaning = "scales tried", .fallback = "80", .least = 1, .most = 1000, .whole = true},
               {.key = "clips",
                .meaning = "steps from the range down, or 1.2, 1.19 … 0.1 of it",
                .fallback = "steps",
                .words = {"steps", "published"}}},
    .accepts = mseAccepts,
    .quantize = quantizeMse};

} // namespace ql::quantizers
