// SPDX-License-Identifier: GPL-3.0-or-later
// A target profile: what a runtime takes. Limits candidates, ties layers and counts the bytes of the files the target's
// writer would write, exactly. The writers and verifiers are in core/export.
#pragma once

#include "core/plan/plan.h"

namespace ql {

/// Layers that must get the same scheme, e.g. q, k and v fused by a runtime; indices into model.layers.
struct Tie {
    std::vector<std::int64_t> layers;
    std::string reason;
};

struct TargetProfile {
    std::string_view id; // "compressed-tensors", "gguf", "hdf5"
    std::string_view title;
    std::string_view loadedBy; // "transformers, vLLM"
    std::string_view source;   // specification

    /// Whether models of this kind can be exported at all (reader, architecture); the error says what would do.
    Result<void> (*acceptsModel)(const Model& model);
    /// Whether the layer can hold the candidate; the error names layer, reason and mend.
    Result<void> (*accepts)(const Model& model, const Layer& layer, const Candidate& candidate);
    /// Fills what the text left open (an omitted s= becomes the target's), so that it is printed and counted.
    Candidate (*complete)(const Model& model, const Layer& layer, const Candidate& candidate);
    /// Candidates worth offering for a layer, complete, best quality last.
    std::vector<Candidate> (*menu)(const Model& model, const Layer& layer);
    /// The part of the menu that most choices fall into, which is what is measured unless others are named; null: all.
    std::vector<Candidate> (*usual)(const Model& model, const Layer& layer) = nullptr;
    std::vector<Tie> (*ties)(const Model& model);
    /// The dtype in which the runtime restores the layer; verify compares in it.
    Dtype (*restoreDtype)(const Model& model, const Layer& layer);
    /// Exact bytes of all files the writer would write for the plan.
    Result<std::int64_t> (*fileBytes)(const Model& model, const Plan& plan);
    bool onlyStores = false; // a file to look into, from which no runtime computes
};

/// The target's usual candidates for a layer; its menu where it tells none apart.
std::vector<Candidate> usualMenu(const TargetProfile& target, const Model& model, const Layer& layer);
/// All that layersInPlan(model, target) are usually offered, each once, in the order of the menus.
std::vector<Candidate> usualCandidates(const TargetProfile& target, const Model& model);

/// Names what a target's answers depend on: layers of one kind have the same menu, refusals and bytes.
std::string layerKind(const Layer& layer);

/// The layers a plan decides: quantizable and, with a target, offered more than keep. Where a runtime wants the
/// embedding as it is stored, it is no part of the plan and of its bits per weight.
std::vector<std::int64_t> layersInPlan(const Model& model, const TargetProfile* target);

/// Completes every candidate and checks the model, every layer and every tie; the error names the first layer refused.
Result<Plan> admit(const TargetProfile& target, const Model& model, const Plan& plan);

} // namespace ql
