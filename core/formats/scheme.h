// SPDX-License-Identifier: GPL-3.0-or-later
// A scheme: what is stored for a layer's weights. Text, in one place:
//   element[:granularity][:asym|:min][:restricted][:s=coding]   int4:g128  int4:g128:asym:s=f16  fp8_e4m3:channel
//   e2m1:g32:s=e8m0
// or a named scheme: mxint8 mxfp8_e4m3 mxfp8_e5m2 mxfp6_e2m3 mxfp6_e3m2 mxfp4 mxint6 mxint4 nvfp4
// nvint4 fixed4 fixed6 fixed8
//   gguf:q4_0 gguf:q4_1 gguf:q5_0 gguf:q5_1 gguf:q8_0, a packed one (block_format.h), e.g. gguf:q4_k, or a cast f32 f16
//   bf16, or keep. After all but casts and keep may come what is stored beside the codes (additions.h): int4:g128+lr8.
// Defaults: granularity channel, symmetric, full code range, s=f32. Printing omits defaults and parses back to the same
// scheme.
//
// W[rows, cols] is the layer's weight with the output channel first and all else flattened; groups of g run along cols
// within a row, the last group of a row may be shorter (its scale is stored in full). Restored value: symmetric
// level·scale; asymmetric integer (q − z)·scale with integer z; with a minimum (min; gguf:q4_1, q5_1) q·scale + min.
// Scales with coding ue4m3 carry one f32 factor for the tensor: level·(float(scale)·tensorScale).
#pragma once

#include "core/formats/additions.h"
#include "core/formats/number_format.h"
#include "core/tensor/tensor_view.h"

namespace ql {

enum class Granularity { tensor, channel, group };
enum class ScaleCoding { f32, f16, bf16, e8m0, ue4m3 };
enum class ZeroPoint { none, integer, minimum }; // minimum: a float offset coded like the scale

struct Scheme {
    NumberFormatPtr element; // never null
    std::string name;        // of a named scheme, or empty
    Granularity granularity = Granularity::channel;
    std::int64_t groupSize = 0; // for group
    ZeroPoint zeroPoint = ZeroPoint::none;
    bool restricted = false; // integers: −2^(b−1) is not used
    ScaleCoding scale = ScaleCoding::f32;
    bool scaleGiven = false; // s= was written, or the name fixes it
    Additions additions = {};

    bool isCast() const { return element->kind == FormatKind::cast; }
    bool isKeep() const { return element->kind == FormatKind::keep; }
    bool isPacked() const { return element->kind == FormatKind::packed; }
    /// The scheme of the codes: without additions.
    Scheme base() const;
    /// Groups per row of cols elements (1 for tensor and channel).
    std::int64_t groupsPerRow(std::int64_t cols) const;
    /// Number of scales for W[rows, cols]: 1, rows or rows·groupsPerRow; 0 for casts, keep, packed and W without
    /// elements.
    std::int64_t scaleCount(std::int64_t rows, std::int64_t cols) const;
    friend bool operator==(const Scheme& a, const Scheme& b);
};

struct NamedScheme {
    std::string_view name;
    std::string_view text; // what it abbreviates, in the grammar above, or empty where only the name says it
    std::string_view title;
};
std::span<const NamedScheme> allNamedSchemes();

Result<Scheme> parseScheme(std::string_view text);
std::string printScheme(const Scheme& scheme);

/// Bits the scheme stores for W[rows, cols]: codes, scales, zero points, tensor scale, a codebook, additions with their
/// positions; no file overhead.
/// keep: bitsPerElementKept of the checkpoint's dtype times the elements.
std::int64_t payloadBits(const Scheme& scheme, std::int64_t rows, std::int64_t cols, double bitsPerElementKept = 0);

int scaleBits(ScaleCoding coding);
std::string_view scaleCodingWord(ScaleCoding coding);

/// The value a coding can hold nearest to a non-negative scale, ties to even (f32: itself). e8m0 here rounds to the
/// nearest power of two in ratio; quantizers that want floor or ceil pass an exact power of two.
float roundScale(ScaleCoding coding, float scale);

/// A finite list that tests, menus and qloupe list walk: every format family's instances and every named scheme in
/// their usual granularities, and some with additions.
std::vector<std::string> exampleSchemes();

} // namespace ql
