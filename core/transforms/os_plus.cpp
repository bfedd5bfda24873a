// SPDX-License-Identifier: GPL-3.0-or-later
// Outlier Suppression+: each channel is moved to the middle of its range (z_j, where the norm and all its readers have
// biases that take it up) and those beyond ±t shrink to it. t is tried from A = max|x − z| down to `least` in
// N = max(100, ⌊A/0.5⌋) equal steps. The published search quantizes the outputs of whole blocks; here the error of the
// layers' outputs at `bits` for both operands, one scale per tensor, follows from ranges and column norms:
//   δ_x²/12 · Σ w'² + δ_w²/12 · rows · Σ_j E[x'_j²],  δ = range/(2^bits − 1),
// with E[x'²] from the squares of the inputs, of moved channels as if z were their mean.
#include "core/base/text.h"
#include "core/jobs/parallel.h"
#include "core/transforms/scale_folding.h"
#include "core/transforms/site_choice.h"
#include "core/transforms/smoothing.h"
#include "core/transforms/threshold_search.h"
#include "core/transforms/transform.h"

#include <algorithm>

namespace ql {

namespace {

constexpr TransformOption kKeys[] = {{"bits", "2…8 of activations and weights, for the search; default 8"},
                                     {"least", "smallest threshold tried, above 0; default 0.1"},
                                     kSitesOption};

Result<void> accepts(const TransformSpec& spec)
{
    QL_CHECK(numberOf(spec, "bits", 8, 2, 8));
    QL_CHECK(numberOf(spec, "least", 0.1, 1e-6, 1e6));
    QL_CHECK(sitesOption(spec, SiteChoice::norms));
    return {};
}

/// Σ over rows of all readers of W_j², per channel, and how many rows there are.
Result<ThresholdSearch> searchFor(const TransformTask& task, const FoldSite& site, const JobContext& context)
{
    ThresholdSearch search;
    QL_TRY(largest, largestWeights(task.model, site, context));
    search.largestWeights = std::move(largest);
    std::vector<double> squares(static_cast<std::size_t>(site.columns()), 0);
    for (const FoldSite::Reader& reader : site.readers) {
        QL_TRY(data, task.model.loadWeights(reader.layer, context));
        const std::int64_t cols = site.columns();
        const std::int64_t rows = data.view.numel() / cols;
        search.rows += rows;
        const auto ofRows = [&](std::int64_t begin, std::int64_t end) {
            std::vector<double> sums(squares.size(), 0);
            std::vector<double> row(squares.size());
            for (std::int64_t r = begin; r < end; ++r) {
                decode(data.view.dtype, data.view.data, r * cols, cols, row.data());
                for (std::size_t j = 0; j < row.size(); ++j)
                    sums[j] += row[j] * row[j];
            }
            return sums;
        };
        const auto merge = [](std::vector<double>& into, const std::vector<double>& next) {
            std::ranges::transform(into, next, into.begin(), std::plus());
        };
        QL_TRY(all,
               deterministicReduce(context, rows, std::max<std::int64_t>(1, (1 << 18) / cols), squares, ofRows, merge));
        squares = std::move(all);
    }
    search.weightSquares.assign(static_cast<std::size_t>(site.channels), 0);
    for (std::size_t c = 0; c < squares.size(); ++c)
        search.weightSquares[static_cast<std::size_t>(site.channelOf(static_cast<std::int64_t>(c)))] += squares[c];
    return search;
}

/// Smallest and largest over the columns of each channel.
void addRanges(ThresholdSearch& search, const FoldSite& site, const ActivationStatistics& input)
{
    std::vector<double> negated = input.channelMin;
    for (double& value : negated)
        value = -value;
    // channelsOf() starts at 0: a range that leaves 0 out is one that reaches it, which is as safe.
    search.max = site.kind == FoldSite::Kind::norm ? input.channelMax : channelsOf(site, input.channelMax);
    search.min = site.kind == FoldSite::Kind::norm ? input.channelMin : channelsOf(site, negated);
    if (site.kind != FoldSite::Kind::norm)
        for (double& value : search.min)
            value = -value;
    for (const double rms : channelsOf(site, input.channelRms))
        search.inputSquares.push_back(rms * rms);
}

bool takesShift(const FoldSite& site)
{
    return site.kind == FoldSite::Kind::norm && site.normBias >= 0 &&
           std::ranges::all_of(site.readers, [](const FoldSite::Reader& reader) { return reader.bias >= 0; });
}

Result<Rewrite> rewrite(const TransformTask& task, const JobContext& context)
{
    QL_TRY(bits, numberOf(task.spec, "bits", 8, 2, 8));
    QL_TRY(least, numberOf(task.spec, "least", 0.1, 1e-6, 1e6));
    QL_TRY(choice, sitesOption(task.spec, SiteChoice::norms));
    Rewrite rewrite;
    QL_TRY(sites, scalableSites(task, choice, rewrite));
    bool anyShift = false;
    for (const FoldSite& site : sites) {
        QL_TRY(input, inputOf(task.model, site, task.activations, context));
        QL_CHECK(largestInputs(task.model, site, task.activations, context)); // refuses where ranges are not known
        QL_TRY(search, searchFor(task, site, context));
        addRanges(search, site, *input);
        std::vector<double> z;
        if (takesShift(site)) {
            z = middles(search.min, search.max);
            search.shift(z);
            anyShift = true;
        }
        search.bits = bits;
        QL_TRY(t, search.best(least, context));
        QL_CHECK(foldScale(rewrite, task.model, site, thresholdFactors(search.min, search.max, t), z, context));
    }
    if (anyShift)
        rewrite.notes.push_back({"os_plus",
                                 "moves channels, so of their inputs ranges are known and squares no longer; "
                                 "quantizers that need these refuse such layers"});
    return rewrite;
}

} // namespace

namespace transforms {
extern const Transform os_plus;
const Transform os_plus{.id = "os_plus",
                        .title = "Outlier Suppression+",
                        .formula = "z_j = (max_j + min_j)/2; s_j = max(1, max_j/t, min_j/(−t)); (X_j − z_j)/s_j",
                        .source = "Wei et al. 2023 (Outlier Suppression+), sections 4.1 and 4.2",
                        .isLocal = true,
                        .needs = TransformNeeds::ranges,
                        .keys = kKeys,
                        .words = {},
                        .accepts = accepts,
                        .rewrite = rewrite};
} // namespace transforms

} // namespace ql
