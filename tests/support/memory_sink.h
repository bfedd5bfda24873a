// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "core/jobs/result_sink.h"

#include <map>

namespace ql::test {

/// Keeps results in memory; fails after a number of them.
struct MemorySink : ResultSink {
    std::map<std::string, std::vector<std::byte>> pieces;
    int untilFailure = -1;
    Result<void> keep(const std::string& key, std::span<const std::byte> bytes) override
    {
        if (untilFailure == 0)
            return ioError("the disk is full");
        --untilFailure;
        pieces[key].assign(bytes.begin(), bytes.end());
        return {};
    }
    std::optional<std::vector<std::byte>> find(const std::string& key) const override
    {
        const auto found = pieces.find(key);
        return found == pieces.end() ? std::nullopt : std::optional(found->second);
    }
};

} // namespace ql::test
