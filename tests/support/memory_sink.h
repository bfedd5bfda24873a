// SPDX-License-Identifier: GPL-3.0-or-later
// Pieces of a long job in memory, with a disk that may fill up.
#pragma once

#include "core/jobs/result_sink.h"

#include <map>
#include <mutex>

namespace ql::test {

struct MemorySink : ResultSink {
    std::map<std::string, std::vector<std::byte>> pieces;
    int untilFailure = -1; // pieces that are kept before an error; −1: any number
    Result<void> keep(const std::string& key, std::span<const std::byte> bytes) override
    {
        const std::lock_guard lock(m_mutex);
        if (untilFailure == 0)
            return ioError("the disk is full");
        --untilFailure;
        pieces[key].assign(bytes.begin(), bytes.end());
        return {};
    }
    std::optional<std::vector<std::byte>> find(const std::string& key) const override
    {
        const std::lock_guard lock(m_mutex);
        const auto found = pieces.find(key);
        return found == pieces.end() ? std::nullopt : std::optional(found->second);
    }

private:
    static inline std::mutex m_mutex; // sinks are copied
};

} // namespace ql::test
