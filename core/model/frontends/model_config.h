// SPDX-License-Identifier: GPL-3.0-or-later
// What front ends ask of a model: settings from config.json or GGUF keys, and layers by role.
#pragma once

#include "core/model/model.h"

#include <memory>

namespace ql {

/// Settings. A key is config.json's; "rope_scaling.factor" is inside an object. Missing or of another type: nothing.
class ModelConfig {
public:
    explicit ModelConfig(const Model& model);
    ~ModelConfig();

    /// config.json's model_type or GGUF's general.architecture; empty if there is neither.
    std::string type() const;
    bool isGguf() const;
    /// As Model::configNumber for keys without a dot.
    std::optional<double> number(std::string_view key) const;
    double number(std::string_view key, double fallback) const { return number(key).value_or(fallback); }
    /// A positive integer below 2³¹, or an error that names the key.
    Result<std::int64_t> count(std::string_view key) const;
    std::optional<std::string> text(std::string_view key) const;
    bool flag(std::string_view key, bool fallback) const;
    std::vector<double> numbers(std::string_view key) const;
    std::vector<std::string> texts(std::string_view key) const;

private:
    struct Json;
    const Model& m_model;
    std::unique_ptr<Json> m_json;
};

/// Layers by block and role.
class LayerRoles {
public:
    explicit LayerRoles(const Model& model);
    /// The weights (or norm, table) of that role in that block (−1: outside the blocks), or −1.
    std::int64_t weights(std::int64_t block, std::string_view role) const;
    /// The bias beside a layer ("….weight" → "….bias"), or −1.
    std::int64_t bias(std::int64_t layer) const;
    /// weights(), or an error that names role and block.
    Result<std::int64_t> require(std::int64_t block, std::string_view role) const;

private:
    const Model& m_model;
    std::map<std::pair<std::int64_t, std::string_view>, std::int64_t> m_layers;
};

} // namespace ql
