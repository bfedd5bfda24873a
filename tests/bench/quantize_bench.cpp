// SPDX-License-Identifier: GPL-3.0-or-later
// Quantizing, restoring and comparing. Aim: ratio_to_word_sum of int4:g128@rtn ≥ 0.3 for f32. That of restoring and
// comparing counts the bytes of the float32 weights.
#include "core/formats/quantized_tensor.h"
#include "core/quantizers/quantizer.h"
#include "tests/bench/bench_support.h"

using namespace ql;

namespace {

constexpr std::int64_t kRows = 4096;
constexpr std::int64_t kCols = 11008;

struct Case {
    const char* scheme;
    const char* quantizer;
};

QuantizeTask taskFor(const std::vector<std::byte>& bytes, Dtype dtype, std::int64_t rows, const Case& c)
{
    return {.weights = {dtype, {rows, kCols}, bytes.data()},
            .scheme = parseScheme(c.scheme).value(),
            .spec = parseQuantizerSpec(c.quantizer).value()};
}

void quantizing(benchmark::State& state, Dtype dtype, std::int64_t rows, const Case& c)
{
    const auto bytes = bench::weights(dtype, rows * kCols);
    const JobContext context(bench::executor());
    const QuantizeTask task = taskFor(bytes, dtype, rows, c);
    bench::againstWordSum(state, bytes, context, [&] { benchmark::DoNotOptimize(quantize(task, context)); });
}

void restoring(benchmark::State& state, Dtype dtype, const char* scheme)
{
    const auto bytes = bench::weights(Dtype::f32, kRows * kCols);
    const JobContext context(bench::executor());
    const QuantizedTensor tensor = quantize(taskFor(bytes, Dtype::f32, kRows, {scheme, "rtn"}), context).value();
    bench::againstWordSum(state, bytes, context, [&] { benchmark::DoNotOptimize(restoreAs(tensor, dtype, context)); });
}

void comparing(benchmark::State& state, const char* scheme)
{
    const auto bytes = bench::weights(Dtype::f32, kRows * kCols);
    const JobContext context(bench::executor());
    const QuantizeTask task = taskFor(bytes, Dtype::f32, kRows, {scheme, "rtn"});
    const QuantizedTensor tensor = quantize(task, context).value();
    bench::againstWordSum(state, bytes, context,
                          [&] { benchmark::DoNotOptimize(measureError(task.weights, tensor, context)); });
}

template<typename Body>
void add(const std::string& name, const Body& body)
{
    benchmark::RegisterBenchmark(name.c_str(), body)->UseManualTime()->Unit(benchmark::kMillisecond);
}

} // namespace

int main(int argc, char** argv)
{
    for (const Case& c : {Case{"int4:g128", "rtn"},
                          {"int4:g128:s=bf16", "rtn:ct"},
                          {"int4:g128:asym", "rtn"},
                          {"int4", "rtn"},
                          {"int8:tensor", "rtn"},
                          {"e2m1:g128", "rtn"},
                          {"fp8_e4m3", "rtn"},
                          {"mxint8", "rtn"},
                          {"mxfp4", "rtn"},
                          {"nvfp4", "rtn"},
                          {"nf4:g64", "rtn"},
                          {"gguf:q4_0", "rtn:ggml"},
                          {"gguf:q8_0", "rtn:ggml"},
                          {"bf16", "rtn"},
                          {"f16", "rtn"}})
        for (const Dtype dtype : {Dtype::f32, Dtype::bf16})
            add(std::string("quantize/") + c.scheme + "@" + c.quantizer + "/" + std::string(info(dtype).word),
                [c, dtype](benchmark::State& state) { quantizing(state, dtype, kRows, c); });
    for (const Case& c : {Case{"int4:g128", "mse"}, {"mxfp4", "mse"}, {"nvfp4", "mse"}})
        add(std::string("quantize/") + c.scheme + "@" + c.quantizer + "/f32",
            [c](benchmark::State& state) { quantizing(state, Dtype::f32, kRows / 16, c); });
    for (const char* scheme : {"int4:g128", "mxfp4", "nf4:g64", "fp8_e4m3"}) {
        for (const Dtype dtype : {Dtype::f32, Dtype::bf16})
            add(std::string("restore/") + scheme + "/" + std::string(info(dtype).word),
                [scheme, dtype](benchmark::State& state) { restoring(state, dtype, scheme); });
        add(std::string("error/") + scheme, [scheme](benchmark::State& state) { comparing(state, scheme); });
    }
    benchmark::Initialize(&argc, argv);
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
