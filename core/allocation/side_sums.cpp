// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/side_sums.h"

#include "core/base/sum.h"
#include "core/base/text.h"

#include <algorithm>
#include <cmath>

namespace ql::allocation {

namespace {

/// What is fixed, and Σ over items of the best that `better` finds among an item's amounts.
template<typename Better>
double sumOfExtremes(const SideConstraint& side, const AllocationProblem& problem, const Better& better)
{
    CompensatedSum sum;
    sum.add(fixedSum(side));
    for (std::size_t i = 0; i < problem.itemCount(); ++i) {
        double best = side.amounts[problem.offsets[i]];
        for (std::size_t o = problem.offsets[i]; o < problem.offsets[i + 1]; ++o)
            best = better(side.amounts[o], best) ? side.amounts[o] : best;
        sum.add(best);
    }
    return sum.value();
}

/// Whole amounts (bytes, operations) with all digits.
std::string amountText(double amount)
{
    return amount == std::floor(amount) && std::fabs(amount) < 1e15 ? formatFixed(amount, 0) : formatDouble(amount);
}

/// "; of this 4096 are fixed by keys and values, 130 by locked layers"; nothing where nothing is.
std::string fixedWords(const SideConstraint& side)
{
    std::string words;
    for (const FixedAmount& part : side.fixed) {
        if (part.amount == 0)
            continue;
        words += (words.empty() ? "; of this " : ", ") + amountText(part.amount) +
                 (words.empty() ? " are fixed by " : " by ") + part.by;
    }
    return words;
}

} // namespace

Result<void> checkSides(const AllocationProblem& problem)
{
    for (const SideConstraint& side : problem.sides) {
        if (side.amounts.size() != problem.sizes.size())
            return usageError("has " + std::to_string(side.amounts.size()) + " amounts for " +
                                  std::to_string(problem.sizes.size()) + " options",
                              side.name);
        if (std::isnan(side.atMost) || std::isnan(side.atLeast) || !std::isfinite(fixedSum(side)) ||
            !std::ranges::all_of(side.amounts, [](double amount) { return std::isfinite(amount); }))
            return usageError("has an amount or a limit that is no number", side.name);
        const double tolerance = allowance(side, problem);
        const double least = sumOfExtremes(side, problem, std::less<>());
        const double most = sumOfExtremes(side, problem, std::greater<>());
        if (least > side.atMost + tolerance)
            return refused("needs at least " + amountText(least) + " of " + amountText(side.atMost) + fixedWords(side),
                           side.name);
        if (most < side.atLeast - tolerance)
            return refused("is at most " + amountText(most) + ", and should be " + amountText(side.atLeast) +
                               " or more" + fixedWords(side),
                           side.name);
    }
    return {};
}

double fixedSum(const SideConstraint& side)
{
    CompensatedSum sum;
    for (const FixedAmount& part : side.fixed)
        sum.add(part.amount);
    return sum.value();
}

double sumOf(const SideConstraint& side, const AllocationProblem& problem, std::span<const std::size_t> choice)
{
    CompensatedSum sum;
    sum.add(fixedSum(side));
    for (std::size_t i = 0; i < choice.size(); ++i)
        sum.add(side.amounts[problem.offsets[i] + choice[i]]);
    return sum.value();
}

double allowance(const SideConstraint& side, const AllocationProblem& problem)
{
    double largest = 0;
    for (const FixedAmount& part : side.fixed)
        largest += std::fabs(part.amount);
    for (std::size_t i = 0; i < problem.itemCount(); ++i) {
        double item = 0;
        for (std::size_t o = problem.offsets[i]; o < problem.offsets[i + 1]; ++o)
            item = std::max(item, std::fabs(side.amounts[o]));
        largest += item;
    }
    return 1e-12 * largest;
}

bool keepsLimits(const AllocationProblem& problem, std::span<const std::size_t> choice)
{
    std::int64_t size = 0;
    for (std::size_t i = 0; i < choice.size(); ++i)
        size += problem.sizes[problem.offsets[i] + choice[i]];
    return size <= problem.budget && std::ranges::all_of(problem.sides, [&](const SideConstraint& side) {
               const double sum = sumOf(side, problem, choice);
               const double tolerance = allowance(side, problem);
               return sum <= side.atMost + tolerance && sum >= side.atLeast - tolerance;
           });
}

} // namespace ql::allocation
