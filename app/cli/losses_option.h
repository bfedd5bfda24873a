// SPDX-License-Identifier: GPL-3.0-or-later
// --losses, shared by subcommands that solve or predict by losses that were measured before.
#pragma once

#include "app/cli/console.h"
#include "core/plan/layer_losses.h"

#include <CLI/App.hpp>

namespace ql {
class Activations;
}

namespace ql::cli {

/// A table of losses, or what a study holds of the model and these activations (null: none): those that count the
/// runtime's rounding of activations (its id; empty: none), else those that count none, else any.
Result<LayerLosses> openLosses(const std::string& path, const Model& model, const Activations* activations,
                               const std::string& runtime = {});

/// --losses TABLE|STUDY, may be repeated.
struct LossesOption {
    std::vector<std::string> paths;

    /// `use`: what a subcommand does by them.
    CLI::Option* declare(CLI::App& app, const std::string& use);
    bool isGiven() const { return !paths.empty(); }
    /// All of them as one table, its couplings shrunk by their standard errors; says where these leave nothing of them.
    /// `runtime`: as openLosses() has it. Errors: those of openLosses(), merged() and findRuntime(); usage where they
    /// were measured with other activations than these (null: any will do).
    Result<LayerLosses> open(Console& console, const Model& model, const Activations* activations,
                             const std::string& runtime) const;
    /// Refused where they count a runtime's rounding of activations, `counted`, and another one is run.
    Result<void> checkRounding(const std::string& counted, const std::string& run) const;
    /// What a prediction by them is recorded with, see lossesName().
    std::string name(const LayerLosses& losses, const Model& model) const;
};

} // namespace ql::cli
