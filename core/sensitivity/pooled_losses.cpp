// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/pooled_losses.h"

#include "core/base/sum.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

namespace ql {

namespace {

constexpr std::size_t kFewest = 4;
constexpr std::size_t kEnough = 8; // not to go by a wider group
constexpr int kSpreads = 40;
constexpr double kLargestSpread = 2;

bool canPool(const SampledLoss& it)
{
    return it.windows >= 2 && it.loss > 0 && it.predicted > 0 && std::isfinite(it.loss) &&
           std::isfinite(it.predicted) && std::isfinite(it.standardError);
}

template<typename Of>
double sumOf(std::size_t n, const Of& of)
{
    CompensatedSum sum;
    for (std::size_t i = 0; i < n; ++i)
        sum.add(of(i));
    return sum.value();
}

/// What the group says if its spread τ were known.
struct Given {
    double variance = 0;  // τ²
    double mean = 0;      // r
    double precision = 0; // Σ 1/(v + τ²)
    double logWeight = 0; // ln p(y | τ), but for a constant
    double weight = 0;
};

Given givenSpread(const std::vector<double>& v, const std::vector<double>& y, double spread)
{
    Given given{.variance = spread * spread};
    const auto weight = [&](std::size_t i) { return 1 / (v[i] + given.variance); };
    given.precision = sumOf(v.size(), weight);
    given.mean = sumOf(v.size(), [&](std::size_t i) { return weight(i) * y[i]; }) / given.precision;
    given.logWeight =
        0.5 * sumOf(v.size(),
                    [&](std::size_t i) {
                        return std::log(weight(i)) - weight(i) * (y[i] - given.mean) * (y[i] - given.mean);
                    }) -
        0.5 * std::log(given.precision);
    return given;
}

using Indices = std::vector<std::size_t>;

/// Those of the group that are to be, by all of it.
void pool(std::span<const SampledLoss> losses, const Indices& group, const Indices& those,
          std::vector<PooledLoss>& pooled)
{
    const std::size_t n = group.size();
    const auto at = [&](std::size_t i) -> const SampledLoss& { return losses[group[i]]; };
    const double perWindow = sumOf(n,
                                   [&](std::size_t i) {
                                       const double relative = at(i).standardError / at(i).loss;
                                       return relative * relative * static_cast<double>(at(i).windows);
                                   }) /
                             static_cast<double>(n);
    if (!(perWindow > 0))
        return; // samples without spread are certain
    std::vector<double> v(n);
    std::vector<double> y(n);
    for (std::size_t i = 0; i < n; ++i) {
        v[i] = perWindow / static_cast<double>(at(i).windows);
        y[i] = std::log(at(i).loss / at(i).predicted) + v[i] / 2;
    }
    std::vector<Given> posterior;
    double largest = -std::numeric_limits<double>::infinity();
    for (int k = 0; k < kSpreads; ++k) {
        const double at01 = (k + 0.5) / kSpreads;
        Given given = givenSpread(v, y, kLargestSpread * at01 * at01);
        given.logWeight += std::log(at01); // the points' distances
        largest = std::max(largest, given.logWeight);
        posterior.push_back(given);
    }
    double total = 0;
    for (Given& given : posterior)
        total += given.weight = std::exp(given.logWeight - largest);
    for (std::size_t i = 0; i < n; ++i) {
        if (!std::ranges::binary_search(those, group[i]))
            continue;
        double first = 0; // moments of loss ÷ predicted
        double second = 0;
        for (const Given& given : posterior) {
            const double b = given.variance / (v[i] + given.variance);
            const double mean = given.mean + b * (y[i] - given.mean);
            const double variance = b * v[i] + (1 - b) * (1 - b) / given.precision;
            first += given.weight / total * std::exp(mean + variance / 2);
            second += given.weight / total * std::exp(2 * mean + 2 * variance);
        }
        pooled[group[i]] = {.loss = at(i).predicted * first,
                            .standardError = at(i).predicted * std::sqrt(std::max(0.0, second - first * first))};
    }
}

} // namespace

std::vector<PooledLoss> poolLosses(std::span<const SampledLoss> losses)
{
    std::vector<PooledLoss> pooled;
    std::map<std::string, Indices> groups;
    std::map<std::string, Indices> wider;
    for (std::size_t i = 0; i < losses.size(); ++i) {
        pooled.push_back({.loss = losses[i].loss, .standardError = losses[i].standardError});
        if (!canPool(losses[i]))
            continue;
        groups[losses[i].group].push_back(i);
        if (!losses[i].wider.empty())
            wider[losses[i].wider].push_back(i);
    }
    for (const auto& [name, group] : groups) {
        const auto all = wider.find(losses[group.front()].wider);
        const Indices& by = group.size() < kEnough && all != wider.end() ? all->second : group;
        if (by.size() >= kFewest)
            pool(losses, by, group, pooled);
    }
    return pooled;
}

} // namespace ql
