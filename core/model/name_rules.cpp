// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/name_rules.h"

#include "core/base/text.h"

#include <algorithm>
#include <array>

namespace ql {

namespace {

constexpr std::string_view kSeparators = "./";
constexpr std::size_t kMaxBlockDigits = 6;

constexpr std::array<std::string_view, 6> kKinds{"weight", "bias", "kernel", "gamma", "beta", "embeddings"};
constexpr std::array<std::string_view, 10> kBlockWords{"layers", "layer",     "h",      "blk",   "block",
                                                       "blocks", "resblocks", "groups", "stage", "stages"};

std::string_view lastPart(std::string_view text)
{
    const auto at = text.find_last_of(kSeparators);
    return at == std::string_view::npos ? text : text.substr(at + 1);
}

std::int64_t blockOf(std::string_view name)
{
    std::string_view previous;
    while (!name.empty()) {
        const auto at = name.find_first_of(kSeparators);
        const std::string_view part = name.substr(0, at);
        name = at == std::string_view::npos ? std::string_view() : name.substr(at + 1);
        if (part.size() <= kMaxBlockDigits && std::ranges::find(kBlockWords, previous) != kBlockWords.end())
            if (const auto number = parseInt(part); number && *number >= 0)
                return *number;
        previous = part;
    }
    return -1;
}

} // namespace

NameParts splitName(std::string_view name)
{
    NameParts parts;
    parts.block = blockOf(name);
    if (name.ends_with(":0")) // TensorFlow's output number
        name.remove_suffix(2);
    parts.stem = name;
    const std::string_view last = lastPart(name);
    if (last.size() < name.size() && std::ranges::find(kKinds, last) != kKinds.end()) {
        parts.kind = last;
        parts.stem = name.substr(0, name.size() - last.size() - 1);
    } else if (constexpr std::string_view kVars = "/vars/"; parseInt(last)) {
        const std::string_view before = name.substr(0, name.size() - last.size());
        if (before.ends_with(kVars)) {
            parts.kind = "vars";
            parts.stem = before.substr(0, before.size() - kVars.size());
        }
    }
    parts.module = lastPart(parts.stem);
    return parts;
}

bool endsInParts(std::string_view text, std::string_view ending)
{
    if (!text.ends_with(ending))
        return false;
    return text.size() == ending.size() ||
           kSeparators.find(text[text.size() - ending.size() - 1]) != std::string_view::npos;
}

bool anyName(const Checkpoint& checkpoint, std::string_view inside)
{
    return std::ranges::any_of(checkpoint.tensors(), [inside](const TensorInfo& tensor) {
        return tensor.name.find(inside) != std::string::npos;
    });
}

bool applyRules(std::span<const NameRule> rules, Layer& layer)
{
    const NameParts parts = splitName(layer.name);
    for (const NameRule& rule : rules) {
        if (!endsInParts(parts.stem, rule.ending))
            continue;
        if (layer.op == Operator::bias || parts.kind == "bias") {
            layer.role = std::string(rule.role) + "_bias";
            return true;
        }
        layer.role = rule.role;
        if (!info(rule.op).quantizable || (info(layer.op).quantizable && layer.shape.size() >= 2))
            layer.op = rule.op;
        return true;
    }
    return false;
}

} // namespace ql
