// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/rank_statistics.h"

#include "core/base/rng.h"
#include "core/base/sum.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace ql {

namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

bool anyNaN(std::span<const double> values)
{
    return std::ranges::any_of(values, [](double value) { return std::isnan(value); });
}

double mean(std::span<const double> values)
{
    CompensatedSum sum;
    for (const double value : values)
        sum.add(value);
    return sum.value() / static_cast<double>(values.size());
}

} // namespace

std::vector<double> averageRanks(std::span<const double> values)
{
    std::vector<std::size_t> order(values.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::ranges::stable_sort(order, {}, [&](std::size_t i) { return values[i]; });
    std::vector<double> ranks(values.size());
    for (std::size_t begin = 0; begin < order.size();) {
        std::size_t end = begin + 1;
        while (end < order.size() && values[order[end]] == values[order[begin]])
            ++end;
        for (std::size_t i = begin; i < end; ++i)
            ranks[order[i]] = 0.5 * static_cast<double>(begin + 1 + end);
        begin = end;
    }
    return ranks;
}

double pearson(std::span<const double> x, std::span<const double> y)
{
    if (x.size() < 2 || anyNaN(x) || anyNaN(y))
        return kNaN;
    const double meanX = mean(x);
    const double meanY = mean(y);
    CompensatedSum xx;
    CompensatedSum yy;
    CompensatedSum xy;
    for (std::size_t i = 0; i < x.size(); ++i) {
        xx.add((x[i] - meanX) * (x[i] - meanX));
        yy.add((y[i] - meanY) * (y[i] - meanY));
        xy.add((x[i] - meanX) * (y[i] - meanY));
    }
    const double energy = std::sqrt(xx.value()) * std::sqrt(yy.value());
    return energy > 0 ? std::clamp(xy.value() / energy, -1.0, 1.0) : kNaN;
}

double spearman(std::span<const double> x, std::span<const double> y)
{
    if (anyNaN(x) || anyNaN(y))
        return kNaN;
    return pearson(averageRanks(x), averageRanks(y));
}

double kendall(std::span<const double> x, std::span<const double> y)
{
    if (x.size() < 2 || anyNaN(x) || anyNaN(y))
        return kNaN;
    std::int64_t difference = 0; // concordant − discordant
    std::int64_t apartX = 0;     // pairs without a tie in x
    std::int64_t apartY = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) {
            const int inX = (x[i] > x[j] ? 1 : 0) - (x[i] < x[j] ? 1 : 0);
            const int inY = (y[i] > y[j] ? 1 : 0) - (y[i] < y[j] ? 1 : 0);
            difference += inX * inY;
            apartX += inX * inX;
            apartY += inY * inY;
        }
    }
    if (apartX == 0 || apartY == 0)
        return kNaN;
    return static_cast<double>(difference) /
           (std::sqrt(static_cast<double>(apartX)) * std::sqrt(static_cast<double>(apartY)));
}

Interval bootstrapInterval(std::span<const double> x, std::span<const double> y,
                           double (*statistic)(std::span<const double>, std::span<const double>),
                           const BootstrapSettings& settings)
{
    std::vector<double> values;
    std::vector<double> drawnX(x.size());
    std::vector<double> drawnY(x.size());
    for (int draw = 0; draw < settings.draws; ++draw) {
        const CounterRng rng(settings.seed, static_cast<std::uint64_t>(draw));
        for (std::size_t i = 0; i < x.size(); ++i) {
            const auto from = static_cast<std::size_t>(rng.uniform(i) * static_cast<double>(x.size()));
            drawnX[i] = x[from];
            drawnY[i] = y[from];
        }
        if (const double value = statistic(drawnX, drawnY); !std::isnan(value))
            values.push_back(value);
    }
    if (values.empty())
        return {.low = kNaN, .high = kNaN};
    std::ranges::sort(values);
    const double last = static_cast<double>(values.size() - 1);
    const auto at = [&](double share) { return values[static_cast<std::size_t>(std::lround(share * last))]; };
    return {.low = at(0.5 - settings.level / 2), .high = at(0.5 + settings.level / 2)};
}

} // namespace ql
