// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/least_size.h"

#include "core/base/text.h"

#include <cmath>

namespace ql {

Result<Allocation> leastSize(const SolveWithin& solve, std::int64_t smallest, std::int64_t budget, double mostLoss,
                             double fixedLoss, const JobContext& context)
{
    const double within = mostLoss + 1e-12 * std::fabs(mostLoss) - fixedLoss;
    QL_TRY(best, solve(budget));
    if (!(best.loss <= within))
        return refused(std::string(best.optimal ? "the least loss is " : "the least loss that was found is ") +
                       formatSignificant(best.loss + fixedLoss, 6) + ", more than the " +
                       formatSignificant(mostLoss, 6) + " asked for" +
                       (fixedLoss > 0 ? " (locked layers lose " + formatSignificant(fixedLoss, 6) + ")" : "") +
                       "; raise the limit, unlock layers or add better candidates");
    bool isProven = true;
    std::int64_t tooSmall = smallest - 1;
    while (best.size - tooSmall > 1) {
        QL_CHECK(context.checkStop());
        const std::int64_t half = tooSmall + (best.size - tooSmall) / 2;
        auto found = solve(half);
        if (!found && found.error().code != Errc::refused)
            return found.error();
        if (found && found->loss <= within) {
            best = std::move(found).value();
            continue;
        }
        isProven = isProven && (!found || found->optimal || found->lowerBound > within);
        tooSmall = half;
    }
    best.optimal = isProven;
    return best;
}

} // namespace ql
