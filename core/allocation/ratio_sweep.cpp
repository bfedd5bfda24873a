// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/ratio_sweep.h"

#include "core/base/sum.h"

namespace ql {

GroupBits splitBits(double meanBits, double ratio, double weightsRatio)
{
    const double second = meanBits * (1 + weightsRatio) / (ratio * weightsRatio + 1);
    return {.first = ratio * second, .second = second};
}

Result<std::vector<RatioPoint>> sweepRatios(const AllocationProblem& problem, const JointTerms& terms,
                                            const RatioRequest& request, const JobContext& context)
{
    const std::size_t n = problem.itemCount();
    if (request.isFirst.size() != n || request.weights.size() != n)
        return usageError("the groups and weights do not fit the items");
    CompensatedSum weights[2];
    for (std::size_t i = 0; i < n; ++i)
        weights[request.isFirst[i] ? 0 : 1].add(request.weights[i]);
    const double first = weights[0].value();
    const double second = weights[1].value();
    if (!(first > 0) || !(second > 0))
        return usageError("one of the two groups is empty");

    SideConstraint sides[2]{{.name = "bits of the first group", .amounts = {}},
                            {.name = "bits of the second group", .amounts = {}}};
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t o = problem.offsets[i]; o < problem.offsets[i + 1]; ++o)
            for (int group = 0; group < 2; ++group)
                sides[group].amounts.push_back(
                    request.isFirst[i] == (group == 0) ? static_cast<double>(problem.sizes[o]) : 0);
    std::vector<RatioPoint> points;
    for (const double ratio : request.ratios) {
        QL_CHECK(context.checkStop());
        const GroupBits asked = splitBits(request.meanBits, ratio, first / second);
        AllocationProblem within = problem;
        for (int group = 0; group < 2; ++group) {
            SideConstraint band = sides[group];
            const double bits = group == 0 ? asked.first : asked.second;
            const double its = group == 0 ? first : second;
            band.atMost = (bits + request.tolerance) * its;
            band.atLeast = (bits - request.tolerance) * its;
            within.sides.push_back(std::move(band));
        }
        auto found = solveJointly(solverFor(within), within, terms, context);
        if (!found && found.error().code != Errc::refused)
            return found.error();
        if (!found)
            continue;
        double bits[2]{};
        for (std::size_t i = 0; i < n; ++i)
            bits[request.isFirst[i] ? 0 : 1] +=
                static_cast<double>(problem.sizes[problem.offsets[i] + found->allocation.choice[i]]);
        points.push_back({.ratio = ratio,
                          .asked = asked,
                          .got = {.first = bits[0] / first, .second = bits[1] / second},
                          .allocation = std::move(found->allocation)});
    }
    if (points.empty())
        return refused("no ratio of the groups' bits has a solution; choose ratios nearer to 1 or other mean bits");
    return points;
}

} // namespace ql
