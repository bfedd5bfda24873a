// SPDX-License-Identifier: GPL-3.0-or-later
// Quantizing, restoring and comparing 64 Mi resident float32 weights with two threads. The counter `ratio` is the speed
// in bytes of weights over the speed of summing the same buffer as 64-bit words, both timed in turns in the same loop.
#include "core/base/rng.h"
#include "core/formats/quantized_tensor.h"
#include "core/jobs/parallel.h"
#include "core/quantizers/quantizer.h"
#include "core/tensor/half.h"

#include <benchmark/benchmark.h>

#include <chrono>
#include <functional>

using namespace ql;

namespace {

constexpr std::int64_t kRows = 16384;
constexpr std::int64_t kCols = 4096;

JobContext& context()
{
    static Executor executor(2);
    static JobContext job(executor);
    return job;
}

const std::vector<float>& weights()
{
    static const std::vector<float> kWeights = [] {
        std::vector<float> w(static_cast<std::size_t>(kRows * kCols));
        std::vector<float> normal(1 << 20);
        const CounterRng rng(1);
        for (std::size_t i = 0; i < normal.size(); ++i)
            normal[i] = static_cast<float>(0.02 * rng.normal(i));
        for (std::size_t i = 0; i < w.size(); ++i)
            w[i] = normal[i % normal.size()];
        return w;
    }();
    return kWeights;
}

const std::vector<std::uint16_t>& brainWeights()
{
    static const std::vector<std::uint16_t> kWeights = [] {
        std::vector<std::uint16_t> w(weights().size());
        for (std::size_t i = 0; i < w.size(); ++i)
            w[i] = bf16FromFloat(weights()[i]);
        return w;
    }();
    return kWeights;
}

TensorView floatView()
{
    return {Dtype::f32, {kRows, kCols}, reinterpret_cast<const std::byte*>(weights().data())};
}
TensorView brainView()
{
    return {Dtype::bf16, {kRows, kCols}, reinterpret_cast<const std::byte*>(brainWeights().data())};
}

double secondsOf(const std::function<void()>& work)
{
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

void sumWords()
{
    const auto* words = reinterpret_cast<const std::uint64_t*>(weights().data());
    auto total = deterministicReduce(
        context(), static_cast<std::int64_t>(weights().size() / 2), 1 << 16, std::uint64_t{0},
        [&](std::int64_t begin, std::int64_t end) {
            std::uint64_t sum = 0;
            for (std::int64_t i = begin; i < end; ++i)
                sum += words[i];
            return sum;
        },
        [](std::uint64_t& into, const std::uint64_t& next) { into += next; });
    benchmark::DoNotOptimize(total);
}

/// Times work on `bytes` bytes in turns with the sum.
void compare(benchmark::State& state, std::int64_t bytes, const std::function<void()>& work)
{
    sumWords();
    double sumSeconds = 0;
    double workSeconds = 0;
    for (auto _ : state) {
        sumSeconds += secondsOf(sumWords);
        const double seconds = secondsOf(work);
        workSeconds += seconds;
        state.SetIterationTime(seconds);
    }
    const double runs = static_cast<double>(state.iterations());
    const double sumBytes = 4.0 * static_cast<double>(weights().size());
    state.counters["GB/s"] = runs * static_cast<double>(bytes) / workSeconds / 1e9;
    state.counters["sum_GB/s"] = runs * sumBytes / sumSeconds / 1e9;
    state.counters["ratio"] = (static_cast<double>(bytes) / workSeconds) / (sumBytes / sumSeconds);
}

std::int64_t bytesOf(const TensorView& view)
{
    return *storedBytes(view.dtype, view.numel());
}

QuantizedTensor quantizedAs(const TensorView& view, const char* scheme, const char* spec)
{
    const QuantizeTask task{view, parseScheme(scheme).value(), parseQuantizerSpec(spec).value(), nullptr};
    return quantize(task, context()).value();
}

void registerAll()
{
    const auto add = [](const std::string& name, auto body) {
        benchmark::RegisterBenchmark(name.c_str(), body)->UseManualTime()->Unit(benchmark::kMillisecond);
    };
    struct Case {
        const char* scheme;
        const char* spec;
    };
    for (const Case& c : {Case{"int4:g128", "rtn"},
                          {"int4:g128:s=bf16", "rtn:ct"},
                          {"int4", "rtn"},
                          {"int8:tensor", "rtn"},
                          {"int4:g128:asym", "rtn"},
                          {"e2m1:g128", "rtn"},
                          {"fp8_e4m3", "rtn"},
                          {"mxint8", "rtn"},
                          {"mxfp4", "rtn"},
                          {"nvfp4", "rtn"},
                          {"nf4:g64", "rtn"},
                          {"gguf:q4_0", "rtn:ggml"},
                          {"gguf:q8_0", "rtn"},
                          {"bf16", "rtn"},
                          {"f16", "rtn"},
                          {"int4:g128", "mse"},
                          {"mxfp4", "mse"},
                          {"nvfp4", "mse"}})
        add(std::string("quantize/") + c.scheme + "@" + c.spec, [c](benchmark::State& state) {
            compare(state, bytesOf(floatView()),
                    [&] { benchmark::DoNotOptimize(quantizedAs(floatView(), c.scheme, c.spec)); });
        });
    add("quantize_from_bf16/int4:g128@rtn", [](benchmark::State& state) {
        brainView();
        compare(state, bytesOf(brainView()),
                [&] { benchmark::DoNotOptimize(quantizedAs(brainView(), "int4:g128", "rtn")); });
    });
    for (const char* scheme : {"int4:g128", "mxfp4", "nf4:g64", "fp8_e4m3"}) {
        add(std::string("restore/") + scheme, [scheme](benchmark::State& state) {
            const QuantizedTensor tensor = quantizedAs(floatView(), scheme, "rtn");
            compare(state, bytesOf(floatView()), [&] { benchmark::DoNotOptimize(restore(tensor, context())); });
        });
        add(std::string("restore_bf16/") + scheme, [scheme](benchmark::State& state) {
            const QuantizedTensor tensor = quantizedAs(floatView(), scheme, "rtn");
            compare(state, bytesOf(floatView()),
                    [&] { benchmark::DoNotOptimize(restoreAs(tensor, Dtype::bf16, context())); });
        });
        add(std::string("error/") + scheme, [scheme](benchmark::State& state) {
            const QuantizedTensor tensor = quantizedAs(floatView(), scheme, "rtn");
            compare(state, bytesOf(floatView()),
                    [&] { benchmark::DoNotOptimize(measureError(floatView(), tensor, context())); });
        });
    }
}

} // namespace

int main(int argc, char** argv)
{
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 1;
    registerAll();
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
