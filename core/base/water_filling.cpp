// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/water_filling.h"

#include <algorithm>
#include <cmath>

namespace ql {

std::vector<double> waterFill(std::span<const double> losses, std::span<const double> sizes, double meanBits)
{
    const auto sizeOf = [&](std::size_t i) { return sizes.empty() ? 1.0 : sizes[i]; };
    std::vector<double> bits(losses.size());
    std::vector<std::size_t> wet; // parts that get bits
    double budget = 0;
    for (std::size_t i = 0; i < losses.size(); ++i) {
        budget += meanBits * sizeOf(i);
        if (losses[i] > 0 && sizeOf(i) > 0)
            wet.push_back(i);
    }
    if (wet.empty())
        return std::vector<double>(losses.size(), meanBits);
    while (!wet.empty()) {
        double size = 0;
        double logs = 0;
        for (const std::size_t i : wet) {
            size += sizeOf(i);
            logs += sizeOf(i) * std::log2(losses[i] / sizeOf(i));
        }
        for (const std::size_t i : wet)
            bits[i] = budget / size + (std::log2(losses[i] / sizeOf(i)) - logs / size) / 2;
        const auto dry = std::ranges::remove_if(wet, [&](std::size_t i) { return bits[i] < 0; });
        if (dry.empty())
            break;
        wet.erase(dry.begin(), dry.end());
        for (double& each : bits)
            each = std::max(each, 0.0);
    }
    return bits;
}

std::vector<int> greedyBits(std::span<const double> losses, std::int64_t budget, int most)
{
    std::vector<int> bits(losses.size());
    const auto gain = [&](std::size_t i) { return bits[i] < most ? losses[i] * std::pow(4.0, -bits[i]) * 0.75 : 0; };
    for (; budget > 0; --budget) {
        std::size_t best = 0;
        for (std::size_t i = 1; i < losses.size(); ++i)
            if (gain(i) > gain(best))
                best = i;
        if (losses.empty() || !(gain(best) > 0))
            break;
        ++bits[best];
    }
    return bits;
}

double geometricOverArithmetic(std::span<const double> losses)
{
    double logs = 0;
    double sum = 0;
    for (const double loss : losses) {
        logs += std::log(loss);
        sum += loss;
    }
    const auto count = static_cast<double>(losses.size());
    return sum > 0 ? std::exp(logs / count) / (sum / count) : 1;
}

} // namespace ql
