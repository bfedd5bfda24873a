// SPDX-License-Identifier: GPL-3.0-or-later
// Statistics, histogram, outliers, error curves and decoding. Aims: ratio_to_word_sum of statistics ≥ 0.5 for f32 and
// ≥ 0.25 for bf16; histogram and pyramid of 4096 × 11008 values below 150 ms.
#include "core/analysis/error_curves.h"
#include "core/analysis/histogram.h"
#include "core/analysis/outliers.h"
#include "core/analysis/statistics.h"
#include "tests/bench/bench_support.h"

using namespace ql;

namespace {

constexpr std::int64_t kRows = 4096;
constexpr std::int64_t kCols = 11008;

void statistics(benchmark::State& state, Dtype dtype)
{
    const auto bytes = bench::weights(dtype, kRows * kCols);
    const JobContext context(bench::executor());
    const TensorView view{dtype, {kRows, kCols}, bytes.data()};
    bench::againstWordSum(state, bytes, context, [&] { benchmark::DoNotOptimize(computeStatistics(view, context)); });
}

void histogram(benchmark::State& state, Dtype dtype)
{
    const auto bytes = bench::weights(dtype, kRows * kCols);
    const JobContext context(bench::executor());
    const TensorView view{dtype, {kRows, kCols}, bytes.data()};
    bench::againstWordSum(state, bytes, context, [&] { benchmark::DoNotOptimize(computeHistogram(view, context)); });
}

void pyramid(benchmark::State& state, Dtype dtype)
{
    const auto bytes = bench::weights(dtype, kRows * kCols);
    const JobContext context(bench::executor());
    const TensorView view{dtype, {kRows, kCols}, bytes.data()};
    bench::againstWordSum(state, bytes, context, [&] { benchmark::DoNotOptimize(computePyramid(view, context)); });
}

void outliers(benchmark::State& state, Dtype dtype)
{
    const auto bytes = bench::weights(dtype, kRows * kCols);
    const JobContext context(bench::executor());
    const TensorView view{dtype, {kRows, kCols}, bytes.data()};
    bench::againstWordSum(state, bytes, context, [&] { benchmark::DoNotOptimize(findOutliers(view, context)); });
}

/// 44 schemes at once.
void errorCurves(benchmark::State& state, Dtype dtype)
{
    const auto bytes = bench::weights(dtype, kRows * kCols / 16);
    const JobContext context(bench::executor());
    const TensorView view{dtype, {kRows / 16, kCols}, bytes.data()};
    bench::againstWordSum(state, bytes, context,
                          [&] { benchmark::DoNotOptimize(computeErrorCurves(view, 128, context)); });
}

/// One thread, within the cache.
void decodeToFloat(benchmark::State& state, Dtype dtype)
{
    constexpr std::int64_t kCount = 16384;
    const std::vector<std::byte> bytes(static_cast<std::size_t>(*storedBytes(dtype, kCount)), std::byte{0x3c});
    std::vector<float> values(kCount);
    for (auto _ : state) {
        decode(dtype, bytes.data(), 0, kCount, values.data());
        benchmark::DoNotOptimize(values.data());
        benchmark::ClobberMemory();
    }
    state.counters["elements_per_s"] =
        benchmark::Counter(static_cast<double>(kCount), benchmark::Counter::kIsIterationInvariantRate);
}

void registerAll()
{
    const auto memoryBound = [](const std::string& name, auto function, Dtype dtype) {
        benchmark::RegisterBenchmark((name + "/" + std::string(info(dtype).word)).c_str(), function, dtype)
            ->Unit(benchmark::kMillisecond)
            ->UseManualTime();
    };
    for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f16})
        memoryBound("statistics", statistics, dtype);
    for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
        memoryBound("histogram", histogram, dtype);
        memoryBound("pyramid", pyramid, dtype);
        memoryBound("outliers", outliers, dtype);
        memoryBound("errorCurves", errorCurves, dtype);
    }
    for (const DtypeInfo& row : allDtypes())
        if (isDecodable(row.dtype))
            benchmark::RegisterBenchmark(("decode/" + std::string(row.word)).c_str(), decodeToFloat, row.dtype);
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
