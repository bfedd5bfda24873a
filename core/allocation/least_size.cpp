// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/least_size.h"

#include "core/base/text.h"

#include <algorithm>

namespace ql {

Result<Allocation> leastSize(const Solver& solver, AllocationProblem problem, double mostLoss, double fixedLoss,
                             const JobContext& context)
{
    std::int64_t smallest = 0;
    for (std::size_t i = 0; i < problem.itemCount(); ++i)
        smallest += *std::min_element(problem.sizes.begin() + static_cast<std::ptrdiff_t>(problem.offsets[i]),
                                      problem.sizes.begin() + static_cast<std::ptrdiff_t>(problem.offsets[i + 1]));
    const double within = mostLoss * (1 + 1e-12) - fixedLoss;
    QL_TRY(best, solveWith(solver, problem, context));
    if (!(best.loss <= within))
        return refused("the least loss is " + formatSignificant(best.loss + fixedLoss, 6) + ", more than the " +
                       formatSignificant(mostLoss, 6) + " asked for" +
                       (fixedLoss > 0 ? " (locked layers lose " + formatSignificant(fixedLoss, 6) + ")" : "") +
                       "; raise the limit, unlock layers or add better candidates");
    bool isProven = true;
    std::int64_t tooSmall = smallest - 1;
    while (best.size - tooSmall > 1) {
        QL_CHECK(context.checkStop());
        problem.budget = tooSmall + (best.size - tooSmall) / 2;
        auto found = solveWith(solver, problem, context);
        if (!found && found.error().code != Errc::refused)
            return found.error();
        if (found && found->loss <= within) {
            best = std::move(found).value();
            continue;
        }
        isProven = isProven && (!found || found->optimal || found->lowerBound > within);
        tooSmall = problem.budget;
    }
    best.optimal = isProven;
    return best;
}

} // namespace ql
