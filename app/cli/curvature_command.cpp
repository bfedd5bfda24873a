// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/number_check.h"
#include "app/cli/text_options.h"
#include "core/model/evaluation/hessian.h"
#include "core/model/frontends/frontend.h"
#include "core/sensitivity/curvature.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string file;
    std::string layer = "*";
    TextOptions text;
    std::int64_t probes = 100;
    double tolerance = 1e-3;
    std::int64_t iterations = 20;
    std::uint64_t seed = 1;
};

Result<int> run(Console& console, const Options& options)
{
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
    auto rows = nlohmann::ordered_json::array();
    for (const std::int64_t layer : layers) {
        const std::string& name = model->layers[static_cast<std::size_t>(layer)].name;
        console.status("differentiating twice: " + name);
        const LossFunction loss{graph, weights, windows, {layer}};
        QL_TRY(size, weightCount(loss, console.context()));
        const ProductWith product = [&](std::span<const double> v) {
            return hessianVectorProduct<float>(loss, v, console.context());
        };
        QL_TRY(trace,
               hutchinsonTrace(product, size, options.probes, options.tolerance, options.seed, console.context()));
        QL_TRY(top,
               topEigenvalue(product, size, options.iterations, options.tolerance, options.seed, console.context()));
        rows.push_back({{"name", name},
                        {"trace", numberOrNull(trace.trace)},
                        {"trace_error", numberOrNull(trace.standardError)},
                        {"probes", trace.probes},
                        {"mean_eigenvalue", numberOrNull(trace.trace / static_cast<double>(size))},
                        {"top_eigenvalue", numberOrNull(top.value)},
                        {"top_residual", numberOrNull(top.residual)},
                        {"iterations", top.iterations}});
    }
    console.show({{"windows", windows.count()}, {"tokens", windows.count() * windows.length}, {"layers", rows}});
    return 0;
}

} // namespace

extern const Command curvature_;
const Command curvature_{
    "curvature", "trace and largest eigenvalue of the Hessian of the mean loss per token, layer by layer",
    [](CLI::App& app) -> CommandRun {
        const auto options = std::make_shared<Options>();
        app.add_option("FILE", options->file, "checkpoint file or folder")->required();
        app.add_option("--layer", options->layer, "layer name or glob")->capture_default_str();
        options->text.declare(app);
        app.add_option("--probes", options->probes, "random vectors for the trace, at most")
            ->capture_default_str()
            ->check(atLeast(1));
        app.add_option("--iterations", options->iterations, "power iterations, at most")
            ->capture_default_str()
            ->check(atLeast(1));
        app.add_option("--tolerance", options->tolerance,
                       "relative change of the trace, or relative residual of the eigenvalue, that is small enough")
            ->capture_default_str()
            ->check(atLeast(0));
        app.add_option("--seed", options->seed, "of the random vectors")->capture_default_str();
        return [options](Console& console) { return run(console, *options); };
    }};

} // namespace ql::cli::commands
