// SPDX-License-Identifier: GPL-3.0-or-later
// Options of subcommands that run another version of a model beside it.
#pragma once

#include "app/cli/study_options.h"
#include "core/model/evaluation/version.h"
#include "core/plan/plan.h"

namespace ql::cli {

/// A version, and what it refers to.
struct OtherVersion {
    std::string title;    // "plan", "llama.cpp", …
    std::string identity; // names all that makes it what it is
    std::optional<Plan> plan;
    std::shared_ptr<const Activations> activations;
    ModelVersion version;
};

/// --plan P, --as RUNTIME, --kv SCHEME, --keep-first-token, --activations A.
struct VersionOptions {
    std::string plan;
    std::string runtime;
    std::string keysValues;
    bool keepFirstToken = false;
    ActivationsOption activations;
    void declare(CLI::App& app);
    /// Null where nothing was asked for. Refers to the model and the context.
    Result<std::unique_ptr<OtherVersion>> open(Console& console, const Model& model, const JobContext& context) const;
};

} // namespace ql::cli
