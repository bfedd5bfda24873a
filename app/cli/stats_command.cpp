// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/variant_options.h"
#include "core/analysis/statistics.h"
#include "core/base/text.h"

#include <nlohmann/json.hpp>

namespace ql::cli::commands {

namespace {

constexpr std::int64_t kBatchBytes = std::int64_t{64} << 20U;

struct Options {
    std::string file;
    std::string layer = "*";
    ActivationsOption activations;
    TransformsOption transforms;
};

nlohmann::ordered_json row(const TensorInfo& tensor, const TensorStatistics& statistics)
{
    return {{"name", tensor.name},
            {"shape", tensor.shape},
            {"dtype", info(tensor.dtype).word},
            {"numel", statistics.count},
            {"nan", statistics.nan},
            {"inf", statistics.inf},
            {"zeros", statistics.zeros},
            {"min", numberOrNull(statistics.min)},
            {"max", numberOrNull(statistics.max)},
            {"mean", numberOrNull(statistics.mean)},
            {"std", numberOrNull(statistics.std)},
            {"absmax", numberOrNull(statistics.absmax)},
            {"kurtosis", numberOrNull(statistics.kurtosis)},
            {"l2", numberOrNull(statistics.l2)}};
}

Result<int> run(Console& console, const Options& options)
{
    console.status("opening " + options.file);
    QL_TRY(checkpoint, openCheckpointFor(console, options.file, options.transforms, options.activations));
    auto rows = nlohmann::ordered_json::array();
    console.status("statistics");
    Progress& progress = console.context().progress();
    progress.addTotal(checkpoint->sizeBytes());
    std::vector<const TensorInfo*> infos; // of a batch
    std::vector<TensorData> loaded;
    const auto finishBatch = [&]() -> Result<void> {
        std::vector<TensorView> views;
        for (const TensorData& data : loaded)
            views.push_back(data.view);
        const JobContext inBytes(console.context().executor(), console.context().stopToken());
        QL_TRY(statistics, computeStatistics(views, inBytes));
        QL_CHECK(checkpoint->checkIntact());
        for (std::size_t i = 0; i < infos.size(); ++i) {
            rows.push_back(row(*infos[i], statistics[i]));
            progress.addDone(infos[i]->sizeBytes);
        }
        infos.clear();
        loaded.clear();
        return {};
    };
    std::int64_t batchBytes = 0; // bounded, because some readers decode what they load
    for (std::size_t i = 0; i < checkpoint->tensors().size(); ++i) {
        const TensorInfo& tensor = checkpoint->tensors()[i];
        if (!globMatch(options.layer, tensor.name))
            continue;
        if (!isDecodable(tensor.dtype)) {
            console.warn(std::vector<Warning>{
                {tensor.name, "has no statistics: " + std::string(info(tensor.dtype).word) + " is not decoded"}});
            continue;
        }
        QL_TRY(data, checkpoint->load(static_cast<std::int64_t>(i), console.context()));
        infos.push_back(&tensor);
        loaded.push_back(std::move(data));
        batchBytes += tensor.sizeBytes;
        if (batchBytes >= kBatchBytes) {
            QL_CHECK(finishBatch());
            batchBytes = 0;
        }
    }
    QL_CHECK(finishBatch());
    if (rows.empty() && options.layer != "*")
        return usageError("no tensor matches '" + options.layer + "'; qloupe info lists the names", options.file);
    console.show({{"tensors", std::move(rows)}});
    return 0;
}

} // namespace

extern const Command stats_;
const Command stats_{"stats", "statistics of every tensor: moments, extremes, kurtosis, in float64",
                     [](CLI::App& app) -> CommandRun {
                         const auto options = std::make_shared<Options>();
                         app.add_option("FILE", options->file, "checkpoint file or folder")->required();
                         app.add_option("--layer", options->layer, "tensor name or glob");
                         options->transforms.declare(app);
                         options->activations.declare(app);
                         return [options](Console& console) { return run(console, *options); };
                     }};

} // namespace ql::cli::commands
