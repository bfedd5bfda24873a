// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/isotonic.h"

#include <algorithm>
#include <tuple>

namespace ql {

std::vector<WeightedPoint> isotonicLevels(std::vector<WeightedPoint> points)
{
    std::ranges::sort(points, [](const WeightedPoint& a, const WeightedPoint& b) {
        return std::tie(a.x, a.y, a.weight) < std::tie(b.x, b.y, b.weight);
    });
    std::vector<WeightedPoint> levels;
    for (const WeightedPoint& point : points) {
        levels.push_back(point);
        while (levels.size() > 1) {
            const WeightedPoint last = levels.back();
            WeightedPoint& before = levels[levels.size() - 2];
            if (before.y < last.y && before.x < last.x)
                break;
            const double weight = before.weight + last.weight;
            before.x += (last.x - before.x) * (last.weight / weight);
            before.y += (last.y - before.y) * (last.weight / weight);
            before.weight = weight;
            levels.pop_back();
        }
    }
    return levels;
}

double interpolated(std::span<const WeightedPoint> levels, double x)
{
    const auto after = std::ranges::upper_bound(levels, x, {}, &WeightedPoint::x);
    if (after == levels.begin())
        return after->y;
    const WeightedPoint& before = *(after - 1);
    if (after == levels.end())
        return before.y;
    return before.y + (after->y - before.y) * ((x - before.x) / (after->x - before.x));
}

} // namespace ql
