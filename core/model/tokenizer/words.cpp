// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/tokenizer/words.h"

namespace ql::tok {

std::vector<std::pair<std::size_t, std::size_t>> groupsOf(const std::vector<Word>& words)
{
    std::vector<std::pair<std::size_t, std::size_t>> groups;
    std::size_t bytes = 0;
    std::size_t first = 0;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if (i > first && bytes + words[i].size() > kGrainBytes) {
            groups.emplace_back(first, i);
            first = i;
            bytes = 0;
        }
        bytes += words[i].size();
    }
    if (first < words.size())
        groups.emplace_back(first, words.size());
    return groups;
}

} // namespace ql::tok
