// SPDX-License-Identifier: GPL-3.0-or-later
// Codes that were realized, held for the next plan that gives the layer the same candidate. Belongs to one variant and
// one set of activations. Thread-safe.
#pragma once

#include "core/plan/candidate.h"

#include <map>
#include <memory>
#include <mutex>

namespace ql {

class CodeCache {
public:
    /// Takes what comes until it is full; what is held stays.
    explicit CodeCache(std::int64_t limitBytes) : m_limitBytes(limitBytes) {}

    std::shared_ptr<const QuantizedTensor> find(std::int64_t layer, const Candidate& candidate) const;
    void keep(std::int64_t layer, const Candidate& candidate, std::shared_ptr<const QuantizedTensor> codes);
    std::int64_t heldBytes() const;

private:
    using Key = std::pair<std::int64_t, std::string>;
    const std::int64_t m_limitBytes;
    mutable std::mutex m_mutex; // of what follows
    std::map<Key, std::shared_ptr<const QuantizedTensor>> m_held;
    std::int64_t m_heldBytes = 0;
};

} // namespace ql
