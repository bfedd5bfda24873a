// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/joint_front.h"

#include <algorithm>

namespace ql {

namespace {

constexpr std::size_t kFewestChoices = 64; // of a block, under many ways

} // namespace

Result<JointFront> jointFront(const AllocationProblem& problem, const JointTerms& terms, const FrontSettings& settings,
                              const JobContext& context, std::span<const Way> ways, std::size_t mostChoices)
{
    const std::size_t choices =
        ways.size() > 1 ? std::max(std::min(mostChoices, kFewestChoices), mostChoices / ways.size()) : mostChoices;
    QL_TRY(joint, JointProblem::make(problem, terms, context, choices));
    std::vector<Way> waysOfBlocks;
    for (const Way& way : ways) {
        Way& sides = waysOfBlocks.emplace_back();
        for (const SideConstraint& side : way)
            sides.push_back(joint.overBlocks(side));
    }
    QL_TRY(ofBlocks, paretoFront(joint.ofBlocks(), settings, context, waysOfBlocks));
    std::vector<FrontPoint> points;
    AllocationProblem within = problem;
    for (const FrontPoint& point : ofBlocks.points) {
        within.budget = point.budget;
        within.sides = problem.sides;
        if (!ways.empty())
            within.sides.insert(within.sides.end(), ways[point.way].begin(), ways[point.way].end());
        QL_TRY(its, joint.overItems({.choice = point.choice,
                                     .size = point.size,
                                     .loss = point.loss,
                                     .lowerBound = point.lowerBound,
                                     .optimal = point.optimal,
                                     .shadowPrice = point.shadowPrice},
                                    within, context));
        points.push_back(FrontPoint{.size = its.size,
                                    .loss = its.loss,
                                    .lowerBound = its.lowerBound,
                                    .optimal = its.optimal,
                                    .choice = std::move(its.choice),
                                    .shadowPrice = its.shadowPrice,
                                    .next = std::nullopt,
                                    .way = point.way,
                                    .budget = point.budget});
    }
    std::ranges::stable_sort(points, {}, &FrontPoint::size);
    JointFront found{.front = {}, .leftOut = joint.leftOut()};
    keepFront(std::move(points), found.front);
    return found;
}

} // namespace ql
