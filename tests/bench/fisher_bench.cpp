// SPDX-License-Identifier: GPL-3.0-or-later
// The Fisher pass over windows of 512 random tokens: tokens_per_s, and ratio_to_blas, the operations per second of its
// products with weights (8 for each weight and token, 6 in the head) over those of one product in the same run. The
// sample, or the model that the environment variable QL_BENCH_MODEL names.
#include "core/calibration/fisher.h"
#include "core/model/frontends/frontend.h"
#include "tests/bench/bench_support.h"

#include <cstdlib>

using namespace ql;

namespace {

constexpr std::int64_t kTokens = 512;

struct Nowhere final : ResultSink {
    Result<void> keep(const std::string&, std::span<const std::byte>) override { return {}; }
    std::optional<std::vector<std::byte>> find(const std::string&) const override { return std::nullopt; }
};

void fisher(benchmark::State& state)
{
    const JobContext context(bench::executor());
    const char* given = std::getenv("QL_BENCH_MODEL");
    const auto model = openModel(given ? given : QL_SOURCE_DIR "/resources/sample", context).value();
    const graph::Graph graph = buildGraph(*model).value();
    const graph::CheckpointWeights weights(*model);
    const auto vocabulary = static_cast<std::uint64_t>(model->configNumber("vocab_size").value());
    Windows windows{kTokens, {}};
    for (std::int64_t i = 0; i < state.range(0) * kTokens; ++i)
        windows.ids.push_back(
            static_cast<std::int64_t>(CounterRng(1).bits(static_cast<std::uint64_t>(i)) % vocabulary));
    double perToken = 0;
    for (std::size_t segment = 1; segment < graph.segments.size(); ++segment)
        for (const std::int64_t layer : graph.layersOf(segment))
            if (model->layers[static_cast<std::size_t>(layer)].quantizable)
                perToken += (segment + 1 < graph.segments.size() ? 8.0 : 6.0) *
                            static_cast<double>(model->layers[static_cast<std::size_t>(layer)].numel());
    Nowhere sink;
    const auto work = [&] {
        const auto done = estimateFisher({*model, graph, weights, windows, {}, sink, {}}, context);
        benchmark::DoNotOptimize(done.has_value());
    };
    const auto tokens = static_cast<double>(windows.ids.size());
    bench::againstBlas(state, perToken * tokens, context, work);
    state.counters["tokens_per_s"] = state.counters["GFLOP_per_s"] * 1e9 / perToken;
}

BENCHMARK(fisher)->Arg(4)->UseManualTime()->Unit(benchmark::kMillisecond);

} // namespace

BENCHMARK_MAIN();
