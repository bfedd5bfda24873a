// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/text_options.h"
#include "app/cli/version_options.h"
#include "core/model/evaluation/trace.h"
#include "core/model/frontends/frontend.h"

#include <nlohmann/json.hpp>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string file;
    TextOptions text;
    VersionOptions version;
};

nlohmann::ordered_json json(const HiddenError& error)
{
    return {{"relative_rmse", numberOrNull(error.relativeRmse)}, {"cosine", numberOrNull(error.cosine)}};
}

Result<int> run(Console& console, const Options& options)
{
    QL_TRY(model, openModelFor(console, options.file));
    QL_TRY(other, options.version.open(console, model, console.context()));
    if (!other)
        return usageError("give --plan, --transform, --as or --kv: the version to trace");
    QL_TRY(graph, buildGraph(*other->opened.model));
    QL_TRY(windows, options.text.read(console, *model));
    console.status("tracing " + std::to_string(windows.ids.size()) + " tokens");
    QL_TRY(traces, trace({graph, windows, other->opened.baseVersion(), other->version, {}}, console.context()));
    QL_CHECK(model->checkpoint->checkIntact());
    auto segments = nlohmann::ordered_json::array();
    for (const SegmentTrace& segment : traces)
        segments.push_back({{"segment", segment.segment},
                            {"block", segment.block},
                            {"alone", json(segment.alone)},
                            {"accumulated", json(segment.accumulated)}});
    console.show({{"tokens", windows.ids.size()}, {"segments", std::move(segments)}});
    return 0;
}

} // namespace

extern const Command trace_;
const Command trace_{"trace",
                     "how far a plan's hidden states are from the model's, block by block: alone and accumulated",
                     [](CLI::App& app) -> CommandRun {
                         const auto options = std::make_shared<Options>();
                         app.add_option("FILE", options->file, "checkpoint file or folder")->required();
                         options->text.windows = 1;
                         options->text.declare(app);
                         options->version.declare(app);
                         return [options](Console& console) { return run(console, *options); };
                     }};

} // namespace ql::cli::commands
