// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/loss_slice_option.h"
#include "app/cli/number_check.h"
#include "app/cli/study_options.h"
#include "app/cli/text_options.h"
#include "core/model/frontends/frontend.h"
#include "core/sensitivity/layer_curvature.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string file;
    std::string layer = "*";
    std::string study;
    TextOptions text;
    CurvatureSettings settings;
    LossSliceOption slice;
};

nlohmann::ordered_json rowOf(const Model& model, const LayerCurvature& its)
{
    const auto figure = [&](std::string_view name) -> nlohmann::ordered_json {
        const auto found = its.figures.values.find(name);
        return found == its.figures.values.end() ? nlohmann::ordered_json() : numberOrNull(found->second);
    };
    nlohmann::ordered_json row{{"name", model.layers[static_cast<std::size_t>(its.layer)].name},
                               {"trace", figure("trace")},
                               {"trace_error", figure("trace_error")},
                               {"mean_eigenvalue", figure("mean_curvature")},
                               {"eigenvalue_mean", figure("eigenvalue_mean")},
                               {"eigenvalue_std", figure("eigenvalue_std")},
                               {"top_eigenvalue", figure("top_eigenvalue")},
                               {"from_study", its.isKept}};
    if (!its.isKept) {
        row["probes"] = its.trace.probes;
        if (!its.top.empty()) {
            row["top_residual"] = numberOrNull(its.top.front().residual);
            row["iterations"] = its.top.front().iterations;
        }
    }
    return row;
}

Result<int> run(Console& console, const Options& options)
{
    if (options.slice.isGiven)
        QL_CHECK(options.slice.check());
    QL_TRY(model, openModelFor(console, options.file));
    QL_TRY(graph, buildGraph(*model));
    QL_TRY(windows, options.text.read(console, *model));
    QL_TRY(layers, model->match(options.layer));
    std::erase_if(layers,
                  [&](std::int64_t layer) { return !model->layers[static_cast<std::size_t>(layer)].quantizable; });
    if (layers.empty())
        return usageError("none of the layers that '" + options.layer + "' matches is one to be quantized",
                          options.file);
    const graph::CheckpointWeights weights(*model);
    if (options.slice.isGiven) {
        const LossSliceSettings settings{.iterations = options.settings.iterations,
                                         .tolerance = options.settings.tolerance,
                                         .seed = options.settings.seed};
        QL_TRY(shown, options.slice.run(console, *model, {graph, weights, windows, layers}, settings));
        console.show(shown);
        return 0;
    }
    std::optional<OpenedStudy> opened;
    if (!options.study.empty()) {
        QL_TRY(found, openStudyFor(console, options.study, *model, options.file));
        opened = std::move(found);
        QL_CHECK(opened->study->save(opened->document)); // a study that was never saved is not found again
    }
    auto rows = nlohmann::ordered_json::array();
    const std::string passes = std::to_string(curvaturePasses(options.settings));
    std::size_t done = 0;
    const auto announce = [&] {
        if (!options.settings.together && done < layers.size())
            console.status("differentiating twice, at most " + passes + " passes over " +
                           std::to_string(windows.count()) + " windows a layer, " + std::to_string(done) + " of " +
                           std::to_string(layers.size()) +
                           " layers done: " + model->layers[static_cast<std::size_t>(layers[done])].name);
    };
    Result<void> saved;
    announce();
    const CurvatureTask task{.model = *model,
                             .graph = graph,
                             .weights = weights,
                             .windows = windows,
                             .layers = layers,
                             .settings = options.settings,
                             .sink = opened ? opened->study.get() : nullptr,
                             .onLayer =
                                 [&](const LayerCurvature& its) {
                                     rows.push_back(rowOf(*model, its));
                                     if (opened && saved)
                                         saved = opened->study->save(opened->document);
                                     ++done;
                                     announce();
                                 },
                             .onProbe =
                                 [&](std::int64_t probe) {
                                     console.status("differentiating twice, at most " + passes + " passes over " +
                                                    std::to_string(windows.count()) + " windows for all layers, " +
                                                    std::to_string(probe) + " of at most " +
                                                    std::to_string(options.settings.probes) + " probes done");
                                 }};
    QL_CHECK(measureCurvature(task, console.context()));
    QL_CHECK(std::move(saved));
    console.show({{"windows", windows.count()}, {"tokens", windows.count() * windows.length}, {"layers", rows}});
    return 0;
}

} // namespace

extern const Command curvature_;
const Command curvature_{
    "curvature",
    "trace and largest eigenvalue of the Hessian of the mean loss per token, layer by layer; the loss along "
    "eigenvectors",
    [](CLI::App& app) -> CommandRun {
        const auto options = std::make_shared<Options>();
        app.add_option("FILE", options->file, "checkpoint file or folder")->required();
        app.add_option("--layer", options->layer, "layer name or glob")->capture_default_str();
        options->text.declare(app);
        app.add_flag("--together", options->settings.together,
                     "traces alone, of all layers by the same random vectors: as many passes as for one layer, with "
                     "larger errors");
        app.add_option("--probes", options->settings.probes, "random vectors for the trace, at most")
            ->capture_default_str()
            ->check(atLeast(1));
        app.add_option("--iterations", options->settings.iterations, "power iterations, at most")
            ->capture_default_str()
            ->check(atLeast(1));
        app.add_option("--subsets", options->settings.subsets,
                       "runs of windows with an eigenvalue of their own, for its mean and deviation")
            ->capture_default_str()
            ->check(atLeast(1));
        app.add_option(
            "--study", options->study,
            "study (.qloupe) the results are kept in; a run that was stopped continues, and metrics use them");
        app.add_option("--tolerance", options->settings.tolerance,
                       "relative change of the trace, or relative residual of the eigenvalue, that is small enough")
            ->capture_default_str()
            ->check(atLeast(0));
        app.add_option("--seed", options->settings.seed, "of the random vectors")->capture_default_str();
        options->slice.declare(app);
        app.get_option("--slice")->excludes(app.get_option("--together"));
        return [options](Console& console) { return run(console, *options); };
    }};

} // namespace ql::cli::commands
