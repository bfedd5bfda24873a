// SPDX-License-Identifier: GPL-3.0-or-later
// What a runtime does to the inputs of layers before it multiplies: its kernels round activations to a type that fits
// that of the weights. On some files this costs more than the weights' own rounding, so a validation can do the same.
#pragma once

#include "core/model/graph/run.h"
#include "core/plan/plan.h"

namespace ql {

struct Runtime {
    std::string_view id; // "llama.cpp"
    std::string_view title;
    std::string_view source;
    /// Rounds one row of `width` activations that meets weights of a type; nothing where the runtime leaves them.
    using Round = void (*)(float* row, std::int64_t width);
    Round (*roundingFor)(Dtype weights, std::int64_t width);
};
std::span<const Runtime> allRuntimes();
Result<const Runtime*> findRuntime(std::string_view id);

/// What the runtime does to inputs of `width` channels of a layer under a candidate; null where it leaves them. The
/// type that counts is the candidate's (gguf:…, a cast) or, where it keeps the layer, the checkpoint's.
Runtime::Round roundingOf(const Runtime& runtime, const Layer& layer, const Candidate& candidate, std::int64_t width);
/// The same of the candidate that the plan has for the layer; null: keep.
Runtime::Round roundingOf(const Runtime& runtime, const Model& model, const Plan* plan, std::int64_t layer,
                          std::int64_t width);

/// The hook that rounds as the runtime does. Refers to the model and the plan.
graph::LayerInputHook<float> runtimeActivations(const Runtime& runtime, const Model& model, const Plan* plan,
                                                const JobContext& context);

} // namespace ql
