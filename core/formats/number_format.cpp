// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/number_format.h"

#include "core/base/text.h"
#include "core/formats/format_build.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <numeric>

namespace ql {

NumberFormatPtr finishFormat(NumberFormat format)
{
    std::vector<std::size_t> order(format.levels.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    // A stable sort leaves +0 (the lower bit pattern) before −0, whose code is dropped below.
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return std::isfinite(format.levels[a]) && std::isfinite(format.levels[b])
                   ? format.levels[a] < format.levels[b]
                   : std::isfinite(format.levels[a]) && !std::isfinite(format.levels[b]);
    });
    for (const std::size_t code : order) {
        const float level = format.levels[code];
        if (!std::isfinite(level) || (!format.grid.levels.empty() && format.grid.levels.back() == level))
            continue;
        format.grid.levels.push_back(level);
        format.grid.codes.push_back(static_cast<std::uint8_t>(code));
    }
    if (!format.grid.levels.empty())
        format.maxLevel = format.grid.levels.back();
    return std::make_shared<const NumberFormat>(std::move(format));
}

NumberFormat codebookOf(std::string_view id, std::string title, std::string source, std::vector<float> levels)
{
    NumberFormat format;
    format.id = id;
    format.title = std::move(title);
    format.source = std::move(source);
    format.kind = FormatKind::codebook;
    format.bits = std::max(1, static_cast<int>(std::bit_width(levels.size() - 1)));
    const auto [least, most] = std::ranges::minmax(levels);
    format.hasNegativeExtreme = least < -most;
    format.levels = std::move(levels);
    return format;
}

std::optional<int> numberAfter(std::string_view text, std::string_view name)
{
    if (!text.starts_with(name) || text.size() > name.size() + 4)
        return std::nullopt;
    const std::string_view digits = text.substr(name.size());
    const auto number = parseInt(digits);
    if (!number || *number < 0 || std::to_string(*number) != digits)
        return std::nullopt;
    return static_cast<int>(*number);
}

namespace {

const std::map<std::string, NumberFormatPtr, std::less<>>& formatsById()
{
    static const auto kFormats = [] {
        std::map<std::string, NumberFormatPtr, std::less<>> formats;
        for (const FormatFamily* family : allFormatFamilies())
            for (const std::string& id : family->instances())
                formats.emplace(id, family->parse(id));
        return formats;
    }();
    return kFormats;
}

} // namespace

Result<NumberFormatPtr> findNumberFormat(std::string_view id)
{
    const auto& formats = formatsById();
    if (const auto found = formats.find(id); found != formats.end())
        return found->second;
    for (const FormatFamily* family : allFormatFamilies())
        if (NumberFormatPtr format = family->parse(id))
            return format;
    const std::string quoted = "\"" + printable(id) + "\"";
    if (id.size() > 3 && id.substr(0, 3) == "int" && parseInt(id.substr(3)))
        return usageError(quoted + ": integers have 2…8 bits (int2 … int8)");
    const std::size_t m = id.find('m');
    if (id.size() > 3 && id[0] == 'e' && m != std::string_view::npos && parseInt(id.substr(1, m - 1)) &&
        parseInt(id.substr(m + 1)))
        return usageError(quoted +
                          ": minifloats e<x>m<y> have a sign, x ≥ 1 exponent and y ≥ 0 mantissa bits, 3…8 bits "
                          "in all (e2m1, e4m3, …)");
    std::string others;
    for (const FormatFamily* family : allFormatFamilies())
        if (!family->ids.empty())
            others += std::string(family->ids) + ", ";
    return usageError("unknown number format " + quoted +
                      "; there are int2…int8, minifloats e<x>m<y> of 3…8 bits, fp8_e4m3, fp8_e5m2, mxint8, nf4, " +
                      others + "f32, f16, bf16 and keep");
}

std::uint8_t nearestCode(const NumberFormat& format, float x)
{
    const auto& levels = format.grid.levels;
    const auto& codes = format.grid.codes;
    const float value = std::isnan(x) ? 0.0F : x;
    const auto above = std::upper_bound(levels.begin(), levels.end(), value);
    if (above == levels.begin())
        return codes.front();
    const auto low = static_cast<std::size_t>(above - levels.begin()) - 1;
    if (above == levels.end())
        return codes.back();
    // Both sums are exact: levels have few bits, and the comparison is made in double.
    const double middle = (static_cast<double>(levels[low]) + static_cast<double>(levels[low + 1])) / 2;
    const auto exact = static_cast<double>(value);
    const bool up = exact > middle || (exact == middle && (codes[low] & 1U) != 0);
    return codes[low + (up ? 1 : 0)];
}

} // namespace ql
