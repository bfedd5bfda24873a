// SPDX-License-Identifier: GPL-3.0-or-later
// How far another version of a model (a plan) is from it along its depth. Each segment (embedding, block) is run three
// times: the model on its own hidden states, the other version on those too (what this segment alone does), and the
// other version on what its own earlier segments made (what has accumulated). The head, which turns hidden states into
// logits, is left out: evaluate.h measures there. Memory is one segment's weights of both versions, three times the
// hidden states and the activations of a few windows. Equal bits for any thread count on one CPU.
#pragma once

#include "core/model/evaluation/evaluate.h"

namespace ql {

/// Of hidden states against the model's: h and ĥ, [tokens, width].
struct HiddenError {
    double relativeRmse = 0; // √(Σ (ĥ − h)² / Σ h²) over all elements
    double cosine = 1;       // mean over tokens of ĥ·h / (|ĥ|·|h|); a token that is zero in both counts 1, in one 0
};

struct SegmentTrace {
    std::string segment; // "embedding", "block 3"
    std::int64_t block = -1;
    HiddenError alone;       // its input from the model
    HiddenError accumulated; // its input from the other version
};

struct TraceTask {
    const graph::Graph& graph; // with inputs[0] tokens
    const Windows& windows;
    ModelVersion model;
    ModelVersion other;
    std::function<void(const SegmentTrace&)> onSegment; // called as each is ready
};

Result<std::vector<SegmentTrace>> trace(const TraceTask& task, const JobContext& context);

} // namespace ql
