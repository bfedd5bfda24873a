// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/evaluation/kept_scores.h"

#include "core/base/hash.h"

#include <array>
#include <cstring>

namespace ql {

namespace {

using Packed = std::array<double, 4>;

std::string keyOf(const EvaluationTask& task, std::string_view versions)
{
    Hasher hasher;
    hasher.add(versions);
    hasher.add(std::as_bytes(std::span(task.windows.ids)));
    const std::array<std::int64_t, 2> settings{task.windows.length, static_cast<std::int64_t>(task.scored)};
    hasher.add(std::as_bytes(std::span(settings)));
    return "validation/" + hasher.hex() + "/";
}

std::vector<Packed> packed(std::span<const TokenScore> scores)
{
    std::vector<Packed> values;
    for (const TokenScore& score : scores)
        values.push_back({score.nll, score.otherNll, score.kld, score.sameTop ? 1.0 : 0.0});
    return values;
}

/// Appends the scores of a piece; false if it is none of whole windows.
bool append(std::span<const std::byte> bytes, std::int64_t perWindow, std::vector<TokenScore>& scores)
{
    const auto windowBytes = static_cast<std::size_t>(perWindow) * sizeof(Packed);
    if (bytes.empty() || bytes.size() % windowBytes != 0)
        return false;
    for (std::size_t at = 0; at < bytes.size(); at += sizeof(Packed)) {
        Packed value;
        std::memcpy(value.data(), bytes.data() + at, sizeof value);
        scores.push_back({value[0], value[1], value[2], value[3] != 0});
    }
    return true;
}

} // namespace

Result<std::vector<TokenScore>> evaluateKept(EvaluationTask task, std::string_view versions, ResultSink& sink,
                                             const JobContext& context)
{
    const std::string key = keyOf(task, versions);
    QL_TRY(perWindow, scoredPerWindow(task.windows.length, task.scored));
    task.known.clear();
    const auto through = [&] { return std::ssize(task.known) / perWindow; };
    while (through() < task.windows.count()) {
        const auto piece = sink.find(key + std::to_string(through()));
        if (!piece || !append(*piece, perWindow, task.known))
            break;
    }
    if (through() > task.windows.count())
        return badInput("the study holds more scores than the text has windows; validate into another study", key);
    std::size_t kept = task.known.size();
    const auto then = std::move(task.onScores);
    task.onScores = [&](const std::vector<TokenScore>& scores, std::int64_t windows) -> Result<void> {
        const auto values = packed(std::span(scores).subspan(kept));
        const auto first = static_cast<std::int64_t>(kept) / perWindow;
        QL_CHECK(sink.keep(key + std::to_string(first), std::as_bytes(std::span(values))));
        kept = scores.size();
        return then ? then(scores, windows) : Result<void>();
    };
    return evaluate(task, context);
}

} // namespace ql
