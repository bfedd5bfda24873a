// SPDX-License-Identifier: GPL-3.0-or-later
// Bits in closed form, then the options nearest below, then the rest of the budget where it gains most. Each item's
// losses are fitted by c·4^(−size/n) (least squares of the logarithm over its undominated options with a loss above 0);
// water filling gives R_i, of which the largest option within n_i·R_i is taken. Items whose losses make no such law
// start from their smallest.
#include "core/allocation/relaxation.h"
#include "core/base/water_filling.h"

#include <queue>

#include <algorithm>
#include <cmath>
#include <optional>

namespace ql::solvers {

namespace {

using allocation::Option;
using allocation::Relaxation;

struct Law {
    double weights = 0; // n; 0: none
    double loss = 0;    // c, at no bits
};

Law lawOf(const Relaxation& relaxation, std::size_t item)
{
    double count = 0;
    double sizes = 0;
    double logs = 0;
    double squares = 0;
    double products = 0;
    for (std::uint32_t o = relaxation.offsets[item]; o < relaxation.offsets[item + 1]; ++o) {
        const Option& option = relaxation.options[o];
        if (!(option.loss > 0))
            continue;
        // Above the item's smallest; what that stores is no part of the law.
        const auto size = static_cast<double>(option.size);
        const double log = std::log2(option.loss);
        count += 1;
        sizes += size;
        logs += log;
        squares += size * size;
        products += size * log;
    }
    const double spread = count * squares - sizes * sizes;
    const double slope = spread > 0 ? (count * products - sizes * logs) / spread : 0;
    if (!(slope < 0))
        return {};
    return {-2 / slope, std::exp2((logs - slope * sizes) / count)};
}

struct Gain {
    double perSize = 0;
    std::uint32_t item = 0;
    std::uint32_t to = 0;
    bool operator<(const Gain& other) const
    {
        return perSize != other.perSize ? perSize < other.perSize : item > other.item;
    }
};

/// The change of the item that saves most for its size within what is left.
std::optional<Gain> bestGain(const Relaxation& relaxation, std::uint32_t item, std::uint32_t at, std::int64_t left)
{
    std::optional<Gain> best;
    for (std::uint32_t o = at + 1; o < relaxation.offsets[item + 1]; ++o) {
        const std::int64_t size = relaxation.options[o].size - relaxation.options[at].size;
        if (size > left)
            break; // they are sorted
        const double gain = (relaxation.options[at].loss - relaxation.options[o].loss) / static_cast<double>(size);
        if (!best || gain > best->perSize)
            best = Gain{gain, item, o};
    }
    return best;
}

/// Spends what is left, one change after the other where it saves most for its size.
void fillMarginally(const Relaxation& relaxation, std::int64_t left, std::vector<std::uint32_t>& choice)
{
    std::priority_queue<Gain> gains;
    for (std::uint32_t item = 0; item < relaxation.itemCount(); ++item)
        if (const auto gain = bestGain(relaxation, item, choice[item], left))
            gains.push(*gain);
    while (!gains.empty()) {
        const Gain gain = gains.top();
        gains.pop();
        const std::int64_t size = relaxation.options[gain.to].size - relaxation.options[choice[gain.item]].size;
        if (size <= left) {
            left -= size;
            choice[gain.item] = gain.to;
        }
        if (const auto next = bestGain(relaxation, gain.item, choice[gain.item], left))
            gains.push(*next);
    }
}

Result<Allocation> solveInClosedForm(const AllocationProblem& problem, const JobContext& context)
{
    QL_TRY(relaxation, allocation::relax(problem));
    QL_CHECK(context.checkStop());
    const std::size_t n = relaxation.itemCount();
    std::vector<double> losses(n, 0);
    std::vector<double> weights(n, 0);
    double total = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const Law law = lawOf(relaxation, i);
        losses[i] = law.loss;
        weights[i] = law.weights;
        total += law.weights;
    }
    std::vector<std::uint32_t> choice(relaxation.offsets.begin(), relaxation.offsets.end() - 1);
    std::int64_t left = relaxation.capacity;
    if (total > 0) {
        const std::vector<double> bits = waterFill(losses, weights, static_cast<double>(left) / total);
        for (std::size_t i = 0; i < n; ++i) {
            const double size = std::min(weights[i] * bits[i], static_cast<double>(left));
            while (choice[i] + 1 < relaxation.offsets[i + 1] &&
                   static_cast<double>(relaxation.options[choice[i] + 1].size) <= size)
                ++choice[i];
            left -= relaxation.options[choice[i]].size;
        }
    }
    fillMarginally(relaxation, left, choice);
    return allocation::makeAllocation(problem, relaxation, choice);
}
} // namespace

extern const Solver closed_form;
const Solver closed_form{
    .id = "closed_form",
    .title = "Bits in closed form, then whole options (no proof)",
    .source = "Zhang et al., BAQ: Efficient Bit Allocation Quantization for LLMs, 2025, section 3",
    .solve = solveInClosedForm,
};

} // namespace ql::solvers
