// SPDX-License-Identifier: GPL-3.0-or-later
#include "views/theme/color_map.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace ql::views {

namespace {

using Polynomial = std::array<std::array<double, 3>, 7>; // coefficients of t⁰…t⁶ for red, green, blue

constexpr Polynomial kViridis = {{{0.2777273272234177, 0.005407344544966578, 0.3340998053353061},
                                  {0.1050930431085774, 1.404613529898575, 1.384590162594685},
                                  {-0.3308618287255563, 0.214847559468213, 0.09509516302823659},
                                  {-4.634230498983486, -5.799100973351585, -19.33244095627987},
                                  {6.228269936347081, 14.17993336680509, 56.69055260068105},
                                  {4.776384997670288, -13.74514537774601, -65.35303263337234},
                                  {-5.435455855934631, 4.645852612178535, 26.3124352495832}}};
constexpr Polynomial kInferno = {{{0.0002189403691192265, 0.001651004631001012, -0.01948089843709184},
                                  {0.1065134194856116, 0.5639564367884091, 3.932712388889277},
                                  {11.60249308247187, -3.972853965665698, -15.9423941062914},
                                  {-41.70399613139459, 17.43639888205313, 44.35414519872813},
                                  {77.162935699427, -33.40235894210092, -81.80730925738993},
                                  {-71.31942824499214, 32.62606426397723, 73.20951985803202},
                                  {25.13112622477341, -12.24266895238567, -23.07032500287172}}};

int channel(const Polynomial& p, std::size_t index, double t)
{
    double value = 0;
    for (std::size_t power = p.size(); power-- > 0;)
        value = value * t + p[power][index];
    return static_cast<int>(std::lround(255 * std::clamp(value, 0.0, 1.0)));
}

} // namespace

QRgb colorAt(ColorMap map, double t)
{
    const double x = std::clamp(t, 0.0, 1.0);
    if (map == ColorMap::grey) {
        const auto level = static_cast<int>(std::lround(255 * x));
        return qRgb(level, level, level);
    }
    const Polynomial& p = map == ColorMap::viridis ? kViridis : kInferno;
    return qRgb(channel(p, 0, x), channel(p, 1, x), channel(p, 2, x));
}

} // namespace ql::views
