// SPDX-License-Identifier: GPL-3.0-or-later
// ½·Σ_r s_r/mean(s)·ΔW_r·G·ΔW_rᵀ: as the Fisher diagonal, but for errors of one output that answer each other through
// correlated inputs, as error feedback makes them. E[g_r²·x·xᵀ] of output r is taken for s_r/mean(s)·G: s the mean
// squared gradients of outputs, G the Gram matrix of inputs with each token as heavy as the loss feels it. Outputs are
// taken for independent. Where a layer looks up rows, and where G is not known, the Fisher diagonal stands in. Under a
// transform x → x·T, W → W·T⁻ᵀ the sum is that of TᵀGT and so exact; of outputs that are rotated s is exact where their
// Gram matrix is known (calibrate --output-gram), and else the mean of each block, its expectation over the signs.
#include "core/sensitivity/quadratic_error.h"
#include "core/sensitivity/weight_differences.h"

#include <algorithm>
#include <numeric>

namespace ql::metrics {

namespace {

/// Whether G is known of all rows that saw any token.
bool knowsLossGram(const ActivationStatistics* statistics, std::int64_t cols)
{
    const auto knows = [&](const ActivationStatistics& its) {
        return its.in == cols && std::ssize(its.lossGram) == cols * cols;
    };
    if (!statistics || statistics->isEmpty())
        return false;
    return statistics->parts.empty() ? knows(*statistics)
                                     : std::ranges::all_of(statistics->parts, [&](const auto& part) {
                                           return part.isEmpty() || knows(part);
                                       });
}

/// ½·Σ F·ΔW², F of the uses that are, or are not, products with inputs.
Result<double> diagonalPart(const MetricInput& input, bool ofProducts, const JobContext& context)
{
    const auto counts = [&](const LayerFisher& use) { return ofProducts || use.outputSquares.empty(); };
    if (std::ranges::none_of(input.fisher->uses, counts))
        return 0.0;
    QL_TRY(sum, sumOverDifferences(input, context,
                                   [&](std::int64_t first, std::span<const double> differences, CompensatedSum& part) {
                                       std::vector<double> information(differences.size());
                                       for (const LayerFisher& use : input.fisher->uses)
                                           if (counts(use))
                                               use.addPerToken(first, std::ssize(differences), information.data());
                                       for (std::size_t i = 0; i < differences.size(); ++i)
                                           part.add(information[i] * differences[i] * differences[i]);
                                   }));
    return 0.5 * sum;
}

Result<double> measureKfac(const MetricInput& input, const JobContext& context)
{
    const auto [rows, cols] = input.quantized.matrix();
    if (!input.fisher || std::ssize(input.fisher->uses.front().sums) != rows * cols)
        return std::numeric_limits<double>::quiet_NaN();
    const std::vector<double> squares = input.fisher->outputMeanSquares(); // s
    const bool knows = std::ssize(squares) == rows && knowsLossGram(input.activations, cols);
    QL_TRY(diagonal, diagonalPart(input, !knows, context));
    if (!knows)
        return diagonal;
    const auto product = [&](const ActivationStatistics& statistics, std::int64_t begin,
                             std::int64_t end) -> Result<double> {
        std::vector<double> weights(squares.begin() + begin, squares.begin() + end);
        if (const std::int64_t n = end - begin; std::ssize(statistics.outputGram) == n * n)
            for (std::int64_t r = 0; r < n; ++r) // s exactly, also behind a rotation
                weights[static_cast<std::size_t>(r)] =
                    static_cast<double>(statistics.outputGram[static_cast<std::size_t>(r * n + r)]);
        const double mean = std::accumulate(weights.begin(), weights.end(), 0.0) / static_cast<double>(end - begin);
        if (!(mean > 0))
            return 0.0;
        for (double& weight : weights)
            weight /= mean;
        QL_CHECK(context.checkMemory(8 * cols * cols, "a loss-weighted Gram matrix"));
        const std::vector<double> gram(statistics.lossGram.begin(), statistics.lossGram.end());
        return quadraticError(input, begin, end, gram.data(), weights, context);
    };
    QL_TRY(sum, sumOverParts(input, product));
    const auto isProduct = [](const LayerFisher& use) { return !use.outputSquares.empty(); };
    const auto tokens = static_cast<double>(std::ranges::find_if(input.fisher->uses, isProduct)->tokens);
    return diagonal + 0.5 * sum / tokens;
}

} // namespace

extern const Metric kfac;
const Metric kfac{
    .id = "kfac",
    .title = "Predicted KLD, inputs correlated",
    .unit = "nats per token",
    .formula = "½·Σ_r s_r/mean(s)·ΔW_r·G·ΔW_rᵀ, s = E[(∂ ln p/∂y)²], G = E[mean(∂ ln p/∂y)²·xᵀx]",
    .source = "Martens and Grosse, Optimizing neural networks with Kronecker-factored approximate curvature, ICML "
              "2015, section 3",
    .needs = MetricNeeds::lossGram,
    .measure = measureKfac,
};

} // namespace ql::metrics
