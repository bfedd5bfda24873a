// SPDX-License-Identifier: GPL-3.0-or-later
// Any checkpoint, judged by shape and common words alone: a float matrix is linear unless its name says embedding or
// norm, a float array of three to five dimensions called "weight" or "kernel" is a convolution, integers are other.
#include "core/base/text.h"
#include "core/model/name_rules.h"

#include <algorithm>
#include <array>

namespace ql {

namespace {

bool contains(std::string_view text, std::string_view part)
{
    return text.find(part) != std::string_view::npos;
}

/// Scales, zero points and tables of an already quantized model.
bool isQuantizationSide(std::string_view last)
{
    static constexpr std::array<std::string_view, 20> kWords{
        "weight_scale", "weight_scale_inv", "weight_scale_2",   "weight_zero_point",  "weight_global_scale",
        "weight_g_idx", "input_scale",      "input_zero_point", "input_global_scale", "output_scale",
        "scales",       "qzeros",           "zero_point",       "zero_points",        "g_idx",
        "k_scale",      "v_scale",          "absmax",           "quant_map",          "nested_absmax"};
    return std::ranges::find(kWords, last) != kWords.end();
}

/// Parameters that are rows of their own, not a matrix that is multiplied with.
bool isTokenLike(std::string_view module)
{
    static constexpr std::array<std::string_view, 9> kWords{"cls_token",  "class_token", "mask_token",
                                                            "pos_embed",  "inv_freq",    "position_ids",
                                                            "dist_token", "rope_freqs",  "masked_bias"};
    return std::ranges::find(kWords, module) != kWords.end();
}

bool isNorm(const std::string& module)
{
    return contains(module, "norm") || module == "ln" || module.starts_with("ln_") || module.starts_with("ln1") ||
           module.starts_with("ln2") || module.starts_with("bn") || module.ends_with("_ln");
}

Operator operatorOf(const Layer& layer, const NameParts& parts)
{
    const DtypeInfo& type = info(layer.dtype);
    const std::size_t rank = layer.shape.size();
    const std::string module = toLower(parts.module);
    const auto lastDot = layer.name.find_last_of("./");
    const std::string last = toLower(lastDot == std::string::npos ? layer.name : layer.name.substr(lastDot + 1));
    if (!(type.isFloat || type.isGgml) || rank == 0 || isQuantizationSide(last) || isTokenLike(module))
        return Operator::other;
    if (parts.kind == "bias" || parts.kind == "beta" || last.ends_with("bias"))
        return rank == 1 ? Operator::bias : Operator::other;
    if (rank == 1)
        return isNorm(module) || parts.kind == "weight" || parts.kind == "gamma" ? Operator::norm : Operator::other;
    if (isNorm(module))
        return Operator::norm;
    if (layer.numel() == layer.shape.back()) // a row with dimensions of 1 before it
        return rank == 2 && !parts.kind.empty() ? Operator::linear : Operator::other;
    const bool embedding =
        contains(module, "embed") || module == "wte" || module == "wpe" || parts.kind == "embeddings";
    if (rank == 2)
        return embedding ? Operator::embedding : Operator::linear;
    if (embedding && parts.kind.empty())
        return Operator::other;
    if (rank <= 5 && (rank >= 4 || contains(module, "conv") || parts.kind == "weight" || parts.kind == "kernel"))
        return Operator::convolution;
    return rank == 3 ? Operator::linear : Operator::other; // a stack of matrices, or nothing known
}

bool fits(const Checkpoint&)
{
    return true;
}

} // namespace

void describeGenerically(const Checkpoint&, Layer& layer)
{
    const NameParts parts = splitName(layer.name);
    layer.block = parts.block;
    layer.op = operatorOf(layer, parts);
    layer.role = parts.module;
    if (layer.op == Operator::bias && parts.kind == "bias")
        layer.role += "_bias";
}

namespace architectures {
extern const Architecture generic;
const Architecture generic{.id = "generic",
                           .title = "Any (by shape and common words)",
                           .source = "names and shapes",
                           .fits = fits,
                           .describe = describeGenerically};
} // namespace architectures

} // namespace ql
