// SPDX-License-Identifier: GPL-3.0-or-later
// A variant of a model: the same computation after transforms. It is a Model like any other, over a checkpoint whose
// changed tensors are computed when they are loaded, so that graphs, statistics, quantizers and exports take it as it
// is; tensors() keeps the stored types, in which exports round what was computed once. What is known of layers' inputs
// follows from what is known of the model's. Nothing of the model is copied.
#pragma once

#include "core/calibration/activations.h"
#include "core/model/evaluation/version.h"
#include "core/transforms/transform.h"

namespace ql {

struct Variant {
    std::shared_ptr<const Model> model;             // its checkpoint's variantOf() is the transforms' text
    std::shared_ptr<const Activations> activations; // of the variant; null if none were given
    std::vector<Warning> notes;                     // what was not done and why, what was untied
    /// For each layer of the variant that of the model. A head of its own belongs to the embedding it was tied to.
    std::vector<std::int64_t> baseLayer;
};

/// An error names what a transform lacks. The fingerprint of the result's checkpoint is made from the model's, the text
/// and, where a transform looks at them, that of the activations. `computed` is what changed tensors are loaded as,
/// f32, or f64 to judge the rewriting itself.
Result<Variant> makeVariant(std::shared_ptr<const Model> model, const TransformSpecs& transforms,
                            std::shared_ptr<const Activations> activations, const JobContext& context,
                            Dtype computed = Dtype::f32);

/// The model as it is, run on the graph of its variant: what the variant's results are compared with. Shares both.
ModelVersion baseVersion(std::shared_ptr<const Model> model, const Variant& variant);

} // namespace ql
