// SPDX-License-Identifier: GPL-3.0-or-later
// Codebooks of powers of two and their sums, nearest in the linear domain.
//   pot<b>       b = 2…6: 0 and ±2^k, k = 0…2^(b−1)−2; one of the 2^b codes is not used
//   ds<b>        b = 2…6: ±2^k, k = 0…2^(b−1)−1, no zero (DenseShift, Li et al. 2022)
//   khot<b>_<k>  b = 2…8, k ≤ b: ± whole numbers below 2^b with at most k ones in binary (QFX, 2024), numbered: a sign
//                and ⌈log2 C⌉ bits for C magnitudes; at most 256 levels
#include "core/formats/format_build.h"

#include <bit>
#include <cmath>

namespace ql {

namespace {

/// Levels −m, …, and m, … of ascending magnitudes, with or without 0, ascending.
std::vector<float> mirrored(const std::vector<float>& magnitudes, bool withZero)
{
    std::vector<float> levels;
    for (std::size_t i = magnitudes.size(); i-- > 0;)
        levels.push_back(-magnitudes[i]);
    if (withZero)
        levels.push_back(0);
    levels.insert(levels.end(), magnitudes.begin(), magnitudes.end());
    return levels;
}

std::vector<float> powersOfTwo(int count)
{
    std::vector<float> powers;
    for (int k = 0; k < count; ++k)
        powers.push_back(std::ldexp(1.0F, k));
    return powers;
}

NumberFormatPtr parseSums(std::string_view text)
{
    const std::size_t dash = text.find('_');
    if (dash == std::string_view::npos)
        return nullptr;
    const auto bits = numberAfter(text.substr(0, dash), "khot");
    const auto most = numberAfter(text.substr(dash), "_");
    if (!bits || !most || *bits < 2 || *bits > 8 || *most < 1 || *most > *bits)
        return nullptr;
    std::vector<float> magnitudes;
    for (unsigned m = 1; m < 1U << static_cast<unsigned>(*bits); ++m)
        if (std::popcount(m) <= *most)
            magnitudes.push_back(static_cast<float>(m));
    if (magnitudes.size() > 127)
        return nullptr;
    return finishFormat(codebookOf(text,
                                   std::to_string(*bits) + "-bit magnitudes that are sums of at most " +
                                       std::to_string(*most) + " powers of two",
                                   "QFX, 2024, section 3 (K-hot)", mirrored(magnitudes, true)));
}

NumberFormatPtr parsePowers(std::string_view text)
{
    if (const auto bits = numberAfter(text, "pot"); bits && *bits >= 2 && *bits <= 6)
        return finishFormat(codebookOf(text, std::to_string(*bits) + "-bit powers of two and zero",
                                       "Miyashita et al. 2016; Zhou et al., INQ, 2017",
                                       mirrored(powersOfTwo((1 << (*bits - 1)) - 1), true)));
    if (const auto bits = numberAfter(text, "ds"); bits && *bits >= 2 && *bits <= 6)
        return finishFormat(codebookOf(text, std::to_string(*bits) + "-bit powers of two without zero (DenseShift)",
                                       "Li et al., DenseShift, 2022, section 3",
                                       mirrored(powersOfTwo(1 << (*bits - 1)), false)));
    return parseSums(text);
}

std::vector<std::string> powers()
{
    return {"pot3", "pot4", "pot5", "ds2", "ds3", "ds4", "khot8_1", "khot8_2", "khot8_3"};
}

} // namespace

namespace formats {
extern const FormatFamily powers_of_two;
const FormatFamily powers_of_two{.id = "powers_of_two",
                                 .title = "Powers of two",
                                 .parse = parsePowers,
                                 .instances = powers,
                                 .ids = "pot2…pot6, ds2…ds6, khot<bits>_<ones>"};
} // namespace formats

} // namespace ql
