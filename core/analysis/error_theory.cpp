// SPDX-License-Identifier: GPL-3.0-or-later
// Expected QSNR of Gaussian blocks (arXiv 2510.25602, section 4).
#include "core/analysis/error_curves.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numbers>

namespace ql {

namespace {

double normalDensity(double t)
{
    return std::exp(-t * t / 2) / std::sqrt(2 * std::numbers::pi);
}

/// 2·(Φ(t) − 1/2): the share of |x| < t.
double normalWithin(double t)
{
    return std::erf(t / std::numbers::sqrt2);
}

struct Pair {
    std::string_view integer, minifloat;
    int bits;
    int exponentBits, mantissaBits;
    double maxLevel;
    double rho;
    int block;
    int exactMaxGroup;
};
constexpr Pair kPairs[] = {
    {"mxint8", "mxfp8_e4m3", 8, 4, 3, 448, kRhoE8m0, 32, 0},
    {"mxint6", "mxfp6_e2m3", 6, 2, 3, 7.5, kRhoE8m0, 32, 0},
    {"mxint4", "mxfp4", 4, 2, 1, 6, kRhoE8m0, 32, 0},
    {"nvint4", "nvfp4", 4, 2, 1, 6, kRhoE4m3, 16, 16},
};

PairQsnr qsnrOf(const Pair& pair, double crest)
{
    return {
        theoreticalIntQsnrDb(pair.bits, crest, pair.rho, pair.exactMaxGroup),
        theoreticalFpQsnrDb(pair.exponentBits, pair.mantissaBits, pair.maxLevel, crest, pair.rho, pair.exactMaxGroup)};
}

} // namespace

double theoreticalIntQsnrDb(int bits, double crestFactor, double rho, int exactMaxGroup)
{
    // A step of ρ·κ·σ/2^(b−1) makes an error of step²/12; one value in g has none.
    const double step = rho * crestFactor / std::ldexp(1.0, bits - 1);
    const double share = exactMaxGroup > 1 ? 1 - 1.0 / exactMaxGroup : 1;
    return -10 * std::log10(step * step / 12 * share);
}

double theoreticalFpQsnrDb(int exponentBits, int mantissaBits, double maxLevel, double crestFactor, double rho,
                           int exactMaxGroup)
{
    const int bias = (1 << (exponentBits - 1)) - 1;
    const double unit = rho * crestFactor / maxLevel;                 // the scale, in standard deviations
    const double zero = unit * std::ldexp(1.0, -bias - mantissaBits); // below: rounded to 0
    const double normal = unit * std::ldexp(1.0, 1 - bias);           // above: normal numbers
    double power = 2 * normal * normalDensity(normal) + 1 - normalWithin(normal);
    if (exactMaxGroup > 1)
        power = std::max(0.0, power - crestFactor * crestFactor / exactMaxGroup);
    const double subnormals = normalWithin(normal) - normalWithin(zero);
    const double lost = normalWithin(zero) - 2 * zero * normalDensity(zero);
    const double step = unit * std::ldexp(1.0, 1 - bias - mantissaBits);
    const double error = power / (24 * std::ldexp(1.0, 2 * mantissaBits)) + subnormals * step * step / 12 + lost;
    return -10 * std::log10(error);
}

std::vector<Crossover> crestFactorCrossovers()
{
    std::vector<Crossover> crossovers;
    for (const Pair& pair : kPairs) {
        double low = 1; // the integer wins here and loses at high
        double high = 64;
        for (int i = 0; i < 60; ++i) {
            const double middle = (low + high) / 2;
            const PairQsnr qsnr = qsnrOf(pair, middle);
            (qsnr.integerDb > qsnr.minifloatDb ? low : high) = middle;
        }
        crossovers.push_back({pair.integer, pair.minifloat, pair.block, (low + high) / 2});
    }
    return crossovers;
}

PairQsnr theoreticalQsnrDb(const Crossover& crossover, double crestFactor)
{
    const auto* const pair = std::find_if(std::begin(kPairs), std::end(kPairs),
                                          [&](const Pair& p) { return p.integer == crossover.integer; });
    assert(pair != std::end(kPairs));
    return qsnrOf(*pair, crestFactor);
}

} // namespace ql
