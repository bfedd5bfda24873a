// SPDX-License-Identifier: GPL-3.0-or-later
// Text to ids: bytes per second of the sample's tokenizer (byte-level BPE) and of the small families in tests/data, on
// the sample's text repeated to 8 MB, by one thread and by two. Aim: faster than Hugging Face `tokenizers` on one text,
// which tests/interop/tokenizer_ids.py measures beside it on a real model.
#include "core/base/file.h"
#include "core/model/tokenizer/tokenizer.h"

#include <benchmark/benchmark.h>

using namespace ql;

namespace {

void encode(benchmark::State& state, const std::string& folder)
{
    Executor executor(static_cast<int>(state.range(0)));
    const JobContext context(executor);
    const auto tokenizer = openTokenizer(std::filesystem::path(QL_SOURCE_DIR) / folder, context);
    const std::string part = readTextFile(QL_SOURCE_DIR "/resources/sample/test.txt", 1 << 20).value();
    std::string text;
    while (text.size() < 8'000'000)
        text += part;
    for (auto _ : state)
        benchmark::DoNotOptimize((*tokenizer)->encode(text, {}, context));
    state.SetBytesProcessed(static_cast<std::int64_t>(text.size()) * state.iterations());
}

void registerAll()
{
    for (const char* folder : {"resources/sample", "tests/data/tokenizers/llama3", "tests/data/tokenizers/llama2",
                               "tests/data/tokenizers/t5", "tests/data/tokenizers/bert"})
        benchmark::RegisterBenchmark(folder, encode, folder)
            ->Arg(1)
            ->Arg(2)
            ->Unit(benchmark::kMillisecond)
            ->UseRealTime();
}

} // namespace

int main(int argc, char** argv)
{
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 1;
    registerAll();
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
