// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/document/memory_sink.h"

namespace ql::views {

Result<void> MemorySink::keep(const std::string& key, std::span<const std::byte> bytes)
{
    const std::scoped_lock lock(m_mutex);
    m_pieces[key].assign(bytes.begin(), bytes.end());
    return {};
}

std::optional<std::vector<std::byte>> MemorySink::find(const std::string& key) const
{
    const std::scoped_lock lock(m_mutex);
    const auto found = m_pieces.find(key);
    return found == m_pieces.end() ? std::nullopt : std::optional(found->second);
}

Result<void> MemorySink::copyTo(ResultSink& sink) const
{
    const std::scoped_lock lock(m_mutex);
    for (const auto& [key, bytes] : m_pieces)
        QL_CHECK(sink.keep(key, bytes));
    return {};
}

} // namespace ql::views
