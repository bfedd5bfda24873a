// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/study_options.h"
#include "app/cli/text_options.h"
#include "core/base/text.h"
#include "core/calibration/calibrate.h"
#include "core/model/frontends/frontend.h"

#include <nlohmann/json.hpp>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string file;
    std::string study;
    std::string gram = "full";
    TextOptions text;
    CalibrationSettings settings;
};

Result<int> run(Console& console, const Options& options)
{
    QL_TRY(model, openModelFor(console, options.file));
    QL_TRY(graph, buildGraph(*model));
    QL_TRY(windows, options.text.read(console, *model));
    QL_TRY(opened, openStudyFor(console, options.study, *model, options.file));

    CalibrationSettings settings = options.settings;
    const auto gram = gramKindFromWord(options.gram);
    if (!gram || settings.blockSize < 1 || settings.batchWindows < 1)
        return usageError("--gram takes diag, blocks or full; --block-size and --batch are at least 1");
    settings.gram = *gram;
    const graph::CheckpointWeights weights(*model);
    std::int64_t complete = 0;
    const CalibrationTask task{
        *model, graph, weights, windows, settings, *opened.study, [&](std::int64_t, std::int64_t through) {
            complete = through;
        }};
    const CalibrationCost cost = calibrationCost(*model, graph, settings, windows.count(), windows.length);
    console.status("calibrating on " + std::to_string(windows.count() * windows.length) + " tokens: about " +
                   formatBytes(cost.resultBytes) + " in the study, " + formatBytes(cost.memoryBytes) + " of memory");
    QL_CHECK(calibrate(task, console.context()));
    QL_CHECK(opened.study->save(opened.document));
    console.show({{"study", options.study},
                  {"windows", complete},
                  {"tokens", complete * windows.length},
                  {"gram", word(settings.gram)},
                  {"result_bytes", cost.resultBytes},
                  {"memory_bytes", cost.memoryBytes}});
    return 0;
}

} // namespace

extern const Command calibrate_;
const Command calibrate_{
    "calibrate", "run the model on text and keep what its layers see; continues where an earlier run was stopped",
    [](CLI::App& app) -> CommandRun {
        const auto options = std::make_shared<Options>();
        app.add_option("FILE", options->file, "checkpoint file or folder")->required();
        app.add_option("--out", options->study, "study (.qloupe) the results go into")->required();
        options->text.declare(app);
        app.add_option("--gram", options->gram, "how much of XᵀX is kept: diag, blocks or full")->capture_default_str();
        app.add_option("--block-size", options->settings.blockSize, "size of the blocks")->capture_default_str();
        app.add_option("--full-limit", options->settings.fullLimit, "wider inputs get blocks instead of full")
            ->capture_default_str();
        app.add_option("--batch", options->settings.batchWindows, "windows that go through the model together")
            ->capture_default_str();
        return [options](Console& console) { return run(console, *options); };
    }};

} // namespace ql::cli::commands
