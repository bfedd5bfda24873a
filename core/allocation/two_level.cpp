// SPDX-License-Identifier: GPL-3.0-or-later
// Two levels by rank. Levels are the items' undominated options by size (an item with fewer takes its last); an item's
// importance is the loss that the high level saves it. For each pair of levels as many of the most important items get
// the high one as the budget allows; the best pair is taken.
#include "core/allocation/ranked_levels.h"
#include "core/allocation/relaxation.h"
#include "core/base/sum.h"

#include <algorithm>
#include <limits>

namespace ql::solvers {

namespace {
Result<Allocation> solveByRank(const AllocationProblem& problem, const JobContext& context)
{
    QL_TRY(relaxation, allocation::relax(problem));
    const std::size_t n = relaxation.itemCount();
    std::uint32_t levels = 1;
    for (std::size_t i = 0; i < n; ++i)
        levels = std::max(levels, relaxation.offsets[i + 1] - relaxation.offsets[i]);
    const auto optionAt = [&](std::size_t item, std::uint32_t level) {
        return std::min(relaxation.offsets[item] + level, relaxation.offsets[item + 1] - 1);
    };
    std::vector<std::uint32_t> best(relaxation.offsets.begin(), relaxation.offsets.end() - 1);
    double least = std::numeric_limits<double>::infinity();
    std::vector<std::uint32_t> choice(n);
    std::vector<double> importance(n);
    for (std::uint32_t low = 0; low < levels; ++low) {
        for (std::uint32_t high = low; high < levels; ++high) {
            QL_CHECK(context.checkStop());
            std::int64_t left = relaxation.capacity;
            for (std::size_t i = 0; i < n; ++i) {
                choice[i] = optionAt(i, low);
                left -= relaxation.options[choice[i]].size;
                importance[i] = relaxation.options[choice[i]].loss - relaxation.options[optionAt(i, high)].loss;
            }
            if (left < 0)
                break;
            for (const std::size_t item : byImportance(importance)) {
                const std::uint32_t option = optionAt(item, high);
                const std::int64_t size = relaxation.options[option].size - relaxation.options[choice[item]].size;
                if (size > left)
                    break;
                left -= size;
                choice[item] = option;
            }
            CompensatedSum loss;
            for (const std::uint32_t option : choice)
                loss.add(relaxation.options[option].loss);
            if (loss.value() < least) {
                least = loss.value();
                best = choice;
            }
        }
    }
    return allocation::makeAllocation(problem, relaxation, best);
}
} // namespace

extern const Solver two_level;
const Solver two_level{
    .id = "two_level",
    .title = "Two levels by rank (no proof)",
    .source = "Dumitru et al., Layer-Wise Quantization, arXiv 2406.17415",
    .solve = solveByRank,
};

} // namespace ql::solvers
