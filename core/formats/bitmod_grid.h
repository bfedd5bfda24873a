// SPDX-License-Identifier: GPL-3.0-or-later
// The levels of BitMoD (Chen et al., HPCA 2025): those of a sign-magnitude float, whose code of −0 means one of four
// special values.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>

namespace ql {

template<int kBits>
struct BitmodGrid {
    static constexpr int kHalf = 1 << (kBits - 1);
    static constexpr std::array<float, 8> kMagnitudes =
        kBits == 3 ? std::array<float, 8>{0, 1, 2, 4} : std::array<float, 8>{0, 1, 2, 3, 4, 6, 8, 12};
    static constexpr std::array<float, 4> kSpecial =
        kBits == 3 ? std::array<float, 4>{3, -3, 6, -6} : std::array<float, 4>{10, -10, 16, -16};

    static float level(unsigned special, unsigned code)
    {
        if (code == kHalf)
            return kSpecial[special];
        return code < kHalf ? kMagnitudes[code] : -kMagnitudes[code - kHalf];
    }
    static float largest(unsigned special) { return std::max(std::fabs(kSpecial[special]), kMagnitudes[kHalf - 1]); }
    /// The nearest level times scale; ties to the lower level.
    static unsigned nearest(double x, unsigned special, double scale)
    {
        unsigned best = 0;
        double least = std::fabs(x);
        double its = 0;
        for (unsigned code = 1; code < 2 * kHalf; ++code) {
            const auto value = static_cast<double>(level(special, code)) * scale;
            const double distance = std::fabs(x - value);
            if (distance < least || (distance == least && value < its)) {
                least = distance;
                best = code;
                its = value;
            }
        }
        return best;
    }
};

} // namespace ql
