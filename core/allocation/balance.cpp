// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/balance.h"

#include "core/allocation/file_sizes.h"
#include "core/allocation/free_items.h"
#include "core/base/text.h"
#include "core/plan/plan_totals.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace ql {

namespace {

class Balancing {
public:
    Balancing(const Model& model, const BalanceRequest& request, const JobContext& context)
        : m_model(model),
          m_request(request),
          m_table(*request.table),
          m_context(context),
          m_plan(request.start),
          m_planLayers(request.planLayers.empty() ? layersInPlan(model, request.target) : request.planLayers)
    {}

    Result<BalanceResult> run()
    {
        QL_TRY(solver, findSolver(m_request.solver));
        m_solver = solver;
        if (m_request.target)
            QL_CHECK(m_request.target->acceptsModel(m_model));
        separate();
        makeProblem();
        return m_request.fileBytes ? solveForFiles() : solveForBits();
    }

private:
    void give(std::size_t item, std::size_t column, Plan& plan) const
    {
        assignColumn(m_model, m_table, m_request.target, item, column, plan);
    }

    /// Finds the items to decide; gives tied layers the candidate of a locked one.
    void separate()
    {
        m_free = freeItems(m_table, m_plan);
        for (const FreeItem& free : m_free)
            give(free.item, free.columns.front(), m_plan);
        for (const Item& item : m_table.items) {
            const auto locked = std::ranges::find_if(
                item.layers, [&](std::int64_t layer) { return m_plan.locked[static_cast<std::size_t>(layer)]; });
            if (locked == item.layers.end())
                continue;
            for (const std::int64_t layer : item.layers)
                if (!m_plan.locked[static_cast<std::size_t>(layer)])
                    m_plan.candidates[static_cast<std::size_t>(layer)] =
                        m_plan.candidates[static_cast<std::size_t>(*locked)];
        }
    }

    void makeProblem()
    {
        m_problem.offsets.assign(1, 0);
        for (const FreeItem& free : m_free) {
            for (const std::size_t column : free.columns) {
                m_problem.sizes.push_back(m_table.at(free.item, column).payloadBits);
                m_problem.losses.push_back(m_table.at(free.item, column).loss);
            }
            m_problem.offsets.push_back(m_problem.sizes.size());
        }
    }

    std::vector<std::size_t> smallestChoice() const
    {
        std::vector<std::size_t> choice;
        for (std::size_t i = 0; i < m_free.size(); ++i) {
            const auto first = m_problem.sizes.begin() + static_cast<std::ptrdiff_t>(m_problem.offsets[i]);
            const auto last = m_problem.sizes.begin() + static_cast<std::ptrdiff_t>(m_problem.offsets[i + 1]);
            choice.push_back(static_cast<std::size_t>(std::min_element(first, last) - first));
        }
        return choice;
    }
    std::int64_t sizeOf(const std::vector<std::size_t>& choice) const
    {
        std::int64_t size = 0;
        for (std::size_t i = 0; i < choice.size(); ++i)
            size += m_problem.sizes[m_problem.offsets[i] + choice[i]];
        return size;
    }

    Result<Plan> planOf(const std::vector<std::size_t>& choice) const
    {
        Plan plan = m_plan;
        for (std::size_t i = 0; i < choice.size(); ++i)
            give(m_free[i].item, m_free[i].columns[choice[i]], plan);
        if (m_request.target)
            return admit(*m_request.target, m_model, plan);
        return plan;
    }

    Result<Allocation> solve(std::int64_t budget)
    {
        m_problem.budget = budget;
        const auto start = std::chrono::steady_clock::now();
        auto allocation = m_solver->solve(m_problem, m_context);
        m_milliseconds += std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
        return allocation;
    }

    Result<BalanceResult> solveForBits()
    {
        std::int64_t weights = 0;
        std::int64_t bits = 0; // of what the solver does not decide
        for (const std::int64_t layer : m_planLayers) {
            const auto index = static_cast<std::size_t>(layer);
            weights += m_model.layers[index].numel();
            bits += layerPayloadBits(m_model.layers[index], m_plan.candidates[index]);
        }
        for (const FreeItem& free : m_free)
            bits -= m_table.at(free.item, free.columns.front()).payloadBits;
        const double wanted = std::floor(*m_request.bitsPerWeight * static_cast<double>(weights));
        if (!(std::fabs(wanted) < 0x1p60))
            return usageError("the bits per weight must be a number like 4.5");
        const std::int64_t budget = static_cast<std::int64_t>(wanted) - bits;
        const std::int64_t least = sizeOf(smallestChoice());
        if (least > budget)
            return refused(
                "the smallest choice has " +
                formatFixed(std::ceil(static_cast<double>(least + bits) / static_cast<double>(weights) * 1e4) / 1e4,
                            4) +
                " bits per weight, more than the " + formatDouble(*m_request.bitsPerWeight) +
                " asked for; raise the budget, unlock layers or add smaller candidates");
        QL_TRY(allocation, solve(budget));
        QL_TRY(plan, planOf(allocation.choice));
        return resultOf(std::move(plan), std::move(allocation), 0);
    }

    /// The sizes in the problem become bytes of the files as the target counts them, up to padding and the length of
    /// texts; what they miss is counted on the solution and taken from the budget.
    Result<BalanceResult> solveForFiles()
    {
        const TargetProfile& target = *m_request.target;
        QL_TRY(reference, admit(target, m_model, m_plan));
        QL_TRY(referenceBytes, target.fileBytes(m_model, reference));
        FileSizes sizes(m_model, target, reference, referenceBytes);
        std::int64_t referenceSize = 0;
        for (std::size_t i = 0; i < m_free.size(); ++i) {
            QL_CHECK(m_context.checkStop());
            for (std::size_t c = 0; c < m_free[i].columns.size(); ++c) {
                QL_TRY(bytes, sizes.added(m_table.items[m_free[i].item], m_table.candidates[m_free[i].columns[c]]));
                m_problem.sizes[m_problem.offsets[i] + c] = bytes;
            }
            referenceSize += m_problem.sizes[m_problem.offsets[i]];
        }
        const std::int64_t budget = *m_request.fileBytes;
        const std::int64_t forItems = budget - referenceBytes + referenceSize;
        const std::int64_t least = sizeOf(smallestChoice());

        std::optional<BalanceResult> best;
        std::int64_t missed = 0; // bytes the sizes did not foresee
        std::optional<std::int64_t> tooLittle;
        for (int attempt = 0; attempt < 50; ++attempt) {
            const std::int64_t available = std::max(least, forItems - missed);
            QL_TRY(allocation, solve(available));
            QL_TRY(plan, planOf(allocation.choice));
            QL_TRY(bytes, target.fileBytes(m_model, plan));
            const std::int64_t misses = bytes - (referenceBytes - referenceSize + allocation.size);
            if (bytes > budget) {
                if (best)
                    break;
                if (available == least)
                    return refused("the smallest files this allows take " + std::to_string(bytes) + " bytes (" +
                                   formatBytes(bytes) + "), the budget is " + std::to_string(budget) +
                                   "; raise the budget, unlock layers or add smaller candidates");
                tooLittle = missed;
                missed = std::max(misses, missed + bytes - budget);
                continue;
            }
            if (!best || allocation.loss < best->allocation.loss)
                best = resultOf(std::move(plan), std::move(allocation), bytes);
            if (misses >= missed || (tooLittle && misses <= *tooLittle))
                break;
            missed = misses;
        }
        if (!best)
            return refused("no choice was found whose files fit " + std::to_string(budget) +
                           " bytes; raise the budget");
        return std::move(*best);
    }

    BalanceResult resultOf(Plan plan, Allocation allocation, std::int64_t bytes) const
    {
        BalanceResult result{.plan = std::move(plan),
                             .planLayers = m_planLayers,
                             .allocation = std::move(allocation),
                             .predictedLoss = 0,
                             .bitsPerWeight = 0,
                             .fileBytes = bytes,
                             .milliseconds = m_milliseconds};
        std::vector<std::size_t> columns(m_table.items.size(), m_table.candidates.size());
        std::vector<bool> decided(m_table.items.size(), false);
        for (std::size_t i = 0; i < m_free.size(); ++i) {
            columns[m_free[i].item] = m_free[i].columns[result.allocation.choice[i]];
            decided[m_free[i].item] = true;
        }
        for (std::size_t i = 0; i < m_table.items.size(); ++i) {
            if (decided[i])
                continue;
            const auto first = static_cast<std::size_t>(m_table.items[i].layers.front());
            columns[i] = m_table.columnOf(i, result.plan.candidates[first]).value_or(columns[i]);
            const double loss = plannedLoss(m_table, i, result.plan);
            result.allocation.loss += std::isnan(loss) ? 0 : loss;
            result.allocation.lowerBound += std::isnan(loss) ? 0 : loss;
        }
        result.allocation.choice = std::move(columns);
        result.predictedLoss = predictLoss(m_table, result.plan);
        result.bitsPerWeight = bitsPerWeight(m_model, result.plan, m_planLayers);
        return result;
    }

    const Model& m_model;
    const BalanceRequest& m_request;
    const CostTable& m_table;
    const JobContext& m_context;
    const Solver* m_solver = nullptr;
    Plan m_plan; // free items at their first column
    std::vector<std::int64_t> m_planLayers;
    std::vector<FreeItem> m_free;
    AllocationProblem m_problem;
    double m_milliseconds = 0;
};

} // namespace

Result<BalanceResult> balance(const Model& model, const BalanceRequest& request, const JobContext& context)
{
    if (request.fileBytes.has_value() == request.bitsPerWeight.has_value())
        return usageError("give one budget: a size of the files or bits per weight");
    if (request.fileBytes && !request.target)
        return usageError("a size of the files needs a target that says what the files hold; give one, or bits per "
                          "weight");
    auto result = Balancing(model, request, context).run();
    if (!result)
        return result;
    if (request.target && !request.fileBytes) {
        QL_TRY(bytes, request.target->fileBytes(model, result->plan));
        result->fileBytes = bytes;
    }
    return result;
}

} // namespace ql
