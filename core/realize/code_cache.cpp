// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/code_cache.h"

#include "core/formats/tensor_additions.h"

namespace ql {

std::shared_ptr<const QuantizedTensor> CodeCache::find(std::int64_t layer, const Candidate& candidate) const
{
    const Key key(layer, printCandidate(candidate));
    const std::lock_guard lock(m_mutex);
    const auto held = m_held.find(key);
    return held == m_held.end() ? nullptr : held->second;
}

void CodeCache::keep(std::int64_t layer, const Candidate& candidate, std::shared_ptr<const QuantizedTensor> codes)
{
    const auto bytes = codes->codes.sizeBytes() + static_cast<std::int64_t>(codes->scales.size() * sizeof(float)) +
                       (codes->additions ? codes->additions->sizeBytes() : 0);
    Key key(layer, printCandidate(candidate));
    const std::lock_guard lock(m_mutex);
    if (m_heldBytes + bytes <= m_limitBytes && m_held.emplace(std::move(key), std::move(codes)).second)
        m_heldBytes += bytes;
}

std::int64_t CodeCache::heldBytes() const
{
    const std::lock_guard lock(m_mutex);
    return m_heldBytes;
}

} // namespace ql
