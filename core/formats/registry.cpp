// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/number_format.h"

namespace ql {

namespace formats {
#define FORMAT(id) extern const FormatFamily id;
#include "core/formats/formats.def"
#undef FORMAT
} // namespace formats

std::span<const FormatFamily* const> allFormatFamilies()
{
    static constexpr const FormatFamily* kAll[] = {
#define FORMAT(id) &formats::id,
#include "core/formats/formats.def"
#undef FORMAT
    };
    return kAll;
}

} // namespace ql
