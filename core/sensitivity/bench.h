// SPDX-License-Identifier: GPL-3.0-or-later
// Candidates side by side on a layer, of the model as it is and of its variants: what each stores, how far off it is
// and how long it takes. Errors are relative to the variant's own weights and inputs, whose product is the same output,
// so entries of all variants of a layer compare; a transform that also scales what the layer writes weighs its outputs.
#pragma once

#include "core/calibration/activations.h"
#include "core/plan/target.h"
#include "core/transforms/transform.h"

#include <functional>
#include <optional>
#include <string_view>

namespace ql {

/// One candidate on one layer of one variant. Where it was refused only `refusal` says why.
struct BenchEntry {
    std::int64_t layer = 0;    // of the model, whatever its index in the variant
    std::size_t candidate = 0; // index into the request's
    std::size_t transform = 0; // index into the request's
    std::string refusal;
    double bitsPerWeight = 0;
    ErrorStats error; // of the weights
    /// tr(ΔW·H·ΔWᵀ) ÷ tr(W·H·Wᵀ), H = XᵀX, all of the variant: the error of the layer's output over its energy; nothing
    /// where XᵀX of the layer is not known.
    std::optional<double> outputError;
    QuantizerReport report;               // its own objective, if it has one
    double seconds = 0;                   // to choose scales and codes
    std::vector<std::string_view> runsIn; // ids of the targets that can hold it
    /// Whether no other entry of the layer, in whatever variant, has fewer bits and no larger error, or as few and a
    /// smaller one.
    bool onFront = false;
};

struct BenchRequest {
    std::vector<std::int64_t> layers;
    std::vector<Candidate> candidates;
    std::shared_ptr<const Activations> activations;           // of the model; null if none are known
    std::vector<const TargetProfile*> targets;                // asked for runsIn
    std::vector<TransformSpecs> transforms{TransformSpecs()}; // a variant each; no specs: the model as it is
};

/// What is tried where nothing else is asked for; separated by commas.
inline constexpr std::string_view kUsualSchemes = "int4:g128,int4:g128:asym,nf4:g64,mxfp4,nvfp4";
inline constexpr std::string_view kUsualQuantizers = "rtn,mse";

/// Every scheme with every quantizer that accepts it; casts and keep once. An error if nothing is left.
Result<std::vector<Candidate>> crossCandidates(std::string_view schemes, std::string_view quantizers);

/// How the model as it is is written in a list of transforms.
inline constexpr std::string_view kNoTransform = "none";
/// "none,smooth:alpha=0.6,awq+hadamard": a variant each, once. An error if there is none.
Result<std::vector<TransformSpecs>> parseTransformList(std::string_view list);
/// One of the list.
std::string printTransform(const TransformSpecs& specs);
/// Whether some of them is not the model as it is.
bool anyTransform(const std::vector<TransformSpecs>& transforms);

/// Tries variants, their layers and candidates one after the other, so that times compare; delivers each entry as it is
/// ready, on the calling thread. A transform that the model refuses refuses its entries, and so does one that makes two
/// layers of a tied one on that layer. onFront is left to markFront.
Result<void> bench(const std::shared_ptr<const Model>& model, const BenchRequest& request,
                   const std::function<void(const BenchEntry&)>& deliver, const JobContext& context);

/// The error that entries are compared by: outputError where all entries of the layer have one, else the weights'
/// relative squared error.
double benchError(const BenchEntry& entry, bool byOutput);

/// Fills onFront, layer by layer over all variants. By the error of the weights if that is asked for or all there is.
void markFront(std::vector<BenchEntry>& entries, bool byWeights = false);

} // namespace ql
