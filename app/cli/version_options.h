// SPDX-License-Identifier: GPL-3.0-or-later
// Options of subcommands that run another version of a model beside it.
#pragma once

#include "app/cli/variant_options.h"
#include "core/model/evaluation/version.h"
#include "core/plan/plan.h"

namespace ql::cli {

/// A version, and what it refers to.
struct OtherVersion {
    std::string title;    // "plan", "llama.cpp", …
    std::string identity; // names all that makes it what it is
    OpenedVariant opened; // of the plan or by --transform
    std::optional<Plan> plan;
    ModelVersion version;
};

/// --plan P, --transform T, --as RUNTIME, --kv SCHEME, --keep-first-token, --bias-correction, --repair R,
/// --activations A.
struct VersionOptions {
    std::string plan;
    std::string runtime;
    std::string keysValues;
    bool keepFirstToken = false;
    bool biasCorrection = false;
    std::string repair;
    ActivationsOption activations;
    TransformsOption transforms;
    void declare(CLI::App& app);
    /// Null where nothing was asked for. Runs on the graph of its opened.model, as its opened.baseVersion() does.
    /// Refers to the context.
    Result<std::unique_ptr<OtherVersion>> open(Console& console, const std::shared_ptr<const Model>& model,
                                               const JobContext& context) const;
};

} // namespace ql::cli
