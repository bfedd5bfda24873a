// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/coverage_rows.h"
#include "app/cli/study_options.h"

#include <nlohmann/json.hpp>

#include <numeric>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string file;
    ActivationsOption activations;
};

Result<int> run(Console& console, const Options& options)
{
    QL_TRY(model, openModelFor(console, options.file));
    QL_TRY(activations, options.activations.open(console, *model));
    const Checkpoint& checkpoint = *model->checkpoint;
    auto metadata = nlohmann::ordered_json::object();
    for (const auto& [key, value] : checkpoint.metadata())
        metadata[key] = value;
    std::int64_t parameters = 0;
    auto layers = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < model->layers.size(); ++i) {
        const Layer& layer = model->layers[i];
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
        if (const auto seen =
                activations ? activations->seenTokens(static_cast<std::int64_t>(i)) : std::vector<std::int64_t>();
            !seen.empty())
            row["tokens"] = std::accumulate(seen.begin(), seen.end(), std::int64_t{0});
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
    if (const auto coverage = activations ? expertCoverage(*activations, *model) : std::vector<ExpertCoverage>();
        !coverage.empty())
        document["experts"] = coverageRows(coverage);
    console.show(document);
    return 0;
}

} // namespace

extern const Command info_;
const Command info_{"info",
                    "what a checkpoint is: reader, architecture, layers with role and shape; with --activations "
                    "how many tokens each saw",
                    [](CLI::App& app) -> CommandRun {
                        const auto options = std::make_shared<Options>();
                        app.add_option("FILE", options->file, "checkpoint file or folder")->required();
                        options->activations.declare(app);
                        return [options](Console& console) { return run(console, *options); };
                    }};

} // namespace ql::cli::commands
