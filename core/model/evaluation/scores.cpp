// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/scores.h"

#include "core/base/sum.h"

#include <algorithm>
#include <cmath>
#include <functional>

namespace ql {

namespace {

using Quantity = std::function<double(const TokenScore&)>;

double meanOf(const std::vector<TokenScore>& scores, std::size_t begin, std::size_t end, const Quantity& quantity)
{
    CompensatedSum sum;
    for (std::size_t i = begin; i < end; ++i)
        sum.add(quantity(scores[i]));
    return sum.value() / static_cast<double>(end - begin);
}

/// √(variance / (n − 1)) of n values given by index; 0 below two.
double standardError(std::size_t n, const std::function<double(std::size_t)>& value, double mean)
{
    if (n < 2)
        return 0;
    CompensatedSum squares;
    for (std::size_t i = 0; i < n; ++i)
        squares.add((value(i) - mean) * (value(i) - mean));
    const auto count = static_cast<double>(n);
    return std::sqrt(squares.value() / count / (count - 1));
}

Estimate estimate(const std::vector<TokenScore>& scores, std::int64_t windows, const Quantity& quantity)
{
    if (scores.empty())
        return {};
    Estimate result;
    result.value = meanOf(scores, 0, scores.size(), quantity);
    result.tokenError = standardError(
        scores.size(), [&](std::size_t i) { return quantity(scores[i]); }, result.value);
    const auto count = static_cast<std::size_t>(windows);
    const std::size_t length = scores.size() / count;
    result.windowError = standardError(
        count, [&](std::size_t w) { return meanOf(scores, w * length, (w + 1) * length, quantity); }, result.value);
    return result;
}

/// The estimate of f(mean) from that of the mean: errors times |f'|.
Estimate through(const Estimate& mean, double value, double slope)
{
    return {value, std::fabs(slope) * mean.tokenError, std::fabs(slope) * mean.windowError};
}

Estimate exponential(const Estimate& mean)
{
    return through(mean, std::exp(mean.value), std::exp(mean.value));
}

double deltaP(const TokenScore& score)
{
    return std::exp(-score.otherNll) - std::exp(-score.nll);
}

} // namespace

PerplexityScore perplexityOf(const std::vector<TokenScore>& scores, std::int64_t windows)
{
    return {windows, std::ssize(scores),
            exponential(estimate(scores, windows, [](const TokenScore& score) { return score.nll; }))};
}

ComparisonScore comparisonOf(const std::vector<TokenScore>& scores, std::int64_t windows)
{
    const auto of = [&](const Quantity& quantity) { return estimate(scores, windows, quantity); };
    ComparisonScore result;
    result.perplexity = exponential(of([](const TokenScore& score) { return score.otherNll; }));
    result.lnRatio = of([](const TokenScore& score) { return score.otherNll - score.nll; });
    const auto kld = [](const TokenScore& score) { return score.kld; };
    result.kld = of(kld);
    const std::size_t length = scores.size() / static_cast<std::size_t>(std::max<std::int64_t>(windows, 1));
    for (std::size_t begin = 0; length > 0 && begin + length <= scores.size(); begin += length)
        result.windowKlds.push_back(meanOf(scores, begin, begin + length, kld));
    result.sameTop = of([](const TokenScore& score) { return score.sameTop ? 1.0 : 0.0; });
    result.meanDeltaP = of(deltaP);
    const Estimate square = of([](const TokenScore& score) { return deltaP(score) * deltaP(score); });
    const double rms = std::sqrt(square.value);
    result.rmsDeltaP = through(square, rms, rms > 0 ? 0.5 / rms : 0);
    std::vector<double> sorted;
    sorted.reserve(scores.size());
    for (const TokenScore& score : scores)
        sorted.push_back(score.kld);
    std::sort(sorted.begin(), sorted.end());
    result.medianKld = percentile(sorted, 0.5);
    result.kld99 = percentile(sorted, 0.99);
    result.kld999 = percentile(sorted, 0.999);
    result.maxKld = percentile(sorted, 1);
    return result;
}

double percentile(const std::vector<double>& sorted, double fraction)
{
    if (sorted.empty())
        return 0;
    const double place = fraction * static_cast<double>(sorted.size() - 1);
    const auto below = static_cast<std::size_t>(place);
    const double rest = place - static_cast<double>(below);
    return (1 - rest) * sorted[below] + rest * sorted[std::min(below + 1, sorted.size() - 1)];
}

} // namespace ql
