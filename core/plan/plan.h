// SPDX-License-Identifier: GPL-3.0-or-later
// A plan: one candidate per quantizable layer, locks and a target, as text (JSON) and in memory. A value type: edit a
// copy.
//   {"quantloupe_plan": 1, "checkpoint": {"fingerprint": …, "name": …}, "variant": "", "target": "gguf",
//    "activations": "<fingerprint>", "candidates": {"model.layers.0.self_attn.q_proj.weight": "int4:g64", …}, "locked":
//    ["…"]}
#pragma once

#include "core/model/model.h"
#include "core/plan/candidate.h"

namespace ql {

struct Plan {
    std::string fingerprint; // of the checkpoint
    std::string checkpointName;
    std::string variant;               // model-wide transforms; empty: the checkpoint itself
    std::string target;                // id, or empty
    std::string activations;           // fingerprint of what its quantizers saw of the layers' inputs; empty: nothing
    std::vector<Candidate> candidates; // indexed like model.layers; keep where the layer is not quantizable
    std::vector<bool> locked;          // likewise

    friend bool operator==(const Plan&, const Plan&) = default;
};

/// Every layer keeps its stored form.
Plan keepPlan(const Model& model);
/// Every quantizable layer gets the candidate.
Plan uniformPlan(const Model& model, const Candidate& candidate);

std::string printPlan(const Plan& plan, const Model& model);
/// Layers that the text does not name keep their stored form; unknown names, another checkpoint's fingerprint (unless
/// anyCheckpoint) and newer versions are errors.
Result<Plan> parsePlan(std::string_view json, const Model& model, bool anyCheckpoint = false);
Result<Plan> readPlan(const std::filesystem::path& path, const Model& model);
Result<void> writePlan(const Plan& plan, const Model& model, const std::filesystem::path& path);

/// Payload bits of one layer under a candidate.
std::int64_t layerPayloadBits(const Layer& layer, const Candidate& candidate);
/// How many weights some layers have.
std::int64_t weightsOf(const Model& model, std::span<const std::int64_t> layers);
/// Payload bits of the quantizable layers ÷ their number of weights.
double bitsPerWeight(const Model& model, const Plan& plan);
/// The same of some layers: layersInPlan(model, target) for a plan made for a target.
double bitsPerWeight(const Model& model, const Plan& plan, std::span<const std::int64_t> layers);

} // namespace ql
