// SPDX-License-Identifier: GPL-3.0-or-later
// What benchmarks share: weights to work on, and the yardstick of memory-bound work, summing the same resident buffer
// as 64-bit words with the same threads in the same run.
#pragma once

#include "core/base/matrix_product.h"
#include "core/base/rng.h"
#include "core/jobs/tiles.h"
#include "core/tensor/half.h"
#include "core/tensor/tensor_view.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <span>
#include <vector>

namespace ql::bench {

constexpr int kThreads = 2;

inline Executor& executor()
{
    static Executor pool(kThreads);
    return pool;
}

/// Normal weights of standard deviation 0.02 as f32, f16 or bf16; a million different ones, repeated.
inline std::vector<std::byte> weights(Dtype dtype, std::int64_t n)
{
    constexpr std::int64_t kPeriod = std::int64_t{1} << 20U;
    const CounterRng rng(1);
    const auto size = static_cast<std::size_t>(info(dtype).blockBytes);
    std::vector<std::byte> bytes(static_cast<std::size_t>(n) * size);
    const std::int64_t period = std::min(n, kPeriod);
    for (std::int64_t i = 0; i < period; ++i) {
        const auto value = static_cast<float>(0.02 * rng.normal(static_cast<std::uint64_t>(i)));
        const std::uint16_t half = dtype == Dtype::f16 ? f16FromFloat(value) : bf16FromFloat(value);
        std::byte* const at = bytes.data() + static_cast<std::size_t>(i) * size;
        if (dtype == Dtype::f32)
            std::memcpy(at, &value, 4);
        else
            std::memcpy(at, &half, 2);
    }
    for (std::size_t at = static_cast<std::size_t>(period) * size; at < bytes.size();) {
        const std::size_t run = std::min(at, bytes.size() - at);
        std::memcpy(bytes.data() + at, bytes.data(), run);
        at += run;
    }
    return bytes;
}

/// Sums the buffer as 64-bit words (its length is a multiple of 64 bytes).
inline std::uint64_t sumWords(std::span<const std::byte> bytes, const JobContext& context)
{
    const auto* const data = bytes.data();
    const auto sum = deterministicReduce(
        context, static_cast<std::int64_t>(bytes.size() / 64), 1 << 14, std::uint64_t{0},
        [&](std::int64_t begin, std::int64_t end) {
            std::uint64_t part[8] = {};
            for (std::int64_t i = begin; i < end; ++i) {
                std::uint64_t words[8];
                std::memcpy(words, data + i * 64, 64);
                for (int k = 0; k < 8; ++k)
                    part[k] += words[k];
            }
            return part[0] + part[1] + part[2] + part[3] + part[4] + part[5] + part[6] + part[7];
        },
        [](std::uint64_t& into, std::uint64_t next) { into += next; });
    return sum.value();
}

template<typename Work>
double seconds(const Work& work)
{
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// Runs work and the yardstick by turns; the counter ratio_to_word_sum is the least time of the one over that of the
/// other, 1 = as fast as reading.
template<typename Work>
void againstWordSum(benchmark::State& state, const std::vector<std::byte>& bytes, const JobContext& context,
                    const Work& work)
{
    double leastWords = 1e9;
    double leastWork = 1e9;
    for (auto _ : state) {
        leastWords = std::min(leastWords, seconds([&] { benchmark::DoNotOptimize(sumWords(bytes, context)); }));
        const double time = seconds(work);
        leastWork = std::min(leastWork, time);
        state.SetIterationTime(time);
    }
    const auto size = static_cast<double>(bytes.size());
    state.counters["ratio_to_word_sum"] = leastWords / leastWork;
    state.counters["GB_per_s"] = size / leastWork / 1e9;
    state.counters["word_sum_GB_per_s"] = size / leastWords / 1e9;
}

/// Runs work and the yardstick by turns, one product [512, 576]·[576, 1536]: the counter ratio_to_blas is the work's
/// operations per second over the product's.
template<typename Work>
void againstBlas(benchmark::State& state, double operations, const JobContext& context, const Work& work)
{
    constexpr std::int64_t kRows = 512;
    constexpr std::int64_t kIn = 576;
    constexpr std::int64_t kOut = 1536;
    const std::vector<float> a(kRows * kIn, 0.5F);
    const std::vector<float> b(kOut * kIn, 0.25F);
    std::vector<float> c(kRows * kOut);
    double least = 1e9;
    double leastBlas = 1e9;
    for (auto _ : state) {
        leastBlas = std::min(leastBlas, seconds([&] {
                                 const auto done = multiply(MatrixProduct<float>{.rows = kRows,
                                                                                 .cols = kOut,
                                                                                 .depth = kIn,
                                                                                 .a = a.data(),
                                                                                 .aStride = kIn,
                                                                                 .b = b.data(),
                                                                                 .bStride = kIn,
                                                                                 .bTransposed = true,
                                                                                 .c = c.data(),
                                                                                 .cStride = kOut},
                                                            parallelTiles(context));
                                 benchmark::DoNotOptimize(done.has_value());
                             }));
        const double time = seconds(work);
        least = std::min(least, time);
        state.SetIterationTime(time);
    }
    const double blas = 2.0 * kRows * kIn * kOut / leastBlas;
    state.counters["ratio_to_blas"] = operations / least / blas;
    state.counters["GFLOP_per_s"] = operations / least / 1e9;
}

} // namespace ql::bench
