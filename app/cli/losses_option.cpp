// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/losses_option.h"

#include "core/plan/plan_inputs.h"
#include "core/plan/shrunk_couplings.h"
#include "core/realize/runtime_activations.h"
#include "core/study/study.h"

namespace ql::cli {

namespace {

/// In the order of openLosses().
LayerLosses firstKept(const Study& study, const Model& model, const Activations* activations,
                      const std::string& runtime)
{
    std::vector<std::string> runtimes{runtime, ""};
    for (const Runtime& other : allRuntimes())
        runtimes.emplace_back(other.id);
    LayerLosses losses;
    for (std::size_t i = 0; losses.cells.empty() && i < runtimes.size(); ++i)
        losses = keptLosses(study, model, inputsFingerprint(activations), runtimes[i]);
    return losses;
}

} // namespace

Result<LayerLosses> openLosses(const std::string& path, const Model& model, const Activations* activations,
                               const std::string& runtime)
{
    if (!path.ends_with(".qloupe"))
        return readLosses(path, model);
    if (!std::filesystem::exists(path))
        return ioError("cannot open: there is no such study", path);
    std::vector<Warning> warnings;
    QL_TRY(study, openStudy(path, warnings));
    LayerLosses losses = firstKept(*study, model, activations, runtime);
    if (losses.cells.empty())
        return usageError("holds no losses of the model with these --activations; measure them in the window, or with "
                          "qloupe sensitivity --probe … --study",
                          path);
    return losses;
}

CLI::Option* LossesOption::declare(CLI::App& app, const std::string& use)
{
    return app.add_option(
        "--losses", paths,
        "tables of losses that qloupe sensitivity --out wrote, or studies that hold some, " + use +
            "; may be repeated: of each layer and candidate the one with the best evidence counts, and couplings are "
            "shrunk by their standard errors. Of a study those that count a runtime's rounding of activations are "
            "taken with --as, or where it holds no others");
}

Result<LayerLosses> LossesOption::open(Console& console, const Model& model, const Activations* activations,
                                       const std::string& runtime) const
{
    if (!runtime.empty())
        QL_CHECK(findRuntime(runtime));
    QL_TRY(losses, openLosses(paths.front(), model, activations, runtime));
    for (std::size_t i = 1; i < paths.size(); ++i) {
        QL_TRY(more, openLosses(paths[i], model, activations, runtime));
        QL_TRY(both, merged(std::move(losses), more));
        losses = std::move(both);
    }
    if (activations && inputsFingerprint(activations) != losses.activations)
        return usageError("were measured with other activations than those given; leave --activations out",
                          paths.front());
    const std::size_t measured = losses.couplings.size();
    losses.couplings = shrunk(std::move(losses.couplings));
    if (losses.couplings.size() < measured)
        console.warn(std::vector<Warning>{{"--losses", "has " + std::to_string(measured) +
                                                           " couplings that are no larger than their standard errors, "
                                                           "and are left out; measure them over more windows"}});
    return losses;
}

Result<void> LossesOption::checkRounding(const std::string& counted, const std::string& run) const
{
    if (counted.empty() || counted == run)
        return {};
    return usageError("holds losses with the rounding of activations by " + counted + "; add --as " + counted,
                      paths.front());
}

std::string LossesOption::name(const LayerLosses& losses, const Model& model) const
{
    std::vector<std::string> names;
    for (const std::string& path : paths)
        names.push_back(std::filesystem::path(path).filename().string());
    return lossesName(names, losses, model);
}

} // namespace ql::cli
