// SPDX-License-Identifier: GPL-3.0-or-later
// Proven optimum of 5,000 items × 8 options, one thread. Aim: each below 50 ms. The counter `proven` is 1 if every
// solve proved its optimum. And one move of a drag: PlanTotals::set and reading the totals.
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
    benchmark::RegisterBenchmark("drag/move", drag);
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
