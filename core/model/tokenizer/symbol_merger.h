// SPDX-License-Identifier: GPL-3.0-or-later
// Byte pair encoding's inner loop: of all neighbours that may merge, the first in order does, of equals the leftmost,
// until none may. Heap of candidates; O(n log n).
#pragma once

#include "core/jobs/job_context.h"
#include "core/model/tokenizer/unicode_text.h"

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <unordered_set>
#include <vector>

namespace ql::tok {

struct Symbol {
    std::int32_t id = -1;   // the model's own number; -1: merges with nothing by number
    std::size_t begin = 0;  // bytes of the word
    std::size_t length = 0; // 0: merged into one before it
    bool frozen = false;    // merges with nothing
    std::int64_t previous = -1;
    std::int64_t next = -1;
};

struct MergedPair {
    double order = 0; // least first
    std::int32_t id = -1;
};

/// Merges in place and leaves the symbols that remain. pairOf(left, right) -> std::optional<MergedPair>.
template<typename PairOf>
Result<void> mergeSymbols(std::vector<Symbol>& symbols, const JobContext& context, const PairOf& pairOf)
{
    struct Candidate {
        double order;
        std::size_t left;
        std::size_t length; // of both: a candidate with a side that has grown is out of date
        std::int32_t id;
    };
    const auto later = [](const Candidate& a, const Candidate& b) {
        return a.order > b.order || (a.order == b.order && a.left > b.left);
    };
    std::vector<Candidate> heap;
    const auto consider = [&](std::int64_t left, std::int64_t right) {
        if (left < 0 || right < 0)
            return false;
        const Symbol& a = symbols[static_cast<std::size_t>(left)];
        const Symbol& b = symbols[static_cast<std::size_t>(right)];
        if (a.frozen || b.frozen)
            return false;
        const std::optional<MergedPair> pair = pairOf(a, b);
        if (pair)
            heap.push_back({pair->order, static_cast<std::size_t>(left), a.length + b.length, pair->id});
        return pair.has_value();
    };
    for (std::size_t i = 0; i < symbols.size(); ++i) {
        symbols[i].previous = static_cast<std::int64_t>(i) - 1;
        symbols[i].next = i + 1 < symbols.size() ? static_cast<std::int64_t>(i) + 1 : -1;
    }
    for (std::size_t i = 1; i < symbols.size(); ++i)
        consider(static_cast<std::int64_t>(i) - 1, static_cast<std::int64_t>(i));
    std::ranges::make_heap(heap, later);
    for (std::size_t step = 0; !heap.empty(); ++step) {
        if (step % 65536 == 65535)
            QL_CHECK(context.checkStop());
        std::ranges::pop_heap(heap, later);
        const Candidate best = heap.back();
        heap.pop_back();
        Symbol& left = symbols[best.left];
        if (left.length == 0 || left.next < 0)
            continue;
        Symbol& right = symbols[static_cast<std::size_t>(left.next)];
        if (left.length + right.length != best.length)
            continue;
        left.id = best.id;
        left.length += right.length;
        left.next = right.next;
        right.length = 0;
        if (left.next >= 0)
            symbols[static_cast<std::size_t>(left.next)].previous = static_cast<std::int64_t>(best.left);
        if (consider(left.previous, static_cast<std::int64_t>(best.left)))
            std::ranges::push_heap(heap, later);
        if (consider(static_cast<std::int64_t>(best.left), left.next))
            std::ranges::push_heap(heap, later);
    }
    std::erase_if(symbols, [](const Symbol& symbol) { return symbol.length == 0; });
    return {};
}

/// Which characters ever stand side by side inside a merged piece. Between two that never do no merge reaches across,
/// so what stands left and right of them merges on its own: a long word may be cut there and keeps its ids.
class Seams {
public:
    /// A piece that merging can make.
    void addMerged(std::string_view piece)
    {
        std::uint64_t before = 0;
        walk(piece, [&](std::size_t, std::uint64_t character) {
            if (before != 0)
                m_joined.insert((before << 32U) | character);
            before = character;
            return true;
        });
    }
    /// A character beside which may be cut.
    void addKnown(std::string_view character)
    {
        walk(character, [&](std::size_t, std::uint64_t packed) {
            m_known.insert(packed);
            return true;
        });
    }
    /// Every offset where the word may be cut.
    Result<std::vector<std::size_t>> in(std::string_view word, const JobContext& context) const
    {
        constexpr std::size_t kBetweenTests = std::size_t{1} << 16U;
        std::vector<std::size_t> cuts;
        cuts.reserve(word.size() / 4); // room, not yet memory: moving millions of them cannot be stopped
        std::uint64_t before = 0;
        std::size_t tested = 0;
        bool knownBefore = false;
        walk(word, [&](std::size_t at, std::uint64_t character) {
            if (at - tested > kBetweenTests) {
                tested = at;
                if (context.stopRequested())
                    return false;
            }
            const bool known = m_known.contains(character);
            if (knownBefore && known && !m_joined.contains((before << 32U) | character))
                cuts.push_back(at);
            before = character;
            knownBefore = known;
            return true;
        });
        QL_CHECK(context.checkStop());
        return cuts;
    }

private:
    /// Calls visit(offset, bytes packed into a number) for each character until it says false.
    template<typename Visit>
    static void walk(std::string_view text, const Visit& visit)
    {
        for (std::size_t at = 0; at < text.size();) {
            const std::size_t length = std::min(announcedLength(text[at]), text.size() - at);
            std::uint64_t packed = 0;
            for (std::size_t i = 0; i < length; ++i)
                packed = (packed << 8U) | static_cast<unsigned char>(text[at + i]);
            if (!visit(at, packed))
                return;
            at += length;
        }
    }

    std::unordered_set<std::uint64_t> m_joined;
    std::unordered_set<std::uint64_t> m_known;
};

} // namespace ql::tok
