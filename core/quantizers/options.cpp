// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/quantizers/options.h"

#include "core/base/text.h"

#include <algorithm>
#include <cassert>

namespace ql {

namespace {

std::string whatThereIs(const Quantizer& quantizer)
{
    std::vector<std::string> all = quantizer.options();
    all.erase(all.begin());
    for (const QuantizerOption& option : quantizer.values)
        all.push_back(printOption(option));
    return all.empty() ? std::string(quantizer.id) + " has none" : "there is " + join(all, ", ");
}

const QuantizerOption& find(const Quantizer& quantizer, std::string_view key)
{
    const auto found = std::ranges::find(quantizer.values, key, &QuantizerOption::key);
    assert(found != quantizer.values.end());
    return *found;
}

} // namespace

std::vector<std::string> noWords()
{
    return {""};
}

std::string printOption(const QuantizerOption& option)
{
    std::string text = std::string(option.key) + "=";
    if (option.words.empty())
        return text + formatDouble(option.least) + "…" + formatDouble(option.most);
    std::vector<std::string> words(option.words.begin(), option.words.end());
    return text + join(words, "|");
}

Result<void> checkOptions(const Quantizer& quantizer, const QuantizerSpec& spec)
{
    const std::string id(quantizer.id);
    if (const auto words = quantizer.options(); std::ranges::find(words, spec.option) == words.end())
        return usageError(id + " has no option \"" + printable(spec.option) + "\"; " + whatThereIs(quantizer));
    for (const auto& [key, value] : spec.values) {
        const auto option = std::ranges::find(quantizer.values, key, &QuantizerOption::key);
        if (option == quantizer.values.end())
            return usageError(id + " has no option \"" + printable(key) + "=\"; " + whatThereIs(quantizer));
        const std::string wrong = id + ":" + key + "=" + printable(value) + " is ";
        if (!option->words.empty()) {
            if (std::ranges::find(option->words, value) == option->words.end())
                return usageError(wrong + "not known; there is " + printOption(*option));
            continue;
        }
        const auto number = parseDouble(value);
        if (!number || !(*number >= option->least && *number <= option->most) || (option->whole && !parseInt(value)))
            return usageError(wrong + "not a " + (option->whole ? "whole " : "") + "number from " +
                              formatDouble(option->least) + " to " + formatDouble(option->most));
    }
    return {};
}

std::string_view optionWord(const Quantizer& quantizer, const QuantizerSpec& spec, std::string_view key)
{
    const QuantizerOption& option = find(quantizer, key);
    const auto given = spec.values.find(std::string(key));
    return given != spec.values.end() ? std::string_view(given->second) : option.fallback;
}

double optionNumber(const Quantizer& quantizer, const QuantizerSpec& spec, std::string_view key)
{
    return parseDouble(optionWord(quantizer, spec, key)).value_or(0);
}

std::int64_t optionWhole(const Quantizer& quantizer, const QuantizerSpec& spec, std::string_view key)
{
    return parseInt(optionWord(quantizer, spec, key)).value_or(0);
}

} // namespace ql
