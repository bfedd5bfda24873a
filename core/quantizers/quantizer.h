// SPDX-License-Identifier: GPL-3.0-or-later
// A quantizer chooses scales and codes for a scheme. Text: id[:option][:key=value]…, e.g. rtn, rtn:ct, rtn:ggml, mse,
// mse:steps=80. Scales are rounded to their coding before codes are chosen. Equal bits for any thread count and CPU
// (rtn, mse). One line in quantizers.def and one file add a quantizer.
#pragma once

#include "core/base/result.h"
#include "core/formats/quantized_tensor.h"

#include <map>

namespace ql {

struct ActivationStatistics; // core/calibration/activations.h

struct QuantizerSpec {
    std::string id = "rtn";
    std::string option;                        // bare word: "ct", "ocp", "round", "ggml"; empty for the default rule
    std::map<std::string, std::string> values; // key=value
    friend bool operator==(const QuantizerSpec&, const QuantizerSpec&) = default;
};
Result<QuantizerSpec> parseQuantizerSpec(std::string_view text);
std::string printQuantizerSpec(const QuantizerSpec& spec);

/// What a quantizer reports of its own objective (smaller is better): of rtn's codes and of those it returns. It
/// returns rtn's where it found nothing better.
struct QuantizerReport {
    std::string objective; // "tr(ΔW·H·ΔWᵀ)"; empty: it has none
    double rtn = 0;
    double reached = 0;
    bool keptRtn = false;
};

/// What a quantizer may look at.
struct QuantizeTask {
    TensorView weights; // any decodable dtype
    Scheme scheme;
    QuantizerSpec spec;
    const ActivationStatistics* inputs = nullptr; // of the layer's input X[tokens, cols]; null if not known
    QuantizerReport* report = nullptr;            // filled if given
    /// Of ue4m3 scales, whose one factor covers other tensors, too: the largest magnitude in those.
    float sharedAbsMax = 0;
};

/// What a quantizer takes of the layer's input X: nothing, Σx² of each column (used where it is known, or needed), or
/// all of XᵀX.
enum class InputNeeds { nothing, diagonalIfKnown, diagonal, gram };

/// A key=value option: one of some words, or a number between bounds.
struct QuantizerOption {
    std::string_view key;
    std::string_view meaning;
    std::string_view fallback;                // the value if it is left out
    std::vector<std::string_view> words = {}; // what it may be; none: a number
    double least = 0, most = 0;
    bool whole = false;
};

struct Quantizer {
    std::string_view id;
    std::string_view title;
    std::string_view formula;              // what it minimises or computes, one line
    std::string_view source;               // paper, section
    std::vector<std::string> (*options)(); // the bare words it takes, first the default ""
    std::vector<QuantizerOption> values = {};
    InputNeeds needs = InputNeeds::nothing;
    /// Whether it can fill the scheme; an error of kind usage says why not.
    Result<void> (*accepts)(const Scheme& scheme, const QuantizerSpec& spec);
    Result<QuantizedTensor> (*quantize)(const QuantizeTask& task, const JobContext& context);
};

std::span<const Quantizer* const> allQuantizers();
Result<const Quantizer*> findQuantizer(std::string_view id);

/// Finds the quantizer, asks accepts and quantizes; schemes with additions part by part (sum_of_parts.h). NaN weights
/// give the code of 0 and infinities saturate, neither moves a scale; a group of zeros gets scale 1 (rules of other
/// programs: theirs) and restores to +0; W of zero size gives an empty tensor. Casts ignore the quantizer, keep NaN and
/// infinities, and saturate finite weights at the largest finite value. Not for keep.
Result<QuantizedTensor> quantize(const QuantizeTask& task, const JobContext& context);

} // namespace ql
