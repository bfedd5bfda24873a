// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "core/analysis/statistics.h"
#include "core/base/text.h"
#include "core/checkpoint/reader.h"

#include <nlohmann/json.hpp>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string file;
    std::string layer = "*";
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
    QL_TRY(checkpoint, openCheckpoint(options.file, console.context()));
    console.warn(checkpoint->warnings());
    auto rows = nlohmann::ordered_json::array();
    console.status("statistics");
    console.context().progress().addTotal(checkpoint->sizeBytes());
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
        QL_TRY(statistics, computeStatistics(data.view, console.context()));
        rows.push_back(row(tensor, statistics));
    }
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
                         return [options](Console& console) { return run(console, *options); };
                     }};

} // namespace ql::cli::commands
