// SPDX-License-Identifier: GPL-3.0-or-later
// Where a long job leaves finished pieces as they arrive, so that nothing done is lost when it is stopped or killed.
// The study implements it; jobs never see the study. All may be called from any thread.
#pragma once

#include "core/base/result.h"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace ql {

class ResultSink {
public:
    virtual ~ResultSink() = default;
    /// Keeps a piece under a key.
    virtual Result<void> keep(const std::string& key, std::span<const std::byte> bytes) = 0;
    /// What was kept under the key, if anything.
    virtual std::optional<std::vector<std::byte>> find(const std::string& key) const = 0;
    /// At most that many bytes of it, from the first on: for who needs to know what is there, not all of it.
    virtual std::optional<std::vector<std::byte>> findHead(const std::string& key, std::size_t bytes) const
    {
        auto found = find(key);
        if (found && found->size() > bytes)
            found->resize(bytes);
        return found;
    }
};

} // namespace ql
