// SPDX-License-Identifier: GPL-3.0-or-later
// GPTQ of W[4096, 4096] given XᵀX of X[2048, 4096]. ratio_to_blas: the operations it cannot do without, n³/3 to factor
// and rows·n² to feed errors back, per second, over those of a float product in the same run. Aim: 0.6. Beside PyTorch:
// gptq_torch.py.
#include "core/calibration/activations.h"
#include "core/quantizers/quantizer.h"
#include "tests/bench/bench_support.h"

using namespace ql;

namespace {

constexpr std::int64_t kSize = 4096;
constexpr std::int64_t kTokens = 2048;

/// Of inputs that are a little correlated, with channels of different size.
const ActivationStatistics& inputs()
{
    static const ActivationStatistics statistics = [] {
        const CounterRng rng(3);
        std::vector<float> x(static_cast<std::size_t>(kTokens * kSize));
        for (std::int64_t t = 0; t < kTokens; ++t)
            for (std::int64_t j = 0; j < kSize; ++j) {
                const auto at = static_cast<std::size_t>(t * kSize + j);
                const double shared = rng.normal(static_cast<std::uint64_t>((1 << 30) + t * 64 + j % 64));
                x[at] = static_cast<float>((rng.normal(at) + shared) * (j % 97 == 0 ? 8 : 1));
            }
        ActivationStatistics made;
        made.in = kSize;
        made.tokens = kTokens;
        made.gram.assign(static_cast<std::size_t>(kSize * kSize), 0);
        const JobContext context(bench::executor());
        if (!accumulateGram(x.data(), kTokens, kSize, made.gram.data(), parallelTiles(context)))
            std::abort();
        made.channelRms.assign(static_cast<std::size_t>(kSize), 1);
        return made;
    }();
    return statistics;
}

void quantizing(benchmark::State& state, const char* scheme, const char* spec)
{
    const auto bytes = bench::weights(Dtype::f32, kSize * kSize);
    const JobContext context(bench::executor());
    const QuantizeTask task{.weights = {Dtype::f32, {kSize, kSize}, bytes.data()},
                            .scheme = parseScheme(scheme).value(),
                            .spec = parseQuantizerSpec(spec).value(),
                            .inputs = &inputs()};
    constexpr double kSize3 = 1.0 * kSize * kSize * kSize;
    bench::againstBlas(state, kSize3 * (1.0 / 3 + 1.0), context,
                       [&] { benchmark::DoNotOptimize(quantize(task, context)); });
}

} // namespace

int main(int argc, char** argv)
{
    for (const char* spec : {"gptq:order=natural:scales=range", "gptq", "gptq:polish=2", "decoupleq:iterations=1"})
        for (const char* scheme : {"int4:g128", "int4:g128:asym", "gguf:q4_k"})
            if (std::string(spec) != "decoupleq:iterations=1" || std::string(scheme) == "int4:g128")
                benchmark::RegisterBenchmark((std::string(scheme) + "@" + spec).c_str(),
                                             [=](benchmark::State& state) { quantizing(state, scheme, spec); })
                    ->UseManualTime()
                    ->Unit(benchmark::kMillisecond)
                    ->Iterations(3);
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
