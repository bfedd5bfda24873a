// SPDX-License-Identifier: GPL-3.0-or-later
// The whole front of size against loss: the convex hull, each vertex of which is the optimum of its own size (every
// breakpoint of the Lagrangian), and between its vertices the proven optima of budgets spread evenly over the sizes.
// One relaxation serves all budgets. Equal bits for any number of threads.
#pragma once

#include "core/allocation/solver.h"

#include <optional>

namespace ql {

/// What the next size buys: the step that the relaxation takes first.
struct NextStep {
    std::size_t item = 0;
    std::size_t from = 0; // options within the item
    std::size_t to = 0;
    std::int64_t addedSize = 0;
    double savedLoss = 0;
};

struct FrontPoint {
    std::int64_t size = 0;
    double loss = 0;
    double lowerBound = 0;           // no choice of this size or less has a smaller loss (proven)
    bool optimal = false;            // loss equals the bound up to rounding of the sums
    std::vector<std::size_t> choice; // option within each item
    double shadowPrice = 0;          // loss saved per unit of size
    std::optional<NextStep> next;    // nothing at the least loss, and under side constraints
    std::size_t way = 0;             // of those given, the one it keeps
    std::int64_t budget = 0;         // it was solved for

    /// loss ÷ lowerBound − 1; 0 where it is proven, infinite where the bound is not positive.
    double gap() const;
};

/// A vertex of the convex hull, and the step from the one before.
struct HullPoint {
    std::int64_t size = 0;
    double loss = 0;
    std::size_t item = 0; // of the first: nothing was stepped
    std::size_t option = 0;
};

struct Front {
    std::vector<FrontPoint> points;          // sizes rise, losses fall
    std::vector<HullPoint> hull;             // likewise; empty under side constraints
    std::vector<std::size_t> smallestChoice; // of the first vertex
    double largestGap = 0;                   // over the points; 0 where all are proven
};

struct FrontSettings {
    std::size_t budgets = 200;
    std::optional<std::int64_t> from; // otherwise from the smallest choice …
    std::optional<std::int64_t> to;   // … to that of the least loss
};

/// One of several sets of limits, of which a choice has to keep one: where the blocks of a model are split over
/// devices.
using Way = std::vector<SideConstraint>;

/// The problem's own budget is not looked at. With side constraints each budget is solved by itself by branch and bound
/// with less work than `ilp` takes, under each of the ways if there are any, the best of which counts; bounds hold for
/// all ways. Budgets that leave no choice are skipped. Errors: those of the solvers; refused where no budget has a
/// solution.
Result<Front> paretoFront(const AllocationProblem& problem, const FrontSettings& settings, const JobContext& context,
                          std::span<const Way> ways = {});

/// Makes those of the points, which come by rising size or budget, the front's whose loss no smaller one has, and tells
/// their largest gap.
void keepFront(std::vector<FrontPoint> points, Front& front);

/// The choice at a vertex of the hull.
std::vector<std::size_t> choiceAtHull(const Front& front, std::size_t vertex);

} // namespace ql
