// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/activation_scheme.h"

#include "core/base/text.h"

#include <algorithm>

namespace ql {

Result<ActivationScheme> parseActivationScheme(std::string_view text)
{
    ActivationScheme result;
    std::vector<std::string> rest;
    const auto count = [&, words = split(text, ':')](std::string_view word) {
        return std::ranges::count(words, word, [](std::string_view part) { return trim(part); });
    };
    for (const std::string_view part : split(text, ':'))
        if (const auto word = trim(part); word != "token" && word != "channel" && word != "static")
            rest.emplace_back(part);
    QL_TRY(scheme, parseScheme(join(rest, ":")));
    const bool hasShare = scheme.granularity != Granularity::channel || scheme.isCast();
    result.byColumn = count("channel") > 0;
    result.isStatic = count("static") > 0;
    const auto wrong = [&](const std::string& what) {
        return usageError("activation scheme \"" + printable(text) + "\" " + what);
    };
    if (scheme.isKeep())
        return wrong("changes nothing; leave it out to keep the activations as they are");
    if (!scheme.additions.empty())
        return wrong("adds " + printAdditions(scheme.additions) +
                     " to activations; it belongs to the weights, before +a:");
    if (scheme.isPacked())
        return wrong("is a type of stored weights; for activations there are gguf:q8_0, q4_0, q4_1, q5_0 and q5_1");
    if (count("token") + count("channel") + (hasShare ? 1 : 0) > 1 || count("static") > 1)
        return wrong("says twice who shares a scale, or static twice; take one of token, channel, tensor, g<n>");
    if (result.isStatic && !result.byColumn && (!hasShare || scheme.isCast()))
        return wrong("cannot be static: a token's range is not known in advance; take tensor, channel or g<n>");
    result.scheme = std::move(scheme);
    return result;
}

std::string printActivationScheme(const ActivationScheme& scheme)
{
    std::string text = printScheme(scheme.scheme);
    if (scheme.byColumn)
        text += ":channel";
    if (scheme.isStatic)
        text += ":static";
    return text;
}

} // namespace ql
