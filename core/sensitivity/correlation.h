// SPDX-License-Identifier: GPL-3.0-or-later
// The correlation bench: how well the sums of a metric tell the order of plans that were measured, beside sums of drawn
// numbers.
#pragma once

#include "core/base/rank_statistics.h"
#include "core/plan/cost_table.h"

namespace ql {

struct MetricCorrelation {
    std::string metric;
    std::int64_t plans = 0; // whose sum is known
    double spearman = 0;
    Interval spearmanInterval; // bootstrap over plans
    double kendall = 0;        // τ-b
    Interval kendallInterval;
    double pearsonLog = 0; // of ln sum and ln measured; NaN where a sum is not positive
};

/// Sums that are NaN are left out, with what was measured of them.
MetricCorrelation correlationOf(std::string metric, std::span<const double> sums, std::span<const double> measured,
                                const BootstrapSettings& settings = {});

/// The table with other losses: numbers drawn from 0…1, cell by cell.
CostTable randomLosses(CostTable table, std::uint64_t seed);
/// Of several draws: means, and as intervals the middle of the draws at the settings' level.
MetricCorrelation meanOfDraws(std::string metric, std::span<const MetricCorrelation> draws, double level);

/// The one with the highest Spearman; of equal ones the first. Nothing where none is a number.
std::optional<std::size_t> bestCorrelation(std::span<const MetricCorrelation> correlations);

} // namespace ql
