// SPDX-License-Identifier: GPL-3.0-or-later
// Formats without scales: casts to f32, f16, bf16, and keep, which leaves a tensor as the checkpoint stores it.
#include "core/formats/format_build.h"

namespace ql {

namespace {

NumberFormatPtr parseCast(std::string_view text)
{
    NumberFormat format;
    format.id = text;
    format.kind = FormatKind::cast;
    if (text == "f32") {
        format.title = "32-bit float";
        format.bits = 32;
        format.exponentBits = 8;
        format.mantissaBits = 23;
        format.maxLevel = 0x1.fffffep127F;
        format.source = "IEEE 754 binary32";
    } else if (text == "f16") {
        format.title = "16-bit float";
        format.bits = 16;
        format.exponentBits = 5;
        format.mantissaBits = 10;
        format.maxLevel = 65504;
        format.source = "IEEE 754 binary16";
    } else if (text == "bf16") {
        format.title = "bfloat16";
        format.bits = 16;
        format.exponentBits = 8;
        format.mantissaBits = 7;
        format.maxLevel = 0x1.fep127F;
        format.source = "upper half of IEEE 754 binary32";
    } else if (text == "keep") {
        format.title = "As stored";
        format.kind = FormatKind::keep;
        format.source = "the checkpoint's own type";
    } else {
        return nullptr;
    }
    return finishFormat(std::move(format));
}

std::vector<std::string> casts()
{
    return {"f32", "f16", "bf16", "keep"};
}

} // namespace

namespace formats {
extern const FormatFamily cast;
const FormatFamily cast{.id = "cast", .title = "Casts", .parse = parseCast, .instances = casts};
} // namespace formats

} // namespace ql
