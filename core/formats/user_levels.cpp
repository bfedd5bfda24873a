// SPDX-License-Identifier: GPL-3.0-or-later
// levels(a,b,…): a codebook of one's own, 2…256 different finite numbers of which one is positive. Codes number the
// levels in ascending order; the scale brings the largest weight to the largest level. Stored with the tensor once, 32
// bits a level.
#include "core/base/text.h"
#include "core/formats/format_build.h"

#include <array>
#include <charconv>
#include <cmath>

namespace ql {

namespace {

/// The shortest text that reads back as the same float, without an exponent: its sign could be taken for something else
/// in the text of a candidate.
std::string plainText(float level)
{
    std::array<char, 64> text;
    const auto end = std::to_chars(text.data(), text.data() + text.size(), level, std::chars_format::fixed).ptr;
    return {text.data(), end};
}

NumberFormatPtr parseUserLevels(std::string_view text)
{
    constexpr std::string_view kOpen = "levels(";
    if (!text.starts_with(kOpen) || !text.ends_with(")"))
        return nullptr;
    std::vector<float> levels;
    for (const std::string_view part : split(text.substr(kOpen.size(), text.size() - kOpen.size() - 1), ',')) {
        const auto value = parseDouble(trim(part));
        const auto level = static_cast<float>(value.value_or(NAN));
        // What lies beyond these has many digits and leaves no room for scales.
        if (!std::isfinite(level) || std::fabs(level) > 0x1p30F || (level != 0 && std::fabs(level) < 0x1p-30F))
            return nullptr;
        levels.push_back(level + 0.0F); // −0 is 0
    }
    std::ranges::sort(levels);
    if (levels.size() < 2 || levels.size() > 256 || levels.back() <= 0 ||
        std::ranges::adjacent_find(levels) != levels.end())
        return nullptr;
    std::vector<std::string> texts;
    for (const float level : levels)
        texts.push_back(plainText(level));
    const auto count = static_cast<int>(levels.size());
    NumberFormat format = codebookOf("levels(" + join(texts, ",") + ")", std::to_string(count) + " given levels",
                                     "given by the user", std::move(levels));
    format.sharedBits = 32 * count;
    return finishFormat(std::move(format));
}

std::vector<std::string> userLevels()
{
    return {"levels(-1,-0.5,0,0.25,1)"};
}

} // namespace

namespace formats {
extern const FormatFamily user_levels;
const FormatFamily user_levels{.id = "user_levels",
                               .title = "Given levels",
                               .parse = parseUserLevels,
                               .instances = userLevels,
                               .ids = "levels(a,b,…) with 2…256 different numbers, the largest positive"};
} // namespace formats

} // namespace ql
