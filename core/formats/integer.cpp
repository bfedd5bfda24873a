// SPDX-License-Identifier: GPL-3.0-or-later
// int2…int8 in two's complement, and mxint8 of the OCP microscaling formats: int8 with levels scaled by 2⁻⁶.
#include "core/base/text.h"
#include "core/formats/format_build.h"

namespace ql {

namespace {

NumberFormatPtr makeInteger(std::string id, int bits, float step)
{
    NumberFormat format;
    format.id = std::move(id);
    format.title = step == 1 ? std::to_string(bits) + "-bit integer" : "8-bit integer scaled by 2⁻⁶ (OCP MX INT8)";
    format.source = step == 1 ? "two's complement" : "OCP Microscaling Formats (MX) Specification v1.0, section 5.3.4";
    format.kind = FormatKind::integer;
    format.bits = bits;
    const int codes = 1 << bits;
    for (int pattern = 0; pattern < codes; ++pattern)
        format.levels.push_back(static_cast<float>(pattern < codes / 2 ? pattern : pattern - codes) * step);
    format.hasNegativeExtreme = true;
    return finishFormat(std::move(format));
}

NumberFormatPtr parseInteger(std::string_view text)
{
    if (text == "mxint8")
        return makeInteger("mxint8", 8, 0x1p-6F);
    if (text.size() == 4 && text.substr(0, 3) == "int" && text[3] >= '2' && text[3] <= '8')
        return makeInteger(std::string(text), text[3] - '0', 1);
    return nullptr;
}

std::vector<std::string> integers()
{
    return {"int2", "int3", "int4", "int5", "int6", "int7", "int8", "mxint8"};
}

} // namespace

namespace formats {
extern const FormatFamily integer;
const FormatFamily integer{.id = "integer", .title = "Integers", .parse = parseInteger, .instances = integers};
} // namespace formats

} // namespace ql
