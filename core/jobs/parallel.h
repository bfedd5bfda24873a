// SPDX-License-Identifier: GPL-3.0-or-later
// Parallel loops over fixed chunks. The chunks depend on n and grain only, never on the number of threads, and results
// are merged in the order of chunks: equal bits for any thread count. Choose the grain so that a chunk takes 0.1–50 ms
// (≥ 64 KiB of data). Do not hold a lock across a call. Chunk bodies must not throw; return errors.
#pragma once

#include "core/base/checked.h"
#include "core/jobs/job_context.h"

#include <algorithm>
#include <cstdint>
#include <vector>

namespace ql {

/// Calls body(begin, end) -> void or Result<void> for the chunks of [0, n). Returns the error of the lowest failed
/// chunk, or cancelled after a stop request. Never use what the bodies wrote if this fails.
template<typename Body>
Result<void> parallelFor(const JobContext& context, std::int64_t n, std::int64_t grain, const Body& body)
{
    const std::int64_t chunks = ceilDiv(n, grain);
    constexpr bool kCanFail = !std::is_void_v<decltype(body(std::int64_t{}, std::int64_t{}))>;
    std::vector<Result<void>> results(kCanFail ? static_cast<std::size_t>(chunks) : 0);
    context.executor().forEach(chunks, context.stopToken(), [&](std::int64_t chunk) {
        const std::int64_t begin = chunk * grain;
        const std::int64_t end = std::min(n, begin + grain);
        if constexpr (kCanFail)
            results[static_cast<std::size_t>(chunk)] = body(begin, end);
        else
            body(begin, end);
    });
    for (Result<void>& result : results)
        QL_CHECK(std::move(result));
    return context.checkStop();
}

/// Maps each chunk to a T by map(begin, end) -> T and merges them in order: merge(T& into, const T& next).
template<typename T, typename Map, typename Merge>
Result<T> deterministicReduce(const JobContext& context, std::int64_t n, std::int64_t grain, T identity, const Map& map,
                              const Merge& merge)
{
    std::vector<T> parts(static_cast<std::size_t>(ceilDiv(n, grain)), identity);
    QL_CHECK(parallelFor(context, n, grain, [&](std::int64_t begin, std::int64_t end) {
        parts[static_cast<std::size_t>(begin / grain)] = map(begin, end);
    }));
    T result = std::move(identity);
    for (const T& part : parts)
        merge(result, part);
    return result;
}

} // namespace ql
