// SPDX-License-Identifier: GPL-3.0-or-later
// Pieces and their ids.
#pragma once

#include "core/base/result.h"

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>

namespace ql::tok {

class Vocabulary {
public:
    static constexpr std::int64_t kMostIds = std::int64_t{1} << 24U;

    /// Ids may come in any order and leave holes; a piece given twice keeps its last id, an id given twice its last
    /// piece.
    Result<void> add(std::string piece, std::int64_t id, const std::string& where)
    {
        if (id < 0 || id >= kMostIds)
            return badInput("has a token with the number " + std::to_string(id) + ", which is not between 0 and " +
                                std::to_string(kMostIds - 1),
                            where);
        const auto index = static_cast<std::size_t>(id);
        if (index >= m_pieces.size())
            m_pieces.resize(index + 1);
        m_texts.push_back(std::move(piece));
        m_pieces[index] = m_texts.back();
        m_longest = std::max(m_longest, m_texts.back().size());
        m_ids[m_texts.back()] = static_cast<std::int32_t>(id);
        return {};
    }
    /// -1: no such piece.
    std::int32_t idOf(std::string_view piece) const
    {
        const auto found = m_ids.find(piece);
        return found == m_ids.end() ? -1 : found->second;
    }
    /// Empty: no such id.
    std::string_view piece(std::int64_t id) const
    {
        return id >= 0 && id < size() ? m_pieces[static_cast<std::size_t>(id)] : std::string_view();
    }
    /// The highest id, plus one.
    std::int64_t size() const { return std::ssize(m_pieces); }
    std::size_t longestBytes() const { return m_longest; }

private:
    std::deque<std::string> m_texts; // never moved
    std::vector<std::string_view> m_pieces;
    std::unordered_map<std::string_view, std::int32_t> m_ids;
    std::size_t m_longest = 0;
};

} // namespace ql::tok
