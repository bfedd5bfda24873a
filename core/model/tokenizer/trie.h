// SPDX-License-Identifier: GPL-3.0-or-later
// A set of texts with a number each, walked byte by byte: all of them that a text starts with, shortest first.
// Immutable; children of a node lie together, sorted by byte.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace ql::tok {

class Trie {
public:
    Trie() = default;
    /// Of equal texts the last one's number counts; empty texts are left out.
    explicit Trie(std::vector<std::pair<std::string_view, std::int32_t>> entries);

    bool empty() const { return m_nodes.empty(); }
    /// Calls visit(length, number) for each text of the set that `text` starts with, from short to long.
    template<typename Visit>
    void prefixes(std::string_view text, const Visit& visit) const
    {
        std::uint32_t node = 0;
        for (std::size_t i = 0; i < text.size(); ++i) {
            node = child(node, static_cast<unsigned char>(text[i]));
            if (node == 0)
                return;
            if (m_nodes[node].number >= 0)
                visit(i + 1, m_nodes[node].number);
        }
    }

private:
    struct Node {
        std::uint32_t firstChild = 0;
        std::int32_t number = -1;
        std::uint16_t childCount = 0;
        unsigned char byte = 0;
    };
    /// The child by that byte; 0: none.
    std::uint32_t child(std::uint32_t node, unsigned char byte) const;
    std::vector<Node> m_nodes; // [0] is the root
};

} // namespace ql::tok
