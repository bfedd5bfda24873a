// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/text.h"
#include "core/model/config_keys.h"
#include "core/model/model.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace ql {

namespace {

std::optional<double> numberAt(const nlohmann::json& config, std::string_view name)
{
    const auto found = config.find(name);
    return found != config.end() && found->is_number() ? std::optional(found->get<double>()) : std::nullopt;
}

/// At the top, then in the parts that hold the language model of a multimodal one.
std::optional<double> numberIn(const nlohmann::json& config, std::string_view name)
{
    if (const auto value = numberAt(config, name))
        return value;
    for (const char* inner : {"text_config", "llm_config", "decoder", "rope_parameters"})
        if (const auto found = config.find(inner); found != config.end() && found->is_object())
            if (const auto value = numberAt(*found, name))
                return value;
    return std::nullopt;
}

std::optional<double> configNumberOf(const Checkpoint& checkpoint, std::string_view name)
{
    const auto config = nlohmann::json::parse(checkpoint.configJson(), nullptr, false);
    if (!config.is_object())
        return std::nullopt;
    if (const auto value = numberIn(config, name))
        return value;
    if (const ConfigKey* key = findConfigKey(name)) {
        if (const auto value = numberIn(config, key->name))
            return value;
        for (const std::string_view other : key->others)
            if (!other.empty())
                if (const auto value = numberIn(config, other))
                    return value;
    }
    return std::nullopt;
}

std::optional<double> ggufNumberOf(const Checkpoint& checkpoint, std::string_view name)
{
    const auto text = [&](std::string_view key) -> std::string_view {
        const auto metadata = checkpoint.metadata();
        const auto found = std::ranges::find(metadata, key, &std::pair<std::string, std::string>::first);
        return found == metadata.end() ? std::string_view() : std::string_view(found->second);
    };
    if (const auto value = parseDouble(text(name)))
        return value;
    const ConfigKey* key = findConfigKey(name);
    if (!key || key->gguf.empty())
        return std::nullopt;
    return parseDouble(text(std::string(text("general.architecture")) + "." + std::string(key->gguf)));
}

} // namespace

std::optional<double> Model::configNumber(std::string_view key) const
{
    const auto value =
        checkpoint->reader() == "gguf" ? ggufNumberOf(*checkpoint, key) : configNumberOf(*checkpoint, key);
    if (value)
        return value;
    if (key == "num_key_value_heads")
        return configNumber("num_attention_heads");
    if (key == "head_dim") {
        const auto width = configNumber("hidden_size");
        const auto heads = configNumber("num_attention_heads");
        if (width && heads && *heads > 0)
            return *width / *heads;
    }
    if (key == "vocab_size")
        for (const Layer& layer : layers)
            if (layer.role == "embedding" && !layer.shape.empty())
                return static_cast<double>(layer.shape.front());
    return std::nullopt;
}

} // namespace ql
