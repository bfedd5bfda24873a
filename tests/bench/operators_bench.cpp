// SPDX-License-Identifier: GPL-3.0-or-later
// Operators at 512 tokens. Elementwise and row operators: ratio_to_word_sum over the bytes of their inputs and output
// (all in the cache). linear, attention and conv: ratio_to_blas, their operations per second over those of one product
// [512, 576]·[576, 1536] in the same run.
#include "tests/bench/bench_support.h"
#include "tests/support/operator_cases.h"

using namespace ql;
using namespace ql::test;

namespace {

constexpr std::int64_t kTokens = 512;

std::string textOf(const char* text)
{
    return text;
}

struct Bench {
    std::string name;
    OperatorCase node;
    double operations = 0; // of products; 0: bound by memory
};

std::vector<Bench> benches()
{
    std::vector<Bench> all;
    const auto add = [&](const std::string& name, const char* op, std::vector<CaseInput> inputs, Attributes attributes,
                         double operations = 0) {
        all.push_back({name,
                       {.op = op,
                        .name = name,
                        .attributes = std::move(attributes),
                        .inputs = std::move(inputs),
                        .sequence = {},
                        .golden = {}},
                       operations});
    };
    for (const std::int64_t width : {576, 1536}) {
        const std::string size = "/" + std::to_string(width);
        const auto x = [width](std::uint64_t salt = 0) { return reals({1, kTokens, width}, -2, 2, salt); };
        add("rms_norm" + size, "rms_norm", {x(), reals({width})}, {});
        add("layer_norm" + size, "layer_norm", {x(), reals({width}), reals({width})}, {});
        add("rope" + size, "rope", {x()}, {{"head_size", std::int64_t{64}}});
        add("add" + size, "add", {x(), x(1)}, {});
        add("gated_silu" + size, "gated", {x(), x(1)}, {{"function", textOf("silu")}});
        add("gelu" + size, "activation", {x()}, {{"function", textOf("gelu")}});
        add("gelu_tanh" + size, "activation", {x()}, {{"function", textOf("gelu_tanh")}});
        add("softmax" + size, "softmax", {x()}, {});
        add("softcap" + size, "softcap", {x()}, {{"cap", 30.0}});
        std::vector<std::int64_t> ids(kTokens);
        for (std::size_t i = 0; i < ids.size(); ++i)
            ids[i] = static_cast<std::int64_t>(i * 7 % 500);
        add("embedding" + size, "embedding", {integers({1, kTokens}, ids), reals({500, width})}, {});
    }
    const auto product = [](double n, double k, double m) { return 2 * n * k * m; };
    add("linear/576x1536", "linear", {reals({1, kTokens, 576}), reals({1536, 576})}, {}, product(kTokens, 576, 1536));
    add("linear/1536x576", "linear", {reals({1, kTokens, 1536}), reals({576, 1536})}, {}, product(kTokens, 576, 1536));
    // All scores count, although half of them are hidden.
    add("attention/9x64", "attention",
        {reals({1, kTokens, 576}), reals({1, kTokens, 192}), reals({1, kTokens, 192}, -1, 1, 1)},
        {{"heads", std::int64_t{9}}, {"kv_heads", std::int64_t{3}}, {"causal", std::int64_t{1}}},
        2 * product(kTokens, 576, kTokens));
    add("conv/64x64x3x3", "conv", {reals({1, 64, 56, 56}), reals({64, 64, 3, 3})},
        {{"pads", std::vector<std::int64_t>{1, 1, 1, 1}}}, product(56 * 56, 64 * 9, 64));
    add("selective_scan/1536x16", "selective_scan",
        {reals({1, kTokens, 1536}), reals({1, kTokens, 1536}, 0.01, 1), reals({1536, 16}, -2, -0.1),
         reals({1, kTokens, 16}), reals({1, kTokens, 16}, -1, 1, 1)},
        {});
    return all;
}

void run(benchmark::State& state, const Bench& entry, bool gradient)
{
    const JobContext context(bench::executor());
    const Node node = nodeOf(entry.node);
    const CaseValues<float> inputs(entry.node.inputs);
    const Value<float> output = runForward<float>(node, inputs, context).value();
    std::int64_t elements = output.real.numel();
    for (const auto& value : inputs.values)
        elements += value.real.numel();
    if (entry.node.op == "embedding") // only the rows asked for
        elements = 2 * output.real.numel();
    const auto work = [&] {
        if (gradient)
            benchmark::DoNotOptimize(runGradient<float>(node, inputs, output, output.real, context).has_value());
        else
            benchmark::DoNotOptimize(runForward<float>(node, inputs, context).has_value());
    };
    if (entry.operations > 0)
        return bench::againstBlas(state, entry.operations * (gradient ? 2 : 1), context, work);
    const auto bytes = static_cast<std::size_t>(elements * std::int64_t{sizeof(float)} / 64 * 64);
    bench::againstWordSum(state, std::vector<std::byte>(bytes, std::byte{1}), context, work);
}

} // namespace

int main(int argc, char** argv)
{
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 1;
    static const std::vector<Bench> all = benches();
    for (const bool gradient : {false, true})
        for (const Bench& entry : all) {
            if (gradient && entry.node.op == "add") // hands on its output's gradient: no work to time
                continue;
            benchmark::RegisterBenchmark(((gradient ? "gradient/" : "") + entry.name).c_str(),
                                         [&entry, gradient](benchmark::State& state) { run(state, entry, gradient); })
                ->Unit(benchmark::kMicrosecond)
                ->UseManualTime();
        }
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
