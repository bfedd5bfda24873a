// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"

#include <nlohmann/json.hpp>

namespace ql::cli::commands {

namespace {

Result<int> run(Console& console, const std::string& file)
{
    QL_TRY(model, openModelFor(console, file));
    const Checkpoint& checkpoint = *model->checkpoint;
    auto metadata = nlohmann::ordered_json::object();
    for (const auto& [key, value] : checkpoint.metadata())
        metadata[key] = value;
    std::int64_t parameters = 0;
    auto layers = nlohmann::ordered_json::array();
    for (const Layer& layer : model->layers) {
        parameters += layer.numel();
        const TensorInfo& tensor = checkpoint.tensors()[static_cast<std::size_t>(layer.tensor)];
        nlohmann::ordered_json row{
            {"name", layer.name},
            {"op", info(layer.op).id},
            {"role", layer.role},
            {"block", layer.block < 0 ? nlohmann::ordered_json() : nlohmann::ordered_json(layer.block)},
            {"dtype", info(layer.dtype).word},
            {"shape", layer.shape},
            {"bytes", tensor.sizeBytes},
            {"quantizable", layer.quantizable}};
        if (tensor.shape != layer.shape || layer.stored.moves())
            row["stored_shape"] = tensor.shape;
        if (layer.stored.moves())
            row["stored_axes"] = layer.stored.axes;
        if (!layer.aliases.empty())
            row["aliases"] = layer.aliases;
        layers.push_back(std::move(row));
    }
    nlohmann::ordered_json document{
        {"path", checkpoint.path().string()},      {"reader", checkpoint.reader()},
        {"architecture", model->architecture->id}, {"blocks", model->blockCount},
        {"tensors", checkpoint.tensors().size()},  {"parameters", parameters},
        {"bytes", checkpoint.sizeBytes()},         {"fingerprint", checkpoint.fingerprint()}};
    if (console.json())
        document["metadata"] = metadata;
    document["layers"] = std::move(layers);
    console.show(document);
    return 0;
}

} // namespace

extern const Command info_;
const Command info_{"info", "what a checkpoint is: reader, architecture, layers with role and shape",
                    [](CLI::App& app) -> CommandRun {
                        const auto file = std::make_shared<std::string>();
                        app.add_option("FILE", *file, "checkpoint file or folder")->required();
                        return [file](Console& console) { return run(console, *file); };
                    }};

} // namespace ql::cli::commands
