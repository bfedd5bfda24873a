// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/tokenizer/trie.h"

#include <algorithm>

namespace ql::tok {

Trie::Trie(std::vector<std::pair<std::string_view, std::int32_t>> entries)
{
    std::erase_if(entries, [](const auto& entry) { return entry.first.empty(); });
    if (entries.empty())
        return;
    std::ranges::stable_sort(entries, {}, &std::pair<std::string_view, std::int32_t>::first);
    struct Range { // of entries that share a node's text
        std::size_t begin;
        std::size_t end;
        std::size_t depth;
    };
    std::vector<Range> ranges{{0, entries.size(), 0}};
    m_nodes.resize(1);
    for (std::size_t node = 0; node < m_nodes.size(); ++node) { // breadth first, so that children lie together
        auto [begin, end, depth] = ranges[node];
        for (; begin < end && entries[begin].first.size() == depth; ++begin)
            m_nodes[node].number = entries[begin].second;
        m_nodes[node].firstChild = static_cast<std::uint32_t>(m_nodes.size());
        while (begin < end) {
            const char byte = entries[begin].first[depth];
            std::size_t last = begin;
            while (last < end && entries[last].first[depth] == byte)
                ++last;
            Node child;
            child.byte = static_cast<unsigned char>(byte);
            m_nodes.push_back(child);
            ranges.push_back({begin, last, depth + 1});
            ++m_nodes[node].childCount;
            begin = last;
        }
    }
}

std::uint32_t Trie::child(std::uint32_t node, unsigned char byte) const
{
    if (m_nodes.empty())
        return 0;
    const auto first = m_nodes.begin() + m_nodes[node].firstChild;
    const auto last = first + m_nodes[node].childCount;
    const auto found = std::lower_bound(first, last, byte, [](const Node& n, unsigned char b) { return n.byte < b; });
    return found != last && found->byte == byte ? static_cast<std::uint32_t>(found - m_nodes.begin()) : 0;
}

} // namespace ql::tok
