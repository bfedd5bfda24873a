// SPDX-License-Identifier: GPL-3.0-or-later
// One generated token: wall time and processor time, and ratio_to_word_sum, the time to sum the weights' stored bytes
// over the wall time: 1 = as fast as reading them. The sample, or the model that the environment variable
// QL_BENCH_MODEL names.
#include "core/model/evaluation/generate.h"
#include "core/model/frontends/frontend.h"
#include "tests/bench/bench_support.h"

#include <cstdlib>
#include <ctime>

using namespace ql;

namespace {

double processorSeconds()
{
    return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

void token(benchmark::State& state)
{
    const JobContext context(bench::executor());
    const char* given = std::getenv("QL_BENCH_MODEL");
    const auto model = openModel(given ? given : QL_SOURCE_DIR "/resources/sample", context).value();
    const graph::Graph graph = buildGraph(*model).value();
    std::int64_t bytes = 0;
    for (const Layer& layer : model->layers)
        bytes += storedBytes(layer.dtype, layer.numel()).value();
    const std::vector<std::byte> words(static_cast<std::size_t>(bytes / 64 * 64), std::byte{1});
    GenerationTask task{.model = *model,
                        .graph = graph,
                        .version = ownVersion(*model),
                        .prompt = std::vector<std::int64_t>(static_cast<std::size_t>(state.range(0)), 3),
                        .sampling = {},
                        .endIds = {},
                        .tokenizer = nullptr,
                        .onToken = {}};
    double least = 1e9;
    double leastProcessor = 1e9;
    double leastWords = 1e9;
    for (auto _ : state) {
        // Token by token behind the first, which comes with weights and prompt.
        constexpr int kTokens = 16;
        std::chrono::steady_clock::time_point begin;
        double beginProcessor = 0;
        task.tokens = kTokens + 1;
        int arrived = 0;
        task.onToken = [&](const GeneratedToken&) {
            if (arrived++ == 0) {
                begin = std::chrono::steady_clock::now();
                beginProcessor = processorSeconds();
            }
            return Result<void>();
        };
        benchmark::DoNotOptimize(generate(task, context).has_value());
        const double time = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / kTokens;
        least = std::min(least, time);
        leastProcessor = std::min(leastProcessor, (processorSeconds() - beginProcessor) / kTokens);
        leastWords =
            std::min(leastWords, bench::seconds([&] { benchmark::DoNotOptimize(bench::sumWords(words, context)); }));
        state.SetIterationTime(time);
    }
    state.counters["ms"] = 1e3 * least;
    state.counters["processor_ms"] = 1e3 * leastProcessor;
    state.counters["ratio_to_word_sum"] = leastWords / least;
}

BENCHMARK(token)->Arg(8)->Arg(1000)->UseManualTime()->Unit(benchmark::kMillisecond);

} // namespace

BENCHMARK_MAIN();
