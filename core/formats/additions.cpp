// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/additions.h"

#include "core/base/text.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace ql {

namespace {

constexpr std::int64_t kMillion = 1'000'000;
constexpr std::int64_t kMillionthsOfAPercent = 10'000;
constexpr std::int64_t kMostColumns = 65'536;
constexpr std::int64_t kMostRank = 128;

constexpr std::array kKinds{
    AdditionKind{"+cols<n>[:over<α>]",
                 "n input columns kept in float16: those with the largest |x|, where inputs are known; with :over only "
                 "those with |x| ≥ α",
                 "Dettmers et al., LLM.int8(), NeurIPS 2022, section 3.2"},
    AdditionKind{"+sparse<percent>", "that share of the weights kept in float16, with their positions",
                 "Dettmers et al., SpQR, ICLR 2024, section 4"},
    AdditionKind{
        "+lr<r>[:scaled]",
        "what is left by factors of rank r in float16: the best by ‖W − Ŵ‖, or with :scaled by what the inputs "
        "make of it",
        "Yao et al., LoRC in ZeroQuant-V2, 2023, section 5; Zhang et al., LQER, ICML 2024"},
};

/// A whole number from 1 to `most`.
std::optional<std::int64_t> numberUpTo(std::string_view text, std::int64_t most)
{
    const auto number = parseInt(text);
    return number && *number >= 1 && *number <= most ? number : std::nullopt;
}

struct Part {
    std::string_view word, option; // "lr8", "scaled"
    bool hasOption = false;
};

Result<void> readColumns(Additions& into, const Part& part, const std::string& where)
{
    const auto count = numberUpTo(part.word.substr(4), kMostColumns);
    if (!count)
        return usageError(where + ": cols<n> keeps a whole number of columns from 1 to " +
                          std::to_string(kMostColumns) + ", e.g. +cols16");
    into.columns = *count;
    if (!part.hasOption)
        return {};
    const auto over = part.option.starts_with("over") ? parseDouble(part.option.substr(4)) : std::nullopt;
    constexpr double kMost = 99999; // prints without an exponent, whose sign would be a plus
    if (!over || !(*over > 0) || !(*over <= kMost))
        return usageError(where + ": after cols<n> may come :over<α> with 0 < α ≤ 99999, e.g. +cols16:over6");
    into.columnsOver = *over;
    return {};
}

Result<void> readSparse(Additions& into, const Part& part, const std::string& where)
{
    const auto percent = parseDouble(part.word.substr(6));
    const double millionths = percent ? *percent * static_cast<double>(kMillionthsOfAPercent) : 0;
    const double whole = std::nearbyint(millionths);
    if (part.hasOption || !(whole >= 1) || !(whole <= static_cast<double>(kMillion / 2)) ||
        std::fabs(millionths - whole) > 1e-6)
        return usageError(where + ": sparse<percent> keeps a share of the weights from 0.0001 to 50 percent, with at "
                                  "most four decimals, e.g. +sparse1 or +sparse0.5");
    into.sparseMillionths = static_cast<std::int64_t>(whole);
    return {};
}

Result<void> readRank(Additions& into, const Part& part, const std::string& where)
{
    const auto rank = numberUpTo(part.word.substr(2), kMostRank);
    if (!rank || (part.hasOption && part.option != "scaled"))
        return usageError(where + ": lr<r> has a rank from 1 to " + std::to_string(kMostRank) +
                          ", and may be followed by :scaled, e.g. +lr8");
    into.rank = *rank;
    into.scaledRank = part.hasOption;
    return {};
}

} // namespace

std::int64_t Additions::columnSlots(std::int64_t rows, std::int64_t cols) const
{
    return rows > 0 ? std::min(columns, cols) : 0;
}

std::int64_t Additions::sparseCount(std::int64_t rows, std::int64_t cols) const
{
    const std::int64_t n = rows * cols;
    const std::int64_t rest = n % kMillion * sparseMillionths;
    return n / kMillion * sparseMillionths + (rest + kMillion - 1) / kMillion;
}

std::int64_t Additions::factorRank(std::int64_t rows, std::int64_t cols) const
{
    return std::min({rank, rows, cols});
}

int sparseIndexBits(std::int64_t cols)
{
    return cols <= 65'536 ? 16 : 32;
}

std::pair<std::string_view, std::string_view> splitAdditions(std::string_view text)
{
    int depth = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        depth += text[i] == '(' ? 1 : text[i] == ')' ? -1 : 0;
        if (text[i] == '+' && depth == 0)
            return {text.substr(0, i), text.substr(i)};
    }
    return {text, {}};
}

Result<Additions> parseAdditions(std::string_view text, std::string_view whole)
{
    const std::string where = "scheme \"" + printable(whole) + "\"";
    Additions additions;
    if (text.empty())
        return additions;
    int last = -1; // of the order
    for (const std::string_view given : split(text.substr(1), '+')) {
        const std::string_view word = trim(given);
        const std::size_t colon = word.find(':');
        const bool hasOption = colon != std::string_view::npos;
        const Part part{.word = trim(word.substr(0, colon)),
                        .option = hasOption ? trim(word.substr(colon + 1)) : std::string_view(),
                        .hasOption = hasOption};
        int order = 0;
        if (part.word.starts_with("cols")) {
            QL_CHECK(readColumns(additions, part, where));
        } else if (part.word.starts_with("sparse")) {
            order = 1;
            QL_CHECK(readSparse(additions, part, where));
        } else if (part.word.starts_with("lr")) {
            order = 2;
            QL_CHECK(readRank(additions, part, where));
        } else {
            return usageError(where + ": unknown addition \"+" + printable(part.word) +
                              "\"; there are +cols<n>, +sparse<percent> and +lr<r>");
        }
        if (order <= last)
            return usageError(where + ": each addition comes once, in the order +cols<n>, +sparse<percent>, +lr<r>");
        last = order;
    }
    return additions;
}

std::string printAdditions(const Additions& additions)
{
    std::string text;
    if (additions.columns > 0)
        text += "+cols" + std::to_string(additions.columns);
    if (additions.columnsOver > 0)
        text += ":over" + formatDouble(additions.columnsOver);
    if (additions.sparseMillionths > 0)
        text += "+sparse" + formatDouble(static_cast<double>(additions.sparseMillionths) /
                                         static_cast<double>(kMillionthsOfAPercent));
    if (additions.rank > 0)
        text += "+lr" + std::to_string(additions.rank);
    if (additions.scaledRank)
        text += ":scaled";
    return text;
}

std::span<const AdditionKind> allAdditionKinds()
{
    return kKinds;
}

} // namespace ql
