// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/plan/nearest_name.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

namespace ql {

namespace {
std::size_t editDistance(std::string_view a, std::string_view b, std::vector<std::size_t>& row)
{
    row.resize(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        std::size_t diagonal = std::exchange(row[0], i + 1);
        for (std::size_t j = 0; j < b.size(); ++j) {
            const std::size_t replace = diagonal + (a[i] == b[j] ? 0 : 1);
            diagonal = row[j + 1];
            row[j + 1] = std::min({replace, row[j] + 1, row[j + 1] + 1});
        }
    }
    return row.back();
}
} // namespace

std::string nearestName(std::string_view word, std::span<const std::string> names)
{
    constexpr std::size_t kLongest = 400; // longer words are no typing mistake
    if (word.empty() || word.size() > kLongest)
        return {};
    std::vector<std::size_t> row;
    std::size_t best = word.size() / 3 + 1;
    std::string nearest;
    for (const std::string& name : names) {
        const std::size_t lengths = name.size() > word.size() ? name.size() - word.size() : word.size() - name.size();
        if (lengths >= best)
            continue;
        const std::size_t distance = editDistance(word, name, row);
        if (distance < best) {
            best = distance;
            nearest = name;
        }
    }
    return nearest;
}

} // namespace ql
