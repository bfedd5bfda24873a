// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/balance.h"

#include "core/allocation/joint_search.h"
#include "core/allocation/least_size.h"
#include "core/allocation/side_sums.h"
#include "core/base/text.h"

#include <algorithm>
#include <chrono>
#include <cmath>

namespace ql {

namespace {

/// Of the items that are free.
Result<std::int64_t> bitsBudget(const PlanProblem& problem, double bitsPerWeight, std::int64_t weights,
                                std::int64_t fixedBits)
{
    const auto count = static_cast<double>(weights);
    const double wanted = std::floor(bitsPerWeight * count);
    if (!(std::fabs(wanted) < 0x1p60))
        return usageError("the bits per weight must be a number like 4.5");
    const std::int64_t budget = static_cast<std::int64_t>(wanted) - fixedBits;
    const std::int64_t least = problem.smallestSize();
    if (least > budget)
        return refused("the smallest choice has " +
                       formatFixed(std::ceil(static_cast<double>(least + fixedBits) / count * 1e4) / 1e4, 4) +
                       " bits per weight, more than the " + formatDouble(bitsPerWeight) +
                       " asked for; raise the budget, unlock layers or add smaller candidates");
    return budget;
}

SideConstraint bitsAsSide(const PlanProblem& problem, double bitsPerWeight, std::int64_t weights,
                          std::int64_t fixedBits)
{
    SideConstraint side{.name = "bits of the plan's layers",
                        .amounts = {},
                        .atMost = bitsPerWeight * static_cast<double>(weights),
                        .fixed = {{.by = std::string(kNotFree), .amount = static_cast<double>(fixedBits)}}};
    for (const FreeItem& free : problem.free())
        for (const std::size_t column : free.columns)
            side.amounts.push_back(static_cast<double>(problem.table().at(free.item, column).payloadBits));
    return side;
}

Error tooLarge(std::int64_t leastBytes, std::int64_t budget)
{
    return refused("the smallest files this allows take " + std::to_string(leastBytes) + " bytes (" +
                   formatBytes(leastBytes) + "), the budget is " + std::to_string(budget) +
                   "; raise the budget, unlock layers or add smaller candidates");
}

/// Whether there is one, and what counts it.
Result<void> checkBudget(const BalanceRequest& request)
{
    if (!request.fileBytes && !request.bitsPerWeight && !request.constraints.hasAny())
        return usageError("give a budget: a size of the files, bits per weight or another limit");
    if (request.fileBytes && !request.target)
        return usageError("a size of the files needs a target that says what the files hold; give one, or bits per "
                          "weight");
    return {};
}

class Balancing {
public:
    Balancing(const Model& model, const BalanceRequest& request, const JobContext& context)
        : m_model(model),
          m_request(request),
          m_table(*request.table),
          m_context(context),
          m_planLayers(request.planLayers.empty() ? layersInPlan(model, request.target) : request.planLayers),
          m_problem(model, *request.table, request.target, request.start)
    {}

    Result<BalanceResult> run()
    {
        if (!m_request.solver.empty()) {
            QL_TRY(solver, findSolver(m_request.solver));
            m_solver = solver;
        }
        if (m_request.target)
            QL_CHECK(m_request.target->acceptsModel(m_model));
        m_weights = weightsOf(m_model, m_planLayers);
        m_fixedBits = m_problem.fixedBits(m_planLayers);
        if (countsFiles())
            QL_CHECK(m_problem.countFileBytes(m_context));
        m_terms = jointTerms(m_problem, m_request.couplings);
        QL_TRY(sides, sideConstraints(m_problem, m_request.constraints));
        if (m_request.fileBytes && m_request.bitsPerWeight)
            sides.push_back(bitsAsSide(m_problem, *m_request.bitsPerWeight, m_weights, m_fixedBits));
        const auto& memory = m_request.constraints.memory;
        if (!memory) {
            m_problem.problem().sides = std::move(sides);
            return solveOnce();
        }
        return solveSplits(*memory, sides);
    }

private:
    /// Whether sizes are bytes of the target's files; else payload bits.
    bool countsFiles() const
    {
        return m_request.fileBytes || (m_request.target && m_request.constraints.loss && !m_request.bitsPerWeight);
    }

    /// The best of all splits of the blocks over the devices.
    Result<BalanceResult> solveSplits(const MemoryLimits& memory, const std::vector<SideConstraint>& sides)
    {
        std::optional<BalanceResult> best;
        std::optional<Error> error;
        const std::int64_t last = memory.secondBytes ? m_model.blockCount : 0;
        for (std::int64_t split = 0; split <= last; ++split) {
            QL_CHECK(m_context.checkStop());
            QL_TRY(ofMemory, memoryConstraints(m_problem, memory, split));
            m_problem.problem().sides = sides;
            m_problem.problem().sides.insert(m_problem.problem().sides.end(), ofMemory.begin(), ofMemory.end());
            auto found = solveOnce();
            if (!found) {
                if (found.error().code != Errc::refused)
                    return found.error();
                if (!error)
                    error = found.error();
                continue;
            }
            const auto isBetter = [&] {
                if (m_request.constraints.loss && found->allocation.size != best->allocation.size)
                    return found->allocation.size < best->allocation.size;
                return found->allocation.loss < best->allocation.loss;
            };
            if (!best || isBetter()) {
                best = std::move(found).value();
                if (memory.secondBytes)
                    best->blocksOnSecond = split;
            }
        }
        if (!best)
            return *error;
        best->milliseconds = m_milliseconds;
        return std::move(*best);
    }

    Result<BalanceResult> solveOnce()
    {
        return m_request.fileBytes ? solveForFiles() : m_request.constraints.loss ? solveForLoss() : solveForBits();
    }

    Result<Allocation> solve(std::int64_t budget)
    {
        const SolveWithin within = [this](std::int64_t its) { return solveWithin(its); };
        const auto start = std::chrono::steady_clock::now();
        auto allocation = m_request.constraints.loss
                              ? leastSize(within, m_problem.smallestSize(), budget, *m_request.constraints.loss,
                                          m_problem.fixedLoss() + m_terms.fixed, m_context)
                              : within(budget);
        m_milliseconds += std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
        return allocation;
    }

    Result<Allocation> solveWithin(std::int64_t budget)
    {
        AllocationProblem& problem = m_problem.problem();
        problem.budget = budget;
        const Solver& solver = m_solver ? *m_solver : solverFor(problem);
        QL_TRY(joint, solveJointly(solver, problem, m_terms, m_context));
        m_leftOut = joint.leftOut;
        return std::move(joint.allocation);
    }

    /// The least size whose loss is within the limit, and within the bits per weight, if any.
    Result<BalanceResult> solveForLoss()
    {
        if (m_request.bitsPerWeight)
            return solveForBits();
        QL_TRY(allocation, solve(m_problem.largestSize()));
        QL_TRY(plan, m_problem.planOf(allocation.choice));
        return resultOf(std::move(plan), std::move(allocation), 0);
    }

    Result<BalanceResult> solveForBits()
    {
        std::int64_t budget = m_problem.largestSize();
        if (m_request.bitsPerWeight) {
            QL_TRY(its, bitsBudget(m_problem, *m_request.bitsPerWeight, m_weights, m_fixedBits));
            budget = its;
        }
        QL_TRY(allocation, solve(budget));
        QL_TRY(plan, m_problem.planOf(allocation.choice));
        return resultOf(std::move(plan), std::move(allocation), 0);
    }

    /// The sizes in the problem become bytes of the files as the target counts them, up to padding and the length of
    /// texts; what they miss is counted on the solution and taken from the budget.
    Result<BalanceResult> solveForFiles()
    {
        const TargetProfile& target = *m_request.target;
        const std::int64_t budget = *m_request.fileBytes;
        const std::int64_t forItems = budget - m_problem.fixedSize();
        const std::int64_t least = m_problem.smallestSize();

        std::optional<BalanceResult> best;
        std::int64_t missed = 0; // bytes the sizes did not foresee
        std::optional<std::int64_t> tooLittle;
        for (int attempt = 0; attempt < 50; ++attempt) {
            const std::int64_t available = std::max(least, forItems - missed);
            QL_TRY(allocation, solve(available));
            QL_TRY(plan, m_problem.planOf(allocation.choice));
            QL_TRY(bytes, target.fileBytes(m_model, plan));
            const std::int64_t misses = bytes - (m_problem.fixedSize() + allocation.size);
            if (bytes > budget) {
                if (best)
                    break;
                if (available == least)
                    return tooLarge(bytes, budget);
                tooLittle = missed;
                missed = std::max(misses, missed + bytes - budget);
                continue;
            }
            if (!best || m_request.constraints.loss ||
                allocation.loss + m_problem.fixedLoss() + m_terms.fixed < best->allocation.loss)
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
                             .sizesAreBytes = countsFiles(),
                             .milliseconds = m_milliseconds,
                             .sides = m_problem.problem().sides};
        for (const SideConstraint& side : result.sides)
            result.sideSums.push_back(allocation::sumOf(side, m_problem.problem(), result.allocation.choice));
        const double fixedLoss = m_problem.fixedLoss() + m_terms.fixed;
        result.allocation.loss += fixedLoss;
        result.allocation.lowerBound += fixedLoss;
        result.allocation.choice = m_problem.columnsOf(result.allocation.choice);
        result.coupling = plannedCoupling(m_request.couplings, result.plan);
        result.couplingsLeftOut = m_leftOut;
        result.predictedLoss = predictLoss(m_table, result.plan) + result.coupling;
        result.bitsPerWeight = bitsPerWeight(m_model, result.plan, m_planLayers);
        return result;
    }

    const Model& m_model;
    const BalanceRequest& m_request;
    const CostTable& m_table;
    const JobContext& m_context;
    const Solver* m_solver = nullptr;
    std::vector<std::int64_t> m_planLayers;
    PlanProblem m_problem;
    std::int64_t m_weights = 0;   // of the plan's layers
    std::int64_t m_fixedBits = 0; // of those that the solver does not decide
    JointTerms m_terms;
    std::size_t m_leftOut = 0;
    double m_milliseconds = 0;
};

} // namespace

Result<BalanceResult> balance(const Model& model, const BalanceRequest& request, const JobContext& context)
{
    QL_CHECK(checkBudget(request));
    auto result = Balancing(model, request, context).run();
    if (!result)
        return result;
    if (request.target && !request.fileBytes) {
        QL_TRY(bytes, request.target->fileBytes(model, result->plan));
        result->fileBytes = bytes;
    }
    return result;
}

Result<PlanProblem> problemOf(const Model& model, const BalanceRequest& request, const JobContext& context)
{
    QL_CHECK(checkBudget(request));
    if (request.constraints.loss)
        return usageError("a limit of the predicted loss is for solving; leave it out where plans are measured");
    PlanProblem problem(model, *request.table, request.target, request.start);
    const std::vector<std::int64_t> layers =
        request.planLayers.empty() ? layersInPlan(model, request.target) : request.planLayers;
    const std::int64_t weights = weightsOf(model, layers);
    const std::int64_t fixedBits = problem.fixedBits(layers);
    QL_TRY(sides, sideConstraints(problem, request.constraints));
    std::int64_t budget = problem.largestSize();
    if (request.bitsPerWeight) {
        QL_TRY(bits, bitsBudget(problem, *request.bitsPerWeight, weights, fixedBits));
        budget = bits;
    }
    if (request.fileBytes) {
        if (request.bitsPerWeight)
            sides.push_back(bitsAsSide(problem, *request.bitsPerWeight, weights, fixedBits));
        QL_CHECK(problem.countFileBytes(context));
        budget = *request.fileBytes - problem.fixedSize();
        if (problem.smallestSize() > budget)
            return tooLarge(problem.fixedSize() + problem.smallestSize(), *request.fileBytes);
    }
    if (const auto& memory = request.constraints.memory) {
        std::int64_t split = 0;
        if (memory->secondBytes) {
            QL_TRY(best, balance(model, request, context));
            split = *best.blocksOnSecond;
        }
        QL_TRY(ofMemory, memoryConstraints(problem, *memory, split));
        sides.insert(sides.end(), ofMemory.begin(), ofMemory.end());
    }
    problem.problem().budget = budget;
    problem.problem().sides = std::move(sides);
    return problem;
}

} // namespace ql
