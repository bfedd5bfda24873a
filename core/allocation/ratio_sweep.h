// SPDX-License-Identifier: GPL-3.0-or-later
// Two groups whose losses do not compare (measured by metrics of their own): budgets from the mean bits B of all and
// the ratio k of the groups' bits, each group solved within its own, for a sweep of ratios. With ρ the weights of the
// first group over those of the second
//   B_second = B·(1 + ρ)/(k·ρ + 1),  B_first = k·B_second,  so that (ρ·B_first + B_second)/(ρ + 1) = B.
// Which ratio is best is for a measurement to say.
// Source: Zhao et al., MixDQ, ECCV 2024, section 3.3.
#pragma once

#include "core/allocation/joint_search.h"

namespace ql {

struct GroupBits {
    double first = 0;
    double second = 0;
};
/// B, k, ρ > 0.
GroupBits splitBits(double meanBits, double ratio, double weightsRatio);

struct RatioRequest {
    std::vector<bool> isFirst;   // of each item
    std::vector<double> weights; // likewise; sizes are bits
    double meanBits = 0;
    std::vector<double> ratios;
    double tolerance = 0.02; // bits by which a group's mean may leave its budget
};
struct RatioPoint {
    double ratio = 0;
    GroupBits asked;
    GroupBits got;
    Allocation allocation;
};

/// One point for each ratio whose budgets have a solution, the least of the losses with the terms; the problem's own
/// budget and side constraints hold, too.
/// Errors: usage (no two groups), refused (no ratio has a solution).
Result<std::vector<RatioPoint>> sweepRatios(const AllocationProblem& problem, const JointTerms& terms,
                                            const RatioRequest& request, const JobContext& context);

} // namespace ql
