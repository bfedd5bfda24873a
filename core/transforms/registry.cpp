// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/text.h"
#include "core/transforms/transform.h"

#include <algorithm>

namespace ql {

namespace transforms {
#define TRANSFORM(id) extern const Transform id;
#include "core/transforms/transforms.def"
#undef TRANSFORM
} // namespace transforms

std::span<const Transform* const> allTransforms()
{
    static constexpr const Transform* kAll[] = {
#define TRANSFORM(id) &transforms::id,
#include "core/transforms/transforms.def"
#undef TRANSFORM
    };
    return kAll;
}

std::string_view word(TransformNeeds needs)
{
    return needs == TransformNeeds::nothing  ? "nothing"
           : needs == TransformNeeds::ranges ? "ranges of activations"
                                             : "Gram matrices of activations";
}

std::string reachOf(const Transform& transform)
{
    if (!transform.isLocal)
        return "whole model";
    std::string reach = "local";
    for (const TransformOption& option : transform.keys)
        if (option.isModelWide)
            reach += "; " + std::string(option.key) + "= whole model";
    return reach;
}

std::string describeNeeds(const Transform& transform)
{
    TransformSpec spec{.id = std::string(transform.id), .option = {}, .values = {}};
    std::string needs(word(needsOf(transform, spec)));
    for (const TransformOption& option : transform.keys) {
        if (option.taking.empty())
            continue;
        spec.values = {{std::string(option.key), std::string(option.taking)}};
        needs += "; " + std::string(option.key) + "=" + std::string(option.taking) + " ";
        needs += word(needsOf(transform, spec));
    }
    return needs;
}

Result<const Transform*> findTransform(std::string_view id)
{
    std::vector<std::string> ids;
    for (const Transform* transform : allTransforms()) {
        if (transform->id == id)
            return transform;
        ids.emplace_back(transform->id);
    }
    return usageError("unknown transform \"" + printable(id) + "\"; there are " + join(ids, ", "));
}

namespace {

bool isKnown(std::span<const TransformOption> options, std::string_view key)
{
    return std::ranges::find(options, key, &TransformOption::key) != options.end();
}

std::string listOf(const Transform& transform)
{
    std::vector<std::string> words;
    for (const TransformOption& option : transform.words)
        words.emplace_back(option.key);
    for (const TransformOption& option : transform.keys)
        words.push_back(std::string(option.key) + "= (" + std::string(option.help) + ")");
    return words.empty() ? "it has none" : "it has " + join(words, ", ");
}

Result<TransformSpec> parseOne(std::string_view text)
{
    const std::size_t end = std::min(text.find(':'), text.size());
    QL_TRY(transform, findTransform(trim(text.substr(0, end))));
    TransformSpec spec{.id = std::string(transform->id), .option = {}, .values = {}};
    const std::string where = "transform \"" + printable(text) + "\": ";
    text.remove_prefix(end);
    while (!text.empty()) {
        text.remove_prefix(1); // the colon
        const bool isScheme = text.starts_with("scheme=");
        const std::string_view part = trim(isScheme ? text : text.substr(0, std::min(text.find(':'), text.size())));
        text.remove_prefix(isScheme ? text.size() : std::min(text.find(':'), text.size()));
        const std::size_t equals = part.find('=');
        const std::string_view key = part.substr(0, std::min(equals, part.size()));
        if (!isKnown(equals == std::string_view::npos ? transform->words : transform->keys, key))
            return usageError(where + "no option \"" + printable(key) + "\"; " + listOf(*transform));
        const bool isFirst = equals == std::string_view::npos
                                 ? std::exchange(spec.option, std::string(key)).empty()
                                 : spec.values.emplace(key, part.substr(equals + 1)).second;
        if (!isFirst)
            return usageError(where + "\"" + printable(key) + "\" is given twice, or with another word");
    }
    QL_CHECK(transform->accepts(spec));
    return spec;
}

} // namespace

Result<TransformSpecs> parseTransforms(std::string_view text)
{
    TransformSpecs specs;
    if (trim(text).empty())
        return specs;
    for (const std::string_view part : split(text, '+')) {
        QL_TRY(spec, parseOne(trim(part)));
        specs.push_back(std::move(spec));
    }
    return specs;
}

std::string printTransforms(const TransformSpecs& specs)
{
    std::vector<std::string> texts;
    for (const TransformSpec& spec : specs) {
        std::string text = spec.id;
        if (!spec.option.empty())
            text += ":" + spec.option;
        for (const auto& [key, value] : spec.values)
            if (key != "scheme")
                text += ":" + key + "=" + value;
        if (const auto scheme = spec.values.find("scheme"); scheme != spec.values.end())
            text += ":scheme=" + scheme->second;
        texts.push_back(std::move(text));
    }
    return join(texts, "+");
}

} // namespace ql
