// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/frontends/model_config.h"

#include "core/base/text.h"
#include "core/model/config_keys.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>

namespace ql {

namespace {

using nlohmann::json;

/// The value under a dotted path, null values included.
const json* inside(const json& object, std::string_view path)
{
    const json* at = &object;
    while (at && !path.empty()) {
        const auto dot = path.find('.');
        const auto found = at->is_object() ? at->find(path.substr(0, dot)) : at->end();
        at = at->is_object() && found != at->end() ? &*found : nullptr;
        path = dot == std::string_view::npos ? std::string_view() : path.substr(dot + 1);
    }
    return at;
}

/// GGUF's keys behind "<architecture>.", flat.
json ggufKeys(const Checkpoint& checkpoint, const std::string& architecture)
{
    json keys = json::object();
    for (const auto& [key, text] : checkpoint.metadata()) {
        if (!key.starts_with(architecture + "."))
            continue;
        json& value = keys[key.substr(architecture.size() + 1)];
        if (const auto number = parseDouble(text))
            value = *number;
        else if (text == "true" || text == "false")
            value = text == "true";
        else
            value = text;
    }
    return keys;
}

template<std::size_t N>
bool containsAny(std::string_view text, const std::array<std::string_view, N>& words)
{
    return std::ranges::any_of(words,
                               [text](std::string_view word) { return text.find(word) != std::string_view::npos; });
}

/// Whether a key of config.json that nobody asked for sounds as if it changed the computation.
bool soundsLikeComputation(std::string_view key)
{
    static constexpr std::array<std::string_view, 30> kComputes{
        "rope",     "rotary", "scal",     "multiplier", "softcap", "attention", "attn", "norm",       "mlp",    "moe",
        "expert",   "lora",   "window",   "residual",   "alibi",   "parallel",  "clip", "activation", "topk",   "top_k",
        "layer_ty", "quant",  "position", "qk_",        "kernel",  "conv",      "gate", "bidirect",   "sparse", "act_"};
    // Training, shapes that the tensors tell, biases that are there or not, ways to compute the same.
    static constexpr std::array<std::string_view, 17> kDoesNot{"_size",
                                                               "drop",
                                                               "init",
                                                               "loss",
                                                               "_coef",
                                                               "implementation",
                                                               "output_attentions",
                                                               "_bias",
                                                               "bias_",
                                                               "time_step_",
                                                               "jitter",
                                                               "router_logits",
                                                               "max_position_embeddings",
                                                               "rescale_",
                                                               "in_fp32",
                                                               "layer_norm_elementwise",
                                                               "gradient_"};
    return containsAny(key, kComputes) && !containsAny(key, kDoesNot);
}

bool isActive(const json& value)
{
    return !(value.is_null() || value == false || value == 0 || value == "" ||
             (value.is_structured() && value.empty()));
}

} // namespace

struct ModelConfig::Json {
    json root, defaults;

    /// Leaves by path; what lies in the text model's own object counts as at the top.
    template<class Visit>
    static void walk(const json& at, const std::string& path, const Visit& visit)
    {
        for (const auto& [key, value] : at.items()) {
            const std::string inner = path.empty() ? key : path + "." + key;
            if (key == "vision_config" || key == "audio_config" || key == "task_specific_params")
                continue;
            if (value.is_object() && !value.empty())
                walk(value, key == "text_config" || key == "llm_config" ? path : inner, visit);
            else
                visit(inner, value);
        }
    }
};

ModelConfig::ModelConfig(const Model& model) : m_model(model), m_json(std::make_unique<Json>())
{
    m_json->root =
        isGguf() ? ggufKeys(*model.checkpoint, type()) : json::parse(model.checkpoint->configJson(), nullptr, false);
    m_json->defaults = json::object();
}

ModelConfig::~ModelConfig() = default;

void ModelConfig::setDefaults(std::string_view text)
{
    if (!isGguf())
        m_json->defaults = json::parse(text);
}

bool ModelConfig::isGguf() const
{
    return m_model.checkpoint->reader() == "gguf";
}

std::string ModelConfig::type() const
{
    if (!m_model.checkpoint->graph().empty())
        return m_model.checkpoint->reader();
    if (!isGguf())
        return text("model_type").value_or("");
    for (const auto& [key, value] : m_model.checkpoint->metadata())
        if (key == "general.architecture")
            return value;
    return {};
}

const json* ModelConfig::find(std::string_view name) const
{
    const ConfigKey* key = findConfigKey(name);
    m_asked.emplace(name);
    if (isGguf()) {
        const std::string_view word = key ? key->gguf : name;
        m_asked.emplace(word);
        const auto found = m_json->root.find(word);
        return found == m_json->root.end() ? nullptr : &*found;
    }
    std::vector<std::string_view> names{name};
    if (key) {
        names.push_back(key->name);
        std::ranges::copy_if(key->others, std::back_inserter(names),
                             [](std::string_view other) { return !other.empty(); });
        m_asked.insert(names.begin(), names.end());
    }
    for (const std::string_view word : names)
        for (const char* part : {"", "text_config", "llm_config"})
            if (const json* top = inside(m_json->root, part))
                if (const json* value = inside(*top, word))
                    return value->is_null() ? nullptr : value;
    return inside(m_json->defaults, name);
}

std::optional<double> ModelConfig::number(std::string_view key) const
{
    const json* value = find(key);
    if (value)
        return value->is_number() ? std::optional(value->get<double>()) : std::nullopt;
    return key.find('.') == std::string_view::npos ? m_model.configNumber(key) : std::nullopt;
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
    const json* value = find(key);
    return value && value->is_string() ? std::optional(value->get<std::string>()) : std::nullopt;
}

bool ModelConfig::flag(std::string_view key, bool fallback) const
{
    const json* value = find(key);
    return value && value->is_boolean() ? value->get<bool>() : fallback;
}

std::vector<double> ModelConfig::numbers(std::string_view key) const
{
    std::vector<double> numbers;
    if (const json* value = find(key); value && value->is_array())
        for (const json& element : *value)
            if (element.is_number())
                numbers.push_back(element.get<double>());
    return numbers;
}

std::vector<std::string> ModelConfig::texts(std::string_view key) const
{
    std::vector<std::string> texts;
    if (const json* value = find(key); value && value->is_array())
        for (const json& element : *value)
            if (element.is_string())
                texts.push_back(element.get<std::string>());
    return texts;
}

bool ModelConfig::has(std::string_view key) const
{
    return find(key) != nullptr;
}

Error ModelConfig::refusal(const std::string& what) const
{
    return refused(what + ", so it cannot be run; its weights can be analysed", m_model.checkpoint->path().string());
}

Result<void> ModelConfig::checkUnderstood() const
{
    // Sizes, which the tensors tell again.
    static constexpr std::array<std::string_view, 14> kGgufSizes{"context_length",
                                                                 "embedding_length",
                                                                 "feed_forward_length",
                                                                 "expert_feed_forward_length",
                                                                 "expert_shared_feed_forward_length",
                                                                 "expert_shared_count",
                                                                 "vocab_size",
                                                                 "attention.value_length",
                                                                 "rope.scaling.finetuned",
                                                                 "ssm.conv_kernel",
                                                                 "ssm.inner_size",
                                                                 "ssm.state_size",
                                                                 "ssm.time_step_rank",
                                                                 "pooling_type"};
    std::string unknown;
    Json::walk(m_json->root, "", [&](const std::string& path, const json& value) {
        const bool matters =
            isGguf() ? std::ranges::find(kGgufSizes, path) == kGgufSizes.end() : soundsLikeComputation(path);
        if (unknown.empty() && matters && isActive(value) && !m_asked.contains(path))
            unknown = path + " = " + printable(value.dump().substr(0, 60));
    });
    if (unknown.empty())
        return {};
    return refusal("has the setting " + unknown + ", which is not understood and may change what the model computes");
}

} // namespace ql
