// SPDX-License-Identifier: GPL-3.0-or-later
// Proven optimum of 5,000 items × 8 options, one thread. Aim: each below 50 ms. The counter `proven` is 1 if every
// solve proved its optimum. The front at 200 budgets, two threads; aim: below 1 s. One item locked or freed and solved
// again; aim: below 16 ms. Three limits for 210 layers. And one move of a drag: PlanTotals::set and reading the totals.
#include "core/allocation/pareto.h"
#include "core/allocation/warm_solver.h"
#include "core/plan/plan_totals.h"
#include "tests/support/allocation_instances.h"
#include "tests/support/memory_model.h"

#include <benchmark/benchmark.h>

#include <chrono>

using namespace ql;

namespace {

void exact(benchmark::State& state, const test::InstanceClass& instances)
{
    Executor executor(1);
    const JobContext context(executor);
    const Solver* solver = findSolver("exact").value();
    std::vector<AllocationProblem> problems;
    for (const double share : {0.02, 0.1, 0.3, 0.5, 0.8, 0.99})
        problems.push_back(instances.make(static_cast<std::size_t>(state.range(0)), 8, problems.size(), share));
    bool proven = true;
    std::size_t next = 0;
    double slowestMs = 0;
    for (auto _ : state) {
        const auto start = std::chrono::steady_clock::now();
        const auto found = solver->solve(problems[next++ % problems.size()], context);
        slowestMs = std::max(
            slowestMs, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
        proven = proven && found && found->optimal;
    }
    state.counters["proven"] = proven ? 1 : 0;
    state.counters["slowest_ms"] = slowestMs;
}

void front(benchmark::State& state, const test::InstanceClass& instances)
{
    Executor executor(2);
    const JobContext context(executor);
    const AllocationProblem problem = instances.make(static_cast<std::size_t>(state.range(0)), 8, 3, 0.5);
    double gap = 0;
    std::size_t points = 0;
    for (auto _ : state) {
        const auto found = paretoFront(problem, {}, context);
        gap = found->largestGap;
        points = found->points.size();
    }
    state.counters["largest_gap"] = gap;
    state.counters["points"] = static_cast<double>(points);
}

void warm(benchmark::State& state, const test::InstanceClass& instances)
{
    Executor executor(1);
    const JobContext context(executor);
    const AllocationProblem problem = instances.make(static_cast<std::size_t>(state.range(0)), 8, 3, 0.5);
    auto solver = WarmSolver::make(problem).value();
    std::size_t move = 0;
    double slowestMs = 0;
    bool proven = true;
    for (auto _ : state) {
        const auto start = std::chrono::steady_clock::now();
        const std::size_t item = 37 * (move / 2) % problem.itemCount();
        const auto done = move % 2 == 0 ? solver.lock(item, move / 2 % 8) : solver.unlock(item);
        const auto found = solver.solve(problem.budget, context);
        ++move;
        slowestMs = std::max(
            slowestMs, std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count());
        proven = proven && done && found && found->optimal;
    }
    state.counters["proven"] = proven ? 1 : 0;
    state.counters["slowest_ms"] = slowestMs;
}

/// Bits, operations that grow with the square of the bits, and latency in steps.
void threeLimits(benchmark::State& state)
{
    Executor executor(1);
    const JobContext context(executor);
    AllocationProblem problem = test::repeatedSizes(static_cast<std::size_t>(state.range(0)), 8, 3, 0.4);
    SideConstraint operations{.name = "operations", .amounts = {}, .atMost = 0};
    SideConstraint latency{.name = "latency", .amounts = {}, .atMost = 0};
    for (std::size_t i = 0; i < problem.itemCount(); ++i)
        for (std::size_t o = problem.offsets[i]; o < problem.offsets[i + 1]; ++o) {
            const int bits = test::kBits[o - problem.offsets[i]];
            const auto weights = static_cast<double>(problem.sizes[problem.offsets[i]]);
            operations.amounts.push_back(weights * bits * bits * (1 + static_cast<double>(i % 5)));
            latency.amounts.push_back(weights * (bits <= 4 ? 1 : bits <= 8 ? 1.6 : 3));
            if (bits == 5) {
                operations.atMost += 0.8 * operations.amounts.back();
                latency.atMost += 0.8 * latency.amounts.back();
            }
        }
    problem.sides = {std::move(operations), std::move(latency)};
    double gap = 0;
    for (auto _ : state) {
        const auto found = solveWith(*findSolver("ilp").value(), problem, context);
        gap = found ? found->loss / found->lowerBound - 1 : -1;
    }
    state.counters["gap"] = gap;
}

void drag(benchmark::State& state)
{
    const Model model = test::tinyModel(167, 8); // 1,004 layers
    CostTable table{.metric = "weight_error",
                    .unit = "",
                    .items = makeItems(model, nullptr),
                    .candidates = parseCandidates("int2 int3 int4 int5 int6 int7 int8 bf16").value(),
                    .costs = {},
                    .completed = {}};
    for (const Item& item : table.items)
        for (const Candidate& candidate : table.candidates)
            table.costs.push_back({.loss = 1,
                                   .payloadBits = layerPayloadBits(
                                       model.layers[static_cast<std::size_t>(item.layers.front())], candidate),
                                   .evidence = Evidence::dataFree,
                                   .allowed = true,
                                   .standardError = 0});
    PlanTotals totals(model, table, keepPlan(model));
    std::size_t move = 0;
    for (auto _ : state) {
        totals.set(table.items[move % table.items.size()].layers.front(), move % table.candidates.size());
        ++move;
        benchmark::DoNotOptimize(totals.loss() + totals.bitsPerWeight());
    }
    state.counters["layers"] = static_cast<double>(table.items.size());
}

} // namespace

int main(int argc, char** argv)
{
    for (const test::InstanceClass& instances : test::kInstanceClasses)
        benchmark::RegisterBenchmark((std::string("exact/") + instances.name).c_str(), exact, instances)
            ->Arg(5000)
            ->MinTime(0.5)
            ->Unit(benchmark::kMillisecond);
    for (const test::InstanceClass& instances : test::kInstanceClasses) {
        benchmark::RegisterBenchmark((std::string("front/") + instances.name).c_str(), front, instances)
            ->Arg(5000)
            ->MinTime(0.1)
            ->Unit(benchmark::kMillisecond)
            ->UseRealTime();
        benchmark::RegisterBenchmark((std::string("warm/") + instances.name).c_str(), warm, instances)
            ->Arg(5000)
            ->MinTime(0.3)
            ->Unit(benchmark::kMillisecond);
    }
    benchmark::RegisterBenchmark("three_limits", threeLimits)->Arg(210)->MinTime(0.1)->Unit(benchmark::kMillisecond);
    benchmark::RegisterBenchmark("drag/move", drag);
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
