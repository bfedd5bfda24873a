// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/model/model.h"

#include "core/base/text.h"
#include "core/checkpoint/reader.h"
#include "core/model/keras_kernels.h"
#include "core/model/name_rules.h"
#include "core/model/stored_order.h"

#include <algorithm>
#include <array>
#include <limits>

namespace ql {

namespace {

/// Roles in the order in which a block runs them, each followed by its bias; others come last.
constexpr std::array<std::string_view, 16> kBlockOrder{"input_norm",   "q_proj",       "k_proj",
                                                       "v_proj",       "qkv_proj",     "q_norm",
                                                       "k_norm",       "o_proj",       "post_attention_norm",
                                                       "pre_mlp_norm", "router",       "gate_proj",
                                                       "up_proj",      "gate_up_proj", "down_proj",
                                                       "post_mlp_norm"};

/// Sorts embeddings, blocks, the rest; inside a block by kBlockOrder.
std::pair<std::int64_t, std::ptrdiff_t> placeOf(const Layer& layer)
{
    if (layer.block < 0) {
        const bool first = layer.op == Operator::embedding || layer.role.find("embedding") != std::string::npos;
        return {first ? -1 : std::numeric_limits<std::int64_t>::max(), layer.role == "output" ? 1 : 0};
    }
    std::string_view role = layer.role;
    const bool isBias = role.ends_with("_bias");
    if (isBias)
        role.remove_suffix(5);
    return {layer.block, 2 * (std::ranges::find(kBlockOrder, role) - kBlockOrder.begin()) + (isBias ? 1 : 0)};
}

const Architecture& architectureOf(const Checkpoint& checkpoint)
{
    for (const Architecture* architecture : allArchitectures())
        if (architecture->fits(checkpoint))
            return *architecture;
    return *allArchitectures().back(); // the generic one fits all
}

bool isQuantizable(const Layer& layer)
{
    return info(layer.op).quantizable && layer.shape.size() >= 2 && isDecodable(layer.dtype) && layer.numel() > 0 &&
           layer.role != "router";
}

} // namespace

Result<std::shared_ptr<const Model>> makeModel(std::shared_ptr<const Checkpoint> checkpoint)
{
    auto model = std::make_shared<Model>();
    model->checkpoint = std::move(checkpoint);
    const Checkpoint& source = *model->checkpoint;
    model->architecture = &architectureOf(source);
    model->warnings.assign(source.warnings().begin(), source.warnings().end());
    model->layers.reserve(source.tensors().size());
    const KerasKernels keras(source);
    for (std::size_t i = 0; i < source.tensors().size(); ++i) {
        const TensorInfo& tensor = source.tensors()[i];
        Layer layer;
        layer.name = tensor.name;
        layer.tensor = static_cast<std::int64_t>(i);
        layer.shape = tensor.shape;
        layer.dtype = tensor.dtype;
        model->architecture->describe(source, layer);
        keras.describe(layer);
        describeUse(tensor.use, layer);
        if (layer.op == Operator::linear && layer.shape.size() > 2 && layer.numel() > 0)
            layer.shape = {layer.numel() / layer.shape.back(), layer.shape.back()};
        layer.quantizable = isQuantizable(layer);
        model->blockCount = std::max(model->blockCount, layer.block + 1);
        model->layers.push_back(std::move(layer));
    }
    joinSharedWeights(*model);
    std::ranges::stable_sort(model->layers, {}, placeOf);
    for (std::size_t i = 0; i < model->layers.size(); ++i) {
        const Layer& layer = model->layers[i];
        model->layerOfName.emplace(layer.name, static_cast<std::int64_t>(i));
        for (const std::string& alias : layer.aliases)
            model->layerOfName.emplace(alias, static_cast<std::int64_t>(i));
    }
    if (source.configJson().find("\"quantization_config\"") != std::string::npos)
        model->warnings.push_back({source.path().string(),
                                   "is already quantized (config.json has a quantization_config): weights stored with "
                                   "separate scales are shown without them; open the original model"});
    return std::shared_ptr<const Model>(std::move(model));
}

Result<std::shared_ptr<const Model>> openModel(const std::filesystem::path& path, const JobContext& context)
{
    QL_TRY(checkpoint, openCheckpoint(path, context));
    return makeModel(std::move(checkpoint));
}

std::int64_t Model::indexOf(std::string_view name) const
{
    const auto found = layerOfName.find(name);
    return found == layerOfName.end() ? -1 : found->second;
}

Result<std::vector<std::int64_t>> Model::match(std::string_view glob) const
{
    std::vector<std::int64_t> found;
    for (std::size_t i = 0; i < layers.size(); ++i) {
        const Layer& layer = layers[i];
        if (globMatch(glob, layer.name) ||
            std::ranges::any_of(layer.aliases, [&](const std::string& alias) { return globMatch(glob, alias); }))
            found.push_back(static_cast<std::int64_t>(i));
    }
    if (found.empty())
        return usageError(
            "no layer is called '" + printable(glob) + "'" +
                (layers.empty() ? std::string() : "; names are the checkpoint's own, e.g. " + layers.front().name) +
                ", and * stands for any run of characters",
            checkpoint->path().string());
    return found;
}

std::vector<std::int64_t> Model::quantizableLayers() const
{
    std::vector<std::int64_t> found;
    for (std::size_t i = 0; i < layers.size(); ++i)
        if (layers[i].quantizable)
            found.push_back(static_cast<std::int64_t>(i));
    return found;
}

std::vector<std::int64_t> Model::layerOfTensor() const
{
    std::vector<std::int64_t> found(checkpoint->tensors().size(), -1);
    for (std::size_t i = 0; i < layers.size(); ++i)
        found[static_cast<std::size_t>(layers[i].tensor)] = static_cast<std::int64_t>(i);
    return found;
}

Result<TensorData> Model::loadWeights(std::int64_t layer, const JobContext& context) const
{
    const Layer& described = layers[static_cast<std::size_t>(layer)];
    QL_TRY(stored, checkpoint->load(described.tensor, context));
    return toLayerOrder(described, std::move(stored), context);
}

} // namespace ql
