// SPDX-License-Identifier: GPL-3.0-or-later
// --transform, shared by subcommands, and the model a subcommand then works on.
#pragma once

#include "app/cli/study_options.h"
#include "core/plan/target.h"
#include "core/transforms/variant.h"

namespace ql::cli {

/// --transform T, may be repeated.
struct TransformsOption {
    std::vector<std::string> texts;
    void declare(CLI::App& app);
    /// Joined in their order.
    std::string text() const;
};

struct OpenedVariant {
    std::shared_ptr<const Model> base;
    std::shared_ptr<const Model> model;             // the variant, or the base itself without transforms
    std::shared_ptr<const Activations> activations; // of the model; null if none were given
    std::optional<Variant> variant;                 // nothing without transforms

    /// The base, for graphs of `model`.
    ModelVersion baseVersion() const { return variant ? ql::baseVersion(base, *variant) : ownVersion(*base); }
};

/// Applies the option's transforms, or those of the plan whose text is given; both must agree if both are there. Shows
/// what was not done.
Result<OpenedVariant> openVariant(Console& console, std::shared_ptr<const Model> base,
                                  const TransformsOption& transforms, const ActivationsOption& activations,
                                  const std::string& planText = {});
/// Opens the model, too; the plan is a file, or empty.
Result<OpenedVariant> openVariantFor(Console& console, const std::string& file, const TransformsOption& transforms,
                                     const ActivationsOption& activations, const std::string& plan = {});

/// For --bias-correction: the model with biases that take back what the plan does to means; shows what was not done and
/// how much was. An error if no activations are given.
Result<std::shared_ptr<const Model>> withCorrectedBiases(Console& console, const std::shared_ptr<const Model>& model,
                                                         const Plan& plan, const TargetProfile* target,
                                                         const Activations* activations, const JobContext& context);
inline constexpr const char* kBiasCorrectionHelp =
    "biases take back what quantized weights do to the means of outputs; needs --activations";

/// The tensors of a file, which need be no model's without transforms; shows the file's warnings.
Result<std::shared_ptr<const Checkpoint>> openCheckpointFor(Console& console, const std::string& file,
                                                            const TransformsOption& transforms,
                                                            const ActivationsOption& activations);

} // namespace ql::cli
