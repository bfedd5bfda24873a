// SPDX-License-Identifier: GPL-3.0-or-later
// Finished measurements of a document that is not saved as a study yet, so that changing the target and back costs
// nothing; a study takes them over when it is saved. Thread-safe.
#pragma once

#include "core/jobs/result_sink.h"

#include <map>
#include <mutex>

namespace ql::views {

class MemorySink : public ResultSink {
public:
    Result<void> keep(const std::string& key, std::span<const std::byte> bytes) override;
    std::optional<std::vector<std::byte>> find(const std::string& key) const override;
    /// Hands every piece to another sink.
    Result<void> copyTo(ResultSink& sink) const;

private:
    mutable std::mutex m_mutex;
    std::map<std::string, std::vector<std::byte>> m_pieces;
};

} // namespace ql::views
