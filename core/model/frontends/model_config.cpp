// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/frontends/model_config.h"

#include "core/base/text.h"
#include "core/model/name_rules.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace ql {

struct ModelConfig::Json {
    nlohmann::json root;

    /// The value under a dotted key, at the top or inside text_config.
    const nlohmann::json* find(std::string_view key) const
    {
        for (const nlohmann::json* top : {&root, inside(root, "text_config")}) {
            std::string_view rest = key;
            const nlohmann::json* at = top;
            while (at && !rest.empty()) {
                const auto dot = rest.find('.');
                at = inside(*at, rest.substr(0, dot));
                rest = dot == std::string_view::npos ? std::string_view() : rest.substr(dot + 1);
            }
            if (at && !at->is_null())
                return at;
        }
        return nullptr;
    }

    static const nlohmann::json* inside(const nlohmann::json& object, std::string_view key)
    {
        if (!object.is_object())
            return nullptr;
        const auto found = object.find(key);
        return found == object.end() ? nullptr : &*found;
    }
};

ModelConfig::ModelConfig(const Model& model) : m_model(model), m_json(std::make_unique<Json>())
{
    m_json->root = nlohmann::json::parse(model.checkpoint->configJson(), nullptr, false);
}

ModelConfig::~ModelConfig() = default;

bool ModelConfig::isGguf() const
{
    return m_model.checkpoint->reader() == "gguf";
}

std::string ModelConfig::type() const
{
    if (!isGguf())
        return text("model_type").value_or("");
    for (const auto& [key, value] : m_model.checkpoint->metadata())
        if (key == "general.architecture")
            return value;
    return {};
}

std::optional<double> ModelConfig::number(std::string_view key) const
{
    if (key.find('.') == std::string_view::npos)
        return m_model.configNumber(key);
    const nlohmann::json* value = m_json->find(key);
    return value && value->is_number() ? std::optional(value->get<double>()) : std::nullopt;
}

Result<std::int64_t> ModelConfig::count(std::string_view key) const
{
    constexpr double kLimit = 2147483648.0;
    const auto value = number(key);
    if (!value || !(*value >= 1) || !(*value < kLimit) || std::floor(*value) != *value)
        return badInput("its configuration gives no usable " + std::string(key), m_model.checkpoint->path().string());
    return static_cast<std::int64_t>(*value);
}

std::optional<std::string> ModelConfig::text(std::string_view key) const
{
    const nlohmann::json* value = m_json->find(key);
    return value && value->is_string() ? std::optional(value->get<std::string>()) : std::nullopt;
}

bool ModelConfig::flag(std::string_view key, bool fallback) const
{
    const nlohmann::json* value = m_json->find(key);
    return value && value->is_boolean() ? value->get<bool>() : fallback;
}

std::vector<double> ModelConfig::numbers(std::string_view key) const
{
    std::vector<double> numbers;
    if (const nlohmann::json* value = m_json->find(key); value && value->is_array())
        for (const nlohmann::json& element : *value)
            if (element.is_number())
                numbers.push_back(element.get<double>());
    return numbers;
}

std::vector<std::string> ModelConfig::texts(std::string_view key) const
{
    std::vector<std::string> texts;
    if (const nlohmann::json* value = m_json->find(key); value && value->is_array())
        for (const nlohmann::json& element : *value)
            if (element.is_string())
                texts.push_back(element.get<std::string>());
    return texts;
}

LayerRoles::LayerRoles(const Model& model) : m_model(model)
{
    for (std::size_t i = 0; i < model.layers.size(); ++i) {
        const Layer& layer = model.layers[i];
        if (layer.op != Operator::bias && !layer.role.empty())
            m_layers.try_emplace({layer.block, layer.role}, static_cast<std::int64_t>(i));
    }
}

std::int64_t LayerRoles::weights(std::int64_t block, std::string_view role) const
{
    const auto found = m_layers.find({block, role});
    return found == m_layers.end() ? -1 : found->second;
}

std::int64_t LayerRoles::bias(std::int64_t layer) const
{
    if (layer < 0)
        return -1;
    const std::string_view stem = splitName(m_model.layers[static_cast<std::size_t>(layer)].name).stem;
    return m_model.indexOf(std::string(stem) + ".bias");
}

Result<std::int64_t> LayerRoles::require(std::int64_t block, std::string_view role) const
{
    if (const std::int64_t layer = weights(block, role); layer >= 0)
        return layer;
    return badInput("has no " + std::string(role) + (block >= 0 ? " in block " + std::to_string(block) : "") +
                        ", without which it cannot be run",
                    m_model.checkpoint->path().string());
}

} // namespace ql
