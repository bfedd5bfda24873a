// SPDX-License-Identifier: GPL-3.0-or-later
// SliM-LLM for slim<N>:g<g> (core/formats/group_ladder.h). Which groups get fewer and more bits: saliences are
// δ = w²·D_j with D_j = 1/U_jj² of the feedback (error_feedback.h), summed over a group and all rows; of the ladders k
// the one whose plainly rounded weights keep the softmax of the layer's outputs best, by the mean
// KL(softmax(Y_q)‖softmax(Y)) over inputs drawn from N(0, XᵀX/n): the calibration's own tokens are not at hand, their
// second moments are. (The published loop leaves k = 0 out.) Then column after column with feedback; the range of a
// row's group is that of its weights as the feedback has left them times p, p = 1 and 1 ± 0.002·i, i ≤ 50, the one with
// the least Σ|w − ŵ|^2.4, errors of salient weights (their δ more than two standard deviations above or below the
// group's mean, by the least such δ) counted lambda times. Equal bits for any thread count on one CPU.
#include "core/base/matrix_product.h"
#include "core/base/rng.h"
#include "core/formats/finite_weights.h"
#include "core/formats/group_ladder.h"
#include "core/jobs/tiles.h"
#include "core/quantizers/hessian_quantizer.h"
#include "core/quantizers/options.h"
#include "core/quantizers/unit_quantizer.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

namespace ql::quantizers {

extern const Quantizer slim;

namespace {

constexpr std::int64_t kTokens = 128; // drawn
constexpr int kShrinks = 50;          // to either side
constexpr double kWiden = 0.1;
constexpr double kPower = 2.4;
constexpr double kSalient = 2; // standard deviations
constexpr double kLeastProbability = 1e-6;

struct SlimSettings {
    bool feedback = true;
    bool searches = true;
    double lambda = 1;
    double shrink = 0.1;
};

Result<void> slimAccepts(const Scheme& scheme, const QuantizerSpec& spec)
{
    if (!ladderSchemeOf(scheme))
        return usageError("slim chooses the widths of groups of slim2:g<size> and slim3:g<size>, which " +
                          printScheme(scheme) + " does not have; use gptq");
    return checkOptions(slim, spec);
}

/// What the steps share.
struct SlimLayer {
    const LadderBytes& layout;
    MatrixShape shape;
    const FiniteWeights& weights;
    const ErrorFeedback& feedback; // in the columns' own order
};

/// Restores a group of a row as plain rounding codes it.
void roundPlainly(const float* w, std::int64_t count, int width, float* out)
{
    const LadderRange range = plainLadderRange(w, count, width);
    for (std::int64_t i = 0; i < count; ++i)
        out[i] = ladderValue(range, width, ladderCode(range, width, w[i]));
}

Result<std::vector<double>> salienceOf(const SlimLayer& layer, const JobContext& context)
{
    const auto groups = static_cast<std::size_t>(layer.layout.groups);
    const std::int64_t grain = std::max<std::int64_t>(1, (std::int64_t{1} << 16U) / layer.shape.cols);
    return deterministicReduce(
        context, layer.shape.rows, grain, std::vector<double>(groups, 0.0),
        [&](std::int64_t begin, std::int64_t end) {
            std::vector<double> sums(groups, 0.0);
            for (std::int64_t row = begin; row < end; ++row) {
                const float* w = layer.weights.row(row, layer.shape.cols);
                for (std::int64_t c = 0; c < layer.shape.cols; ++c)
                    sums[static_cast<std::size_t>(c / layer.layout.group)] +=
                        layer.feedback.cost[static_cast<std::size_t>(c)] * static_cast<double>(w[c]) *
                        static_cast<double>(w[c]);
            }
            return sums;
        },
        [](std::vector<double>& into, const std::vector<double>& next) {
            std::ranges::transform(into, next, into.begin(), std::plus<>());
        });
}

/// X[kTokens, cols] of covariance H/tokens: rows z·√D·(I + F)ᵀ. Where the tokens were not counted the mean square is 1.
Result<std::vector<float>> drawInputs(const SlimLayer& layer, const ActivationStatistics& inputs,
                                      const JobContext& context)
{
    const std::int64_t n = layer.shape.cols;
    QL_CHECK(context.checkMemory(8 * kTokens * n, "drawn inputs"));
    std::vector<float> z(static_cast<std::size_t>(kTokens * n));
    const CounterRng rng(1);
    const std::vector<double> squares = Hessian{.in = n, .matrix = inputs.gram}.diagonal();
    const double count = inputs.tokens > 0
                             ? static_cast<double>(inputs.tokens)
                             : std::accumulate(squares.begin(), squares.end(), 0.0) / static_cast<double>(n);
    const double factor = 1 / std::sqrt(count);
    for (std::size_t i = 0; i < z.size(); ++i)
        z[i] = static_cast<float>(factor * rng.normal(i) *
                                  std::sqrt(layer.feedback.cost[i % static_cast<std::size_t>(n)]));
    // H = (I + F)·D·(I + F)ᵀ: x = (I + F)·√D·z, with F strictly upper.
    std::vector<float> x(z);
    QL_CHECK(multiply(MatrixProduct<float>{.rows = kTokens,
                                           .cols = n,
                                           .depth = n,
                                           .a = z.data(),
                                           .aStride = n,
                                           .b = layer.feedback.factor.as<float>(),
                                           .bStride = n,
                                           .bTransposed = true,
                                           .c = x.data(),
                                           .cStride = n,
                                           .beta = 1},
                      parallelTiles(context)));
    return x;
}

std::vector<double> softmax(const float* y, std::int64_t count)
{
    const float most = *std::max_element(y, y + count);
    std::vector<double> p(static_cast<std::size_t>(count));
    double sum = 0;
    for (std::size_t i = 0; i < p.size(); ++i) {
        p[i] = std::exp(static_cast<double>(y[i]) - static_cast<double>(most));
        sum += p[i];
    }
    for (double& value : p)
        value = std::max(kLeastProbability, value / sum);
    return p;
}

/// Mean over tokens of KL(softmax(Y_q)‖softmax(Y)), Y[kTokens, rows].
Result<double> meanDivergence(const std::vector<float>& quantized, const std::vector<float>& exact, std::int64_t rows,
                              const JobContext& context)
{
    QL_TRY(sum, deterministicReduce(
                    context, kTokens, 4, 0.0,
                    [&](std::int64_t begin, std::int64_t end) {
                        double total = 0;
                        for (std::int64_t t = begin; t < end; ++t) {
                            const std::vector<double> q = softmax(quantized.data() + t * rows, rows);
                            const std::vector<double> p = softmax(exact.data() + t * rows, rows);
                            for (std::size_t i = 0; i < q.size(); ++i)
                                total += q[i] * std::log(q[i] / p[i]);
                        }
                        return total;
                    },
                    [](double& into, double next) { into += next; }));
    return sum / static_cast<double>(kTokens);
}

/// Y += X_g·B_gᵀ for a group's columns of B[rows, width of the group].
Result<void> addProduct(const SlimLayer& layer, const std::vector<float>& x, std::int64_t group,
                        const std::vector<float>& b, std::vector<float>& y, const JobContext& context)
{
    const std::int64_t width = layer.layout.width(group, layer.shape);
    return multiply(MatrixProduct<float>{.rows = kTokens,
                                         .cols = layer.shape.rows,
                                         .depth = width,
                                         .a = x.data() + group * layer.layout.group,
                                         .aStride = layer.shape.cols,
                                         .b = b.data(),
                                         .bStride = width,
                                         .bTransposed = true,
                                         .c = y.data(),
                                         .cStride = layer.shape.rows,
                                         .beta = 1},
                    parallelTiles(context));
}

/// A group's columns in `width` bits, less those in `instead` bits, or less nothing (0); width 0: the weights
/// themselves.
Result<std::vector<float>> groupOf(const SlimLayer& layer, std::int64_t group, int width, int instead,
                                   const JobContext& context)
{
    const std::int64_t count = layer.layout.width(group, layer.shape);
    std::vector<float> out(static_cast<std::size_t>(layer.shape.rows * count));
    QL_CHECK(forRows(context, {layer.shape.rows, count}, [&](std::int64_t row) {
        const float* w = layer.weights.row(row, layer.shape.cols) + group * layer.layout.group;
        float* to = out.data() + row * count;
        if (width == 0)
            std::copy(w, w + count, to);
        else
            roundPlainly(w, count, width, to);
        if (instead > 0) {
            std::vector<float> other(static_cast<std::size_t>(count));
            roundPlainly(w, count, instead, other.data());
            for (std::int64_t i = 0; i < count; ++i)
                to[i] -= other[static_cast<std::size_t>(i)];
        }
    }));
    return out;
}

/// The widths whose plainly rounded outputs diverge least.
Result<std::vector<int>> chooseWidths(const SlimLayer& layer, const ActivationStatistics& inputs,
                                      const JobContext& context)
{
    const LadderBytes& layout = layer.layout;
    QL_TRY(salience, salienceOf(layer, context));
    QL_TRY(x, drawInputs(layer, inputs, context));
    const std::int64_t rows = layer.shape.rows;
    QL_CHECK(context.checkMemory(4 * rows * (2 * kTokens + 2 * layout.group), "outputs of drawn inputs"));
    std::vector<float> exact(static_cast<std::size_t>(kTokens * rows), 0.0F);
    std::vector<float> quantized(exact);
    for (std::int64_t g = 0; g < layout.groups; ++g) {
        QL_TRY(own, groupOf(layer, g, 0, 0, context));
        QL_CHECK(addProduct(layer, x, g, own, exact, context));
        QL_TRY(rounded, groupOf(layer, g, layout.bits, 0, context));
        QL_CHECK(addProduct(layer, x, g, rounded, quantized, context));
    }
    std::vector<int> best = ladderWidths(layout, salience, 0);
    QL_TRY(least, meanDivergence(quantized, exact, rows, context));
    std::vector<int> before = best;
    for (std::int64_t k = 1; k <= layout.whole / 2; ++k) {
        const std::vector<int> widths = ladderWidths(layout, salience, k);
        for (std::int64_t g = 0; g < layout.groups; ++g) {
            const auto at = static_cast<std::size_t>(g);
            if (widths[at] == before[at])
                continue;
            QL_TRY(change, groupOf(layer, g, widths[at], before[at], context));
            QL_CHECK(addProduct(layer, x, g, change, quantized, context));
        }
        before = widths;
        QL_TRY(divergence, meanDivergence(quantized, exact, rows, context));
        if (divergence < least) {
            least = divergence;
            best = widths;
        }
    }
    return best;
}

/// The range of a group by the search of p.
LadderRange searchRange(const float* w, const double* delta, std::int64_t count, int width,
                        const SlimSettings& settings)
{
    double mean = 0;
    for (std::int64_t i = 0; i < count; ++i)
        mean += delta[i];
    mean /= static_cast<double>(count);
    double variance = 0;
    for (std::int64_t i = 0; i < count; ++i)
        variance += (delta[i] - mean) * (delta[i] - mean);
    const double deviation = std::sqrt(variance / static_cast<double>(count));
    double threshold = std::numeric_limits<double>::infinity();
    for (std::int64_t i = 0; i < count; ++i)
        if (std::fabs(delta[i] - mean) > kSalient * deviation)
            threshold = std::min(threshold, delta[i]);
    LadderRange best;
    double least = std::numeric_limits<double>::infinity();
    for (int i = 0; i <= 2 * kShrinks; ++i) {
        const double p = i == 0       ? 1
                         : i % 2 == 1 ? 1 - settings.shrink * ((i + 1) / 2) / kShrinks
                                      : 1 + kWiden * (i / 2) / kShrinks;
        const LadderRange range = plainLadderRange(w, count, width, p);
        double error = 0;
        for (std::int64_t j = 0; j < count && error < least; ++j) {
            const float back = ladderValue(range, width, ladderCode(range, width, w[j]));
            const double rest = std::fabs(static_cast<double>(w[j]) - static_cast<double>(back));
            error += std::pow(rest, kPower) * (delta[j] >= threshold ? settings.lambda : 1);
        }
        if (error < least) {
            least = error;
            best = range;
        }
    }
    return best;
}

/// Codes one row.
void codeRow(const SlimLayer& layer, const SlimSettings& settings, const std::vector<int>& widths, std::int64_t row,
             std::byte* bytes, const JobContext& context)
{
    const LadderBytes& layout = layer.layout;
    const std::int64_t cols = layer.shape.cols;
    const float* w = layer.weights.row(row, cols);
    const auto* factor = layer.feedback.factor.as<float>();
    std::vector<double> wanted(w, w + cols); // w_j + Σ_{k<j} Δ_k·F_kj so far
    std::vector<LadderRange> ranges;
    std::vector<std::uint8_t> codes(static_cast<std::size_t>(cols));
    for (std::int64_t g = 0; g < layout.groups; ++g) {
        if (context.stopRequested()) // what is made of the row is not used then
            return;
        const std::int64_t first = g * layout.group;
        const std::int64_t count = layout.width(g, layer.shape);
        const int width = widths[static_cast<std::size_t>(g)];
        std::vector<float> now;
        std::vector<double> delta;
        for (std::int64_t c = first; c < first + count; ++c) {
            const auto at = static_cast<std::size_t>(c);
            now.push_back(static_cast<float>(wanted[at]));
            delta.push_back(layer.feedback.cost[at] * wanted[at] * wanted[at]);
        }
        ranges.push_back(settings.searches ? searchRange(now.data(), delta.data(), count, width, settings)
                                           : plainLadderRange(now.data(), count, width));
        const LadderRange& range = ranges.back();
        for (std::int64_t c = first; c < first + count; ++c) {
            const auto at = static_cast<std::size_t>(c);
            const unsigned code = ladderCode(range, width, static_cast<float>(wanted[at]));
            codes[at] = static_cast<std::uint8_t>(code);
            if (!settings.feedback)
                continue;
            const double rest = static_cast<double>(w[c]) - static_cast<double>(ladderValue(range, width, code));
            for (std::int64_t j = c + 1; j < cols; ++j)
                wanted[static_cast<std::size_t>(j)] += rest * static_cast<double>(factor[c * cols + j]);
        }
    }
    storeLadderRow(layout, widths, row, layer.shape, ranges, codes.data(), bytes);
}

/// tr(ΔW·XᵀX·ΔWᵀ).
Result<double> outputError(const SlimLayer& layer, const QuantizedTensor& tensor, const double* gram,
                           const JobContext& context)
{
    const std::int64_t cols = layer.shape.cols;
    const std::int64_t step = std::max<std::int64_t>(1, (std::int64_t{1} << 22U) / cols);
    std::vector<float> back(static_cast<std::size_t>(std::min(step, layer.shape.rows) * cols));
    std::vector<double> difference(back.size());
    double total = 0;
    for (std::int64_t row = 0; row < layer.shape.rows; row += step) {
        const std::int64_t last = std::min(layer.shape.rows, row + step);
        tensor.restoreRows(row, last, back.data());
        const float* w = layer.weights.row(row, cols);
        for (std::int64_t i = 0; i < (last - row) * cols; ++i)
            difference[static_cast<std::size_t>(i)] =
                static_cast<double>(w[i]) - static_cast<double>(back[static_cast<std::size_t>(i)]);
        QL_TRY(part, quadraticTrace(difference.data(), last - row, cols, gram, parallelTiles(context)));
        total += part;
    }
    return total;
}

Result<QuantizedTensor> quantizeSlim(const QuantizeTask& task, const JobContext& context)
{
    const ActivationStatistics& inputs = *task.inputs;
    QL_TRY(out, allocateQuantized(task, context));
    const MatrixShape shape = out.matrix();
    if (shape.rows == 0 || shape.cols == 0)
        return out;
    if (inputs.gram.empty())
        return usageError(
            "slim gives all rows of a group one width, but ranges of this layer's rows see inputs of their "
            "own; use imatrix");
    if (inputs.in != shape.cols)
        return badInput("the statistics are of " + std::to_string(inputs.in) + " inputs, but the layer has " +
                        std::to_string(shape.cols));
    const QuantizeTask plain{.weights = task.weights, .scheme = task.scheme, .spec = {}};
    if (std::ranges::all_of(inputs.gram, [](double x) { return x == 0; }))
        return quantize(plain, context);
    const LadderScheme ladder = *ladderSchemeOf(task.scheme);
    const LadderBytes layout(ladder.bits, ladder.group, shape);
    const double damp = optionNumber(slim, task.spec, "damp");
    const SlimSettings settings{.feedback = optionWord(slim, task.spec, "feedback") == "yes",
                                .searches = optionWord(slim, task.spec, "ranges") == "search",
                                .lambda = optionNumber(slim, task.spec, "lambda"),
                                .shrink = optionNumber(slim, task.spec, "shrink")};
    context.progress().addTotal(2 * shape.rows * shape.cols);
    QL_TRY(weights, finiteWeights(task.weights, context));
    std::vector<std::int64_t> order(static_cast<std::size_t>(shape.cols));
    std::iota(order.begin(), order.end(), std::int64_t{0});
    QL_TRY(feedback, makeErrorFeedback(inputs.gram.data(), std::move(order), damp, context));
    const SlimLayer layer{layout, shape, weights, feedback};
    QL_TRY(widths, chooseWidths(layer, inputs, context));
    context.progress().addDone(shape.rows * shape.cols);
    storeLadderWidths(layout, widths, out.codes.data());
    QL_CHECK(forRows(
        context, shape,
        [&](std::int64_t row) {
            codeRow(layer, settings, widths, row, out.codes.data(), context);
            context.progress().addDone(shape.cols);
        },
        1));
    QL_TRY(rtn, quantize(plain, context));
    QuantizerReport report{.objective = "tr(ΔW·H·ΔWᵀ)"};
    QL_TRY(reached, outputError(layer, out, inputs.gram.data(), context));
    QL_TRY(before, outputError(layer, rtn, inputs.gram.data(), context));
    report.rtn = before;
    report.keptRtn = !(reached < before);
    report.reached = report.keptRtn ? before : reached;
    if (task.report)
        *task.report = report;
    return report.keptRtn ? std::move(rtn) : std::move(out);
}

} // namespace

const Quantizer slim{
    .id = "slim",
    .title = "SliM-LLM: widths by salience, ranges by salient weights, error feedback",
    .formula = "widths = argmin KL(softmax(Y_q)‖softmax(Y)), ranges = argmin Σ|w − ŵ|^2.4, codes by feedback",
    .source = "Huang et al., SliM-LLM, ICML 2025, sections 3.2 and 3.3",
    .options = noWords,
    .values = {{.key = "lambda",
                .meaning = "weight of salient errors in the ranges' search; the published code has 1",
                .fallback = "1",
                .least = 0,
                .most = 1000},
               {.key = "ranges",
                .meaning = "of the weights, or the least error of 101 of them",
                .fallback = "search",
                .words = {"plain", "search"}},
               {.key = "shrink",
                .meaning = "how far ranges may shrink in the search; the published code has 0.1, 2 bits like more",
                .fallback = "0.1",
                .least = 0,
                .most = 0.9},
               {.key = "feedback",
                .meaning = "whether columns make up for the errors of those before",
                .fallback = "yes",
                .words = {"yes", "no"}},
               dampOption()},
    .needs = InputNeeds::gram,
    .accepts = slimAccepts,
    .quantize = quantizeSlim};

} // namespace ql::quantizers
