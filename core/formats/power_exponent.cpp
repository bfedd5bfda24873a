// SPDX-License-Identifier: GPL-3.0-or-later
// pow<b>_<a>: the levels ±Q·(k/Q)^(100/a), k = 0…Q, Q = 2^(b−1) − 1, of quantization in the domain of |x|^(a/100)
// (PowerQuant, Yvinec et al. 2023; NUPES, 2023); b = 2…8, a = 10…200 in hundredths. pow<b>_100 is int<b>:restricted.
// Codes are nearest in the linear domain. The exponent is stored once for a tensor, as f16.
#include "core/base/text.h"
#include "core/formats/format_build.h"

#include <cmath>

namespace ql {

namespace {

NumberFormatPtr parsePower(std::string_view text)
{
    const std::size_t dash = text.find('_');
    if (dash == std::string_view::npos)
        return nullptr;
    const auto bits = numberAfter(text.substr(0, dash), "pow");
    const auto hundredths = numberAfter(text.substr(dash), "_");
    if (!bits || !hundredths || *bits < 2 || *bits > 8 || *hundredths < 10 || *hundredths > 200)
        return nullptr;
    const int most = (1 << (*bits - 1)) - 1;
    std::vector<float> levels;
    for (int k = -most; k <= most; ++k) {
        const double magnitude = most * std::pow(std::abs(k) / static_cast<double>(most), 100.0 / *hundredths);
        levels.push_back(static_cast<float>(k < 0 ? -magnitude : magnitude));
        if (levels.size() > 1 && !(levels.end()[-1] > levels.end()[-2]))
            return nullptr; // two levels in one float
    }
    NumberFormat format = codebookOf(
        text, std::to_string(*bits) + "-bit integers of the power " + formatDouble(*hundredths / 100.0) + " of weights",
        "Yvinec et al., PowerQuant, 2023, section 3; NUPES, 2023", std::move(levels));
    format.sharedBits = 16;
    return finishFormat(std::move(format));
}

std::vector<std::string> powerFormats()
{
    return {"pow3_54", "pow4_69", "pow8_68"};
}

} // namespace

namespace formats {
extern const FormatFamily power_exponent;
const FormatFamily power_exponent{.id = "power_exponent",
                                  .title = "Integers of a power",
                                  .parse = parsePower,
                                  .instances = powerFormats,
                                  .ids = "pow<bits>_<hundredths of the exponent>"};
} // namespace formats

} // namespace ql
