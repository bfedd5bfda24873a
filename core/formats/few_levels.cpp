// SPDX-License-Identifier: GPL-3.0-or-later
// Codebooks of few whole levels.
//   binary       {−1, 1} in 1 bit; 0 is coded as +1 (BiBench, Qin et al. 2023: XNOR, DoReFa)
//   ternary      {−1, 0, 1}, stored in 2 bits: three of the four codes are used (BitNet b1.58)
//   balanced<b>  b = 2…7: the 2^b + 1 levels −2^(b−1)…2^(b−1) of ABQ-LLM's bit balance, stored in b + 1 bits
//   flint4       {0, ±1, ±2, ±3, ±4, ±6, ±8, ±16} in 4 bits (ANT, Guo et al. 2022)
#include "core/formats/format_build.h"

namespace ql {

namespace {

NumberFormatPtr parseFewLevels(std::string_view text)
{
    if (text == "binary") // the even code is +1, so that 0 and ties go there
        return finishFormat(codebookOf(text, "Binary: −1, 1", "Qin et al., BiBench, 2023, section 3", {1, -1}));
    if (text == "ternary")
        return finishFormat(codebookOf(text, "Ternary: −1, 0, 1, two bits stored",
                                       "Ma et al., BitNet b1.58, 2024, section 2", {-1, 0, 1}));
    if (text == "flint4")
        return finishFormat(codebookOf(text, "4-bit FLINT", "Guo et al., ANT, 2022, section IV",
                                       {-16, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 16}));
    const auto bits = numberAfter(text, "balanced");
    if (!bits || *bits < 2 || *bits > 7)
        return nullptr;
    const int half = 1 << (*bits - 1);
    std::vector<float> levels;
    for (int level = -half; level <= half; ++level)
        levels.push_back(static_cast<float>(level));
    return finishFormat(codebookOf(text,
                                   std::to_string(*bits) + "-bit integer with one more level for balance, " +
                                       std::to_string(*bits + 1) + " bits stored",
                                   "Zeng et al., ABQ-LLM, 2024, section 3.3", std::move(levels)));
}

std::vector<std::string> fewLevels()
{
    return {"binary", "ternary", "balanced2", "balanced3", "flint4"};
}

} // namespace

namespace formats {
extern const FormatFamily few_levels;
const FormatFamily few_levels{.id = "few_levels",
                              .title = "Few whole levels",
                              .parse = parseFewLevels,
                              .instances = fewLevels,
                              .ids = "binary, ternary, balanced2…balanced7, flint4"};
} // namespace formats

} // namespace ql
