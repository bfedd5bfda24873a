// SPDX-License-Identifier: GPL-3.0-or-later
// A layer under a candidate, before it is measured: whether it can be, and what has to be known for it.
#pragma once

#include "core/sensitivity/metric.h"

namespace ql {

/// Whether what a metric is made of is known of the layer.
bool isKnown(const Activations* activations, MetricNeeds what, std::int64_t layer);

/// The candidate as the target (null: none) completes it; an error if target or quantizer refuse it for the layer.
Result<Candidate> admitted(const Model& model, std::int64_t layer, const Candidate& candidate,
                           const TargetProfile* target, const Activations* activations);

/// What is known of a layer beside its weights, as far as metrics and quantizers need it; null where nothing is.
struct LayerKnowledge {
    std::shared_ptr<const ActivationStatistics> activations;
    std::shared_ptr<const FisherDiagonal> fisher;
};
Result<LayerKnowledge> knowledgeOf(const Activations* activations, std::int64_t layer,
                                   std::span<const Metric* const> metrics, std::span<const Candidate* const> candidates,
                                   const JobContext& context);

} // namespace ql
