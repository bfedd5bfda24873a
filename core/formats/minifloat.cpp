// SPDX-License-Identifier: GPL-3.0-or-later
// Minifloats of 3…8 bits. e<x>m<y>: every code is finite. fp8_e4m3 and fp8_e5m2 give up their top codes as OCP says.
#include "core/formats/format_build.h"

#include <cmath>
#include <limits>

namespace ql {

namespace {

enum class Specials { none, e4m3, e5m2 };

NumberFormatPtr makeMinifloat(std::string id, int exponentBits, int mantissaBits, Specials specials)
{
    NumberFormat format;
    format.id = std::move(id);
    const std::string name = "E" + std::to_string(exponentBits) + "M" + std::to_string(mantissaBits);
    format.bits = 1 + exponentBits + mantissaBits;
    format.title = specials == Specials::none ? std::to_string(format.bits) + "-bit minifloat " + name + ", all finite"
                                              : "OCP FP8 " + name;
    format.source = specials == Specials::none ? "all codes finite, bias 2^(x-1)-1; Aggarwal et al. 2023, section 3"
                                               : "OCP 8-bit Floating Point Specification (OFP8) v1.0, section 5";
    format.kind = FormatKind::minifloat;
    format.exponentBits = exponentBits;
    format.mantissaBits = mantissaBits;
    const int bias = (1 << (exponentBits - 1)) - 1;
    const int magnitudes = 1 << (exponentBits + mantissaBits);
    for (int code = 0; code < 2 * magnitudes; ++code) {
        const int magnitude = code % magnitudes;
        const int exponent = magnitude >> mantissaBits;
        const int mantissa = magnitude & ((1 << mantissaBits) - 1);
        float level = exponent == 0 ? std::ldexp(static_cast<float>(mantissa), 1 - bias - mantissaBits)
                                    : std::ldexp(static_cast<float>(mantissa + (1 << mantissaBits)),
                                                 exponent - bias - mantissaBits);
        if ((specials == Specials::e4m3 && magnitude == 0x7f) || (specials == Specials::e5m2 && magnitude > 0x7c))
            level = std::numeric_limits<float>::quiet_NaN();
        else if (specials == Specials::e5m2 && magnitude == 0x7c)
            level = std::numeric_limits<float>::infinity();
        format.levels.push_back(code < magnitudes ? level : -level);
    }
    return finishFormat(std::move(format));
}

NumberFormatPtr parseMinifloat(std::string_view text)
{
    if (text == "fp8_e4m3")
        return makeMinifloat("fp8_e4m3", 4, 3, Specials::e4m3);
    if (text == "fp8_e5m2")
        return makeMinifloat("fp8_e5m2", 5, 2, Specials::e5m2);
    if (text.size() != 4 || text[0] != 'e' || text[2] != 'm')
        return nullptr;
    const int exponentBits = text[1] - '0';
    const int mantissaBits = text[3] - '0';
    const int bits = 1 + exponentBits + mantissaBits;
    if (exponentBits < 1 || exponentBits > 7 || mantissaBits < 0 || mantissaBits > 6 || bits < 3 || bits > 8)
        return nullptr;
    return makeMinifloat(std::string(text), exponentBits, mantissaBits, Specials::none);
}

std::vector<std::string> minifloats()
{
    std::vector<std::string> ids;
    for (int bits = 3; bits <= 8; ++bits)
        for (int exponentBits = 1; exponentBits < bits; ++exponentBits)
            ids.push_back("e" + std::to_string(exponentBits) + "m" + std::to_string(bits - 1 - exponentBits));
    ids.emplace_back("fp8_e4m3");
    ids.emplace_back("fp8_e5m2");
    return ids;
}

} // namespace

namespace formats {
extern const FormatFamily minifloat;
const FormatFamily minifloat{
    .id = "minifloat", .title = "Minifloats", .parse = parseMinifloat, .instances = minifloats};
} // namespace formats

} // namespace ql
