// SPDX-License-Identifier: GPL-3.0-or-later
// Phases of complex weights: +1, −1, +i or −i, whichever lies within 45° (Fairy2i and iFairy, 2025). Ties go
// counterclockwise, 0 is +1. Codes are those of iFairy's blocks: 0 −1, 1 +1, 2 −i, 3 +i.
#pragma once

namespace ql {

enum Phase : unsigned { minusOne, plusOne, minusI, plusI };

inline Phase phaseOf(float re, float im)
{
    if (re > 0 ? im < re && im >= -re : re == 0 && im == 0)
        return plusOne;
    if (im > 0 && re > -im)
        return plusI;
    if (re < 0 && im > re)
        return minusOne;
    return minusI;
}

/// Scales of ±1 and of ±i.
struct PhaseScales {
    float re = 0, im = 0;
};

struct ComplexPart {
    float re = 0, im = 0;
};
inline ComplexPart phaseValue(unsigned code, const PhaseScales& scales)
{
    switch (code) {
    case minusOne:
        return {-scales.re, 0};
    case plusOne:
        return {scales.re, 0};
    case minusI:
        return {0, -scales.im};
    default:
        return {0, scales.im};
    }
}

} // namespace ql
