// SPDX-License-Identifier: GPL-3.0-or-later
// Weights used twice: two names of one range of bytes, and output heads that use the embedding.
#include "core/model/name_rules.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <tuple>

namespace ql {

namespace {

/// Makes one layer of tensors that share file, offset, size, dtype and shape; the embedding's name stays, or else the
/// first, and others are aliases.
void joinSharedRanges(Model& model)
{
    const auto tensors = model.checkpoint->tensors();
    std::map<std::tuple<std::string_view, std::int64_t, std::int64_t, Dtype, Shape>, std::size_t> firstAt;
    std::vector<Layer> joined;
    joined.reserve(model.layers.size());
    for (Layer& layer : model.layers) {
        const TensorInfo& tensor = tensors[static_cast<std::size_t>(layer.tensor)];
        if (tensor.offset >= 0 && tensor.sizeBytes > 0) {
            const auto [first, isNew] = firstAt.try_emplace(
                {tensor.file, tensor.offset, tensor.sizeBytes, tensor.dtype, tensor.shape}, joined.size());
            if (!isNew) {
                Layer& kept = joined[first->second];
                if (layer.op == Operator::embedding && kept.op != Operator::embedding) {
                    layer.aliases = std::move(kept.aliases);
                    std::swap(kept, layer);
                }
                if (kept.op == Operator::embedding && layer.role == "output")
                    model.tiedEmbedding = true;
                kept.aliases.push_back(std::move(layer.name));
                continue;
            }
        }
        joined.push_back(std::move(layer));
    }
    model.layers = std::move(joined);
}

/// What config.json says of a tied head: yes, no, or nothing.
std::optional<bool> saysTied(const nlohmann::json& config)
{
    for (const char* inner : {"text_config", "llm_config"})
        if (const auto found = config.find(inner); found != config.end() && found->is_object())
            if (const auto said = saysTied(*found))
                return said;
    const auto found = config.find("tie_word_embeddings");
    return found != config.end() && found->is_boolean() ? std::optional(found->get<bool>()) : std::nullopt;
}

/// Whether config.json names a class with a language-model head.
bool namesHead(const nlohmann::json& config)
{
    const auto found = config.find("architectures");
    if (found == config.end() || !found->is_array())
        return false;
    return std::ranges::any_of(*found, [](const nlohmann::json& name) {
        if (!name.is_string())
            return false;
        const auto& text = name.get_ref<const std::string&>();
        return text.ends_with("LMHeadModel") || text.ends_with("ForCausalLM") || text.ends_with("ForMaskedLM") ||
               text.ends_with("ForConditionalGeneration");
    });
}

} // namespace

void joinSharedWeights(Model& model)
{
    joinSharedRanges(model);
    const auto embedding = std::ranges::find(model.layers, "embedding", &Layer::role);
    const bool hasHead = std::ranges::any_of(model.layers, [](const Layer& layer) {
        return layer.role == "output" && layer.block < 0 && layer.op == Operator::linear;
    });
    if (embedding == model.layers.end() || embedding->op != Operator::embedding || model.tiedEmbedding)
        return;
    if (model.architecture->id == "gguf") {
        const auto& metadata = model.checkpoint->metadata();
        const bool encoder = std::ranges::any_of(metadata, [](const auto& entry) {
            return entry.first.ends_with(".attention.causal") && entry.second == "false";
        });
        if (!hasHead && !encoder && model.blockCount > 0) {
            model.tiedEmbedding = true;
            embedding->aliases.emplace_back("output.weight");
        }
        return;
    }
    const auto config = nlohmann::json::parse(model.checkpoint->configJson(), nullptr, false);
    if (!config.is_object())
        return;
    const auto said = saysTied(config);
    if (hasHead) {
        if (said.value_or(false))
            model.warnings.push_back(
                {model.checkpoint->path().string(),
                 "config.json ties the output head to the embedding, but both are stored; runtimes "
                 "use the embedding for both"});
        return;
    }
    // A language model without a stored head can only use the embedding, whatever the default of its class is.
    if (namesHead(config)) {
        model.tiedEmbedding = true;
        embedding->aliases.emplace_back(model.architecture->id == "bert" ? "cls.predictions.decoder.weight"
                                                                         : "lm_head.weight");
    }
}

} // namespace ql
