// SPDX-License-Identifier: GPL-3.0-or-later
// What front ends ask of config.json or GGUF keys. It remembers what was asked, so that settings nobody understood are
// refused by name and never silently left out. Not thread-safe.
#pragma once

#include "core/model/model.h"

#include <nlohmann/json_fwd.hpp>

#include <memory>
#include <set>

namespace ql {

/// A key is config.json's; "rope_scaling.factor" is inside an object. config_keys.h knows other families' and GGUF's
/// names for it. Missing, null or of another type: nothing.
class ModelConfig {
public:
    explicit ModelConfig(const Model& model);
    ~ModelConfig();

    /// What config.json may leave out, as a JSON object; GGUF files leave out nothing.
    void setDefaults(std::string_view json);
    /// config.json's model_type or GGUF's general.architecture, "onnx" of a file with its own graph; empty if there is
    /// nothing.
    std::string type() const;
    bool isGguf() const;
    /// Model::configNumber where nothing is set: what follows from the rest.
    std::optional<double> number(std::string_view key) const;
    double number(std::string_view key, double fallback) const { return number(key).value_or(fallback); }
    /// A positive integer below 2³¹, or an error that names the key.
    Result<std::int64_t> count(std::string_view key) const;
    std::optional<std::string> text(std::string_view key) const;
    bool flag(std::string_view key, bool fallback) const;
    std::vector<double> numbers(std::string_view key) const;
    std::vector<std::string> texts(std::string_view key) const;
    /// Whether it is there and not null.
    bool has(std::string_view key) const;

    /// An error of kind refused, about this model.
    Error refusal(const std::string& what) const;
    /// Refuses a setting that nothing asked for and that would change what the model computes. In GGUF files that is
    /// any key of the architecture but sizes; in config.json, where everybody adds keys, one whose name says so.
    Result<void> checkUnderstood() const;

private:
    struct Json;
    const nlohmann::json* find(std::string_view key) const;
    const Model& m_model;
    std::unique_ptr<Json> m_json;
    mutable std::set<std::string, std::less<>> m_asked;
};

} // namespace ql
