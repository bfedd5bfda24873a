// SPDX-License-Identifier: GPL-3.0-or-later
// A transform: an exact rewrite of the model before quantization, which leaves what the unquantized model computes and
// changes how well it can be quantized. Text: id[:option][:key=value]…[:scheme=SCHEME], e.g. smooth, smooth:alpha=0.6,
// hadamard:block=64, awq:scheme=int4:g64 (scheme= takes all that follows). A variant's text is a list of them, joined
// by +, in the order in which they are applied: smooth:alpha=0.5+hadamard. One line in transforms.def and one file add
// a transform.
#pragma once

#include "core/transforms/fold_sites.h"
#include "core/transforms/rewrite.h"

namespace ql {

struct TransformSpec {
    std::string id;
    std::string option;                        // a bare word
    std::map<std::string, std::string> values; // key=value
    friend bool operator==(const TransformSpec&, const TransformSpec&) = default;
};
using TransformSpecs = std::vector<TransformSpec>;

/// Checks ids, options and keys; an empty text is no transform.
Result<TransformSpecs> parseTransforms(std::string_view text);
std::string printTransforms(const TransformSpecs& specs);

/// What a transform may look at.
struct TransformTask {
    const Model& model;
    const graph::Graph& graph; // of the model
    const TransformSpec& spec;
    const Activations* activations = nullptr; // of the model; null if none are known
};

/// What it takes of the layers' inputs: nothing, ranges, or XᵀX (its diagonal where that is all).
enum class TransformNeeds { nothing, ranges, gram };
std::string_view word(TransformNeeds needs);

struct TransformOption {
    std::string_view key;         // "alpha", or a bare word
    std::string_view help;        // "0…1, default 0.5"; empty for a bare word
    bool isModelWide = false;     // given, a local transform is one of the whole model
    std::string_view taking = {}; // the value with which the transform takes more; empty: none
};

struct Transform {
    std::string_view id;
    std::string_view title;
    std::string_view formula;
    std::string_view source; // paper, section
    /// Whether its effect stays inside one producer and its consumers, but for options that say otherwise; else it is
    /// of the whole model.
    bool isLocal = false;
    TransformNeeds needs = TransformNeeds::nothing; // whatever the options
    /// Where options decide what it takes, which they then say (`taking`); null: they do not.
    TransformNeeds (*needsWith)(const TransformSpec& spec) = nullptr;
    std::span<const TransformOption> keys;  // key=value
    std::span<const TransformOption> words; // bare words
    /// Checks the values of options; an error of kind usage.
    Result<void> (*accepts)(const TransformSpec& spec);
    /// Refused by name where the model has no place for it.
    Result<Rewrite> (*rewrite)(const TransformTask& task, const JobContext& context);
};

std::span<const Transform* const> allTransforms();
Result<const Transform*> findTransform(std::string_view id);
/// "local", "whole model", or "local; stream= whole model".
std::string reachOf(const Transform& transform);
/// What the transform of a spec takes.
inline TransformNeeds needsOf(const Transform& transform, const TransformSpec& spec)
{
    return transform.needsWith ? transform.needsWith(spec) : transform.needs;
}
/// "nothing", or "nothing; stream=inputs Gram matrices of activations".
std::string describeNeeds(const Transform& transform);

} // namespace ql
