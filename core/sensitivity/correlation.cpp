// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/correlation.h"

#include "core/base/rng.h"
#include "core/base/sum.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace ql {

MetricCorrelation correlationOf(std::string metric, std::span<const double> sums, std::span<const double> measured,
                                const BootstrapSettings& settings)
{
    std::vector<double> x;
    std::vector<double> y;
    for (std::size_t i = 0; i < sums.size(); ++i) {
        if (std::isnan(sums[i]) || std::isnan(measured[i]))
            continue;
        x.push_back(sums[i]);
        y.push_back(measured[i]);
    }
    MetricCorrelation result{.metric = std::move(metric),
                             .plans = std::ssize(x),
                             .spearman = spearman(x, y),
                             .spearmanInterval = bootstrapInterval(x, y, spearman, settings),
                             .kendall = kendall(x, y),
                             .kendallInterval = bootstrapInterval(x, y, kendall, settings),
                             .pearsonLog = std::numeric_limits<double>::quiet_NaN()};
    const auto isPositive = [](double value) { return value > 0; };
    if (std::ranges::all_of(x, isPositive) && std::ranges::all_of(y, isPositive)) {
        for (std::vector<double>* values : {&x, &y})
            for (double& value : *values)
                value = std::log(value);
        result.pearsonLog = pearson(x, y);
    }
    return result;
}

CostTable randomLosses(CostTable table, std::uint64_t seed)
{
    table.metric = "random";
    table.unit = "";
    const CounterRng rng(seed);
    for (std::size_t i = 0; i < table.costs.size(); ++i)
        if (!std::isnan(table.costs[i].loss))
            table.costs[i].loss = rng.uniform(i);
    return table;
}

MetricCorrelation meanOfDraws(std::string metric, std::span<const MetricCorrelation> draws, double level)
{
    const auto meanOf = [&](double MetricCorrelation::*figure) {
        CompensatedSum sum;
        for (const MetricCorrelation& draw : draws)
            sum.add(draw.*figure);
        return sum.value() / static_cast<double>(draws.size());
    };
    const auto middleOf = [&](double MetricCorrelation::*figure) {
        std::vector<double> values;
        for (const MetricCorrelation& draw : draws)
            values.push_back(draw.*figure);
        std::ranges::sort(values);
        const auto last = static_cast<double>(values.size() - 1);
        return Interval{.low = values[static_cast<std::size_t>(std::lround((0.5 - level / 2) * last))],
                        .high = values[static_cast<std::size_t>(std::lround((0.5 + level / 2) * last))]};
    };
    return {.metric = std::move(metric),
            .plans = draws.front().plans,
            .spearman = meanOf(&MetricCorrelation::spearman),
            .spearmanInterval = middleOf(&MetricCorrelation::spearman),
            .kendall = meanOf(&MetricCorrelation::kendall),
            .kendallInterval = middleOf(&MetricCorrelation::kendall),
            .pearsonLog = meanOf(&MetricCorrelation::pearsonLog)};
}

std::optional<std::size_t> bestCorrelation(std::span<const MetricCorrelation> correlations)
{
    std::optional<std::size_t> best;
    for (std::size_t i = 0; i < correlations.size(); ++i)
        if (!std::isnan(correlations[i].spearman) && (!best || correlations[i].spearman > correlations[*best].spearman))
            best = i;
    return best;
}

} // namespace ql
