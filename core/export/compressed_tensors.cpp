// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/text.h"
#include "core/export/compressed_tensors_files.h"
#include "core/export/compressed_tensors_layout.h"
#include "core/model/fused_layers.h"

#include <algorithm>
#include <array>
#include <map>

namespace ql {

namespace {

constexpr std::array<std::int64_t, 3> kGroups{32, 64, 128};

Result<void> acceptsModel(const Model& model)
{
    const Checkpoint& checkpoint = *model.checkpoint;
    if (checkpoint.reader() != "huggingface")
        return refused(
            "compressed-tensors needs a Hugging Face folder (config.json beside safetensors); this was read by "
            "'" +
                checkpoint.reader() + "': use the target gguf or hdf5",
            checkpoint.path().string());
    const bool isGpt2 = model.architecture && model.architecture->id == "gpt2";
    if (isGpt2 && std::ranges::any_of(model.layers, [](const Layer& layer) { return layer.stored.moves(); }))
        return refused(
            "GPT-2 keeps its weights as [in, out] in Conv1D modules; compressed-tensors compresses nn.Linear "
            "only, so transformers would ignore them and vLLM would not turn them: use the target hdf5",
            checkpoint.path().string());
    QL_TRY(made, ct::parts(model));
    return {};
}

/// The layer is a module that transformers and vLLM replace by a compressed one.
bool isCompressible(const Model& model, const Layer& layer)
{
    const bool isMatrix = model.checkpoint->tensors()[static_cast<std::size_t>(layer.tensor)].shape.size() == 2;
    return layer.op == Operator::linear && layer.role != "output" && layer.name != "lm_head.weight" && isMatrix &&
           !layer.stored.moves() && layer.name.ends_with(".weight") &&
           (layer.dtype == Dtype::bf16 || layer.dtype == Dtype::f16 || layer.dtype == Dtype::f32);
}

ScaleCoding scaleCodingOf(Dtype dtype)
{
    return dtype == Dtype::bf16 ? ScaleCoding::bf16 : dtype == Dtype::f16 ? ScaleCoding::f16 : ScaleCoding::f32;
}

/// int2 to int8 by their codes, not MXINT8, whose levels are fractions.
bool isPlainInteger(const Scheme& scheme)
{
    return scheme.element->kind == FormatKind::integer && scheme.name.empty() && scheme.element->levels[1] == 1;
}
bool isFp8(const Scheme& scheme)
{
    return scheme.element->id == "fp8_e4m3" && scheme.name.empty() && scheme.scale != ScaleCoding::e8m0 &&
           scheme.scale != ScaleCoding::ue4m3;
}
bool isFp4(const Scheme& scheme)
{
    return scheme.name == "mxfp4" || scheme.name == "nvfp4";
}

Candidate complete(const Model& model, const Layer& layer, const Candidate& candidate)
{
    Candidate completed = candidate;
    Scheme& scheme = completed.weights;
    const bool scaled = scheme.element->kind == FormatKind::integer || isFp8(scheme);
    if (scaled && !scheme.scaleGiven && isCompressible(model, layer)) {
        scheme.scale = scaleCodingOf(layer.dtype);
        scheme.scaleGiven = true;
    }
    return completed;
}

std::string groupMend(std::int64_t cols, int bits)
{
    for (auto it = kGroups.rbegin(); it != kGroups.rend(); ++it)
        if (cols % *it == 0)
            return "int" + std::to_string(bits) + ":g" + std::to_string(*it) + " does";
    return "use int" + std::to_string(bits) + ":channel";
}

Result<void> acceptsDivision(const Layer& layer, std::int64_t groupSize, const std::string& mend)
{
    if (layer.shape[1] % groupSize == 0)
        return {};
    return refused("rows of " + std::to_string(layer.shape[1]) + " do not divide by " + std::to_string(groupSize) +
                       "; " + mend,
                   layer.name);
}

Result<void> acceptsScale(const Layer& layer, const Scheme& scheme)
{
    if (!scheme.scaleGiven || scheme.scale == scaleCodingOf(layer.dtype))
        return {};
    return refused("scales are stored in the layer's own dtype; write s=" +
                       std::string(scaleCodingWord(scaleCodingOf(layer.dtype))) + " or leave s= out",
                   layer.name);
}

Result<void> acceptsInteger(const Layer& layer, const Scheme& scheme)
{
    const int bits = scheme.element->bits;
    const std::string element = "int" + std::to_string(bits);
    if (scheme.restricted || scheme.zeroPoint == ZeroPoint::minimum)
        return refused("is written over the full range, symmetric or with a zero point; leave " +
                           std::string(scheme.restricted ? ":restricted" : ":min") + " out of " + printScheme(scheme),
                       layer.name);
    if (scheme.zeroPoint == ZeroPoint::integer && bits != 4 && bits != 8)
        return refused("zero points are taken with 4 and 8 bits only; use " + element +
                           " symmetric, without :asym, or int4 or int8",
                       layer.name);
    QL_CHECK(acceptsScale(layer, scheme));
    if (scheme.granularity == Granularity::tensor)
        return refused("one scale per tensor is not offered by this target; use " + element +
                           ":channel or a group of 32, 64 or 128",
                       layer.name);
    if (scheme.granularity == Granularity::channel)
        return {};
    if (std::find(kGroups.begin(), kGroups.end(), scheme.groupSize) == kGroups.end())
        return refused("groups of " + std::to_string(scheme.groupSize) +
                           " are not taken by the runtimes; use 32, 64 or 128",
                       layer.name);
    return acceptsDivision(layer, scheme.groupSize, groupMend(layer.shape[1], bits));
}

Result<void> acceptsFp8(const Layer& layer, const Scheme& scheme)
{
    QL_CHECK(acceptsScale(layer, scheme));
    if (scheme.granularity == Granularity::group)
        return refused("FP8 weights have one scale for a row or for the tensor, and blocks of 128 × 128 are no "
                       "granularity of schemes; use fp8_e4m3:channel",
                       layer.name);
    return {};
}

/// The library restores both to bfloat16 whatever the model's dtype is.
Result<void> acceptsFp4(const Layer& layer, const Scheme& scheme)
{
    if (layer.dtype != Dtype::bf16)
        return refused(printScheme(scheme) + " is restored in bf16 by compressed-tensors, and this layer is " +
                           std::string(info(layer.dtype).word) + "; use int4:g32, or export a bf16 checkpoint",
                       layer.name);
    return acceptsDivision(layer, scheme.groupSize, "use int4:channel or fp8_e4m3:channel");
}

/// Rounded inputs run in integer or FP8 kernels, which take a scale for each row of weights and for each token.
Result<void> acceptsInputs(const Layer& layer, const Candidate& candidate)
{
    if (!candidate.activations)
        return {};
    const Scheme& weights = candidate.weights;
    const std::string inputs = printActivationScheme(*candidate.activations);
    const bool byRow = weights.granularity == Granularity::channel && weights.zeroPoint == ZeroPoint::none;
    const bool int8 = isPlainInteger(weights) && weights.element->bits == 8 && byRow && inputs == "int8";
    const bool fp8 = isFp8(weights) && byRow && inputs == "fp8_e4m3";
    if (int8 || fp8)
        return {};
    return refused("inputs are rounded as int8:channel+a:int8:token and fp8_e4m3:channel+a:fp8_e4m3:token say; write "
                   "one of these or leave +a:" +
                       inputs + " out",
                   layer.name);
}

Result<void> accepts(const Model& model, const Layer& layer, const Candidate& candidate)
{
    const Scheme& scheme = candidate.weights;
    if (scheme.isKeep() && candidate.activations)
        return refused("inputs are rounded where weights are coded; leave +a: out", layer.name);
    if (scheme.isKeep())
        return {};
    if (!scheme.additions.empty())
        return refused("pack-quantized holds codes only; leave " + printAdditions(scheme.additions) +
                           " out, or use the target hdf5",
                       layer.name);
    if (scheme.isCast())
        return refused("stays as the model stores it in this target; use keep instead of " + printScheme(scheme),
                       layer.name);
    if (!isCompressible(model, layer))
        return refused("is kept as stored by this target, which quantizes the Linear layers inside the blocks only; "
                       "use keep",
                       layer.name);
    if (!isPlainInteger(scheme) && !isFp8(scheme) && !isFp4(scheme))
        return refused("compressed-tensors holds int2 to int8, fp8_e4m3, mxfp4 and nvfp4; " + printScheme(scheme) +
                           " is none of them",
                       layer.name);
    QL_CHECK(isPlainInteger(scheme) ? acceptsInteger(layer, scheme)
             : isFp8(scheme)        ? acceptsFp8(layer, scheme)
                                    : acceptsFp4(layer, scheme));
    return acceptsInputs(layer, candidate);
}

std::vector<Candidate> offered(std::span<const char* const> texts, const Model& model, const Layer& layer)
{
    std::vector<Candidate> list;
    for (const char* text : texts)
        if (auto candidate = parseCandidate(text)) {
            Candidate completed = complete(model, layer, *candidate);
            if (accepts(model, layer, completed))
                list.push_back(std::move(completed));
        }
    return list;
}

std::vector<Candidate> menu(const Model& model, const Layer& layer)
{
    static constexpr std::array kAll{"mxfp4",        "nvfp4",
                                     "int4:g128",    "int4:g128:asym",
                                     "int4:g64",     "int4:g64:asym",
                                     "int4:g32",     "int4:g32:asym",
                                     "int8:channel", "int8:channel+a:int8:token",
                                     "fp8_e4m3",     "fp8_e4m3+a:fp8_e4m3:token",
                                     "int8:g128",    "int8:g64",
                                     "keep"};
    return offered(kAll, model, layer);
}

std::vector<Candidate> usual(const Model& model, const Layer& layer)
{
    static constexpr std::array kUsual{"int4:g128", "int4:g64", "int4:g32", "int8:channel",
                                       "int8:g128", "int8:g64", "keep"};
    return offered(kUsual, model, layer);
}

/// Modules that runtimes fuse into one: q, k, v and gate, up of one parent module; all experts of a block.
std::vector<Tie> ties(const Model& model)
{
    std::map<std::string, Tie> found;
    std::vector<std::string> order;
    for (std::size_t i = 0; i < model.layers.size(); ++i) {
        const Layer& layer = model.layers[i];
        if (!isCompressible(model, layer) || !layer.quantizable)
            continue;
        const auto experts = layer.name.find(".experts.");
        const std::string product = fusedProduct(layer);
        std::string key;
        std::string reason;
        if (experts != std::string::npos) {
            key = layer.name.substr(0, experts) + " experts";
            reason = "vLLM runs the experts of a block as one";
        } else if (!product.empty()) {
            key = product;
            reason = product.ends_with("qkv") ? "vLLM fuses q, k and v" : "vLLM fuses gate and up";
        } else {
            continue;
        }
        Tie& tie = found[key];
        if (tie.layers.empty())
            order.push_back(key);
        tie.reason = reason;
        tie.layers.push_back(static_cast<std::int64_t>(i));
    }
    std::vector<Tie> list;
    for (const std::string& key : order)
        if (found[key].layers.size() > 1)
            list.push_back(std::move(found[key]));
    return list;
}

Dtype restoreDtype(const Model&, const Layer& layer)
{
    return layer.dtype == Dtype::bf16 || layer.dtype == Dtype::f16 ? layer.dtype : Dtype::f32;
}

Result<std::int64_t> fileBytes(const Model& model, const Plan& plan)
{
    Plan completed = plan;
    completed.target = "compressed-tensors";
    for (std::size_t i = 0; i < model.layers.size(); ++i) {
        const Layer& layer = model.layers[i];
        if (!layer.quantizable || plan.candidates[i].weights.isKeep())
            continue;
        if (!plan.candidates[i].weights.scaleGiven)
            completed.candidates[i] = complete(model, layer, plan.candidates[i]);
        QL_CHECK(accepts(model, layer, completed.candidates[i]));
    }
    QL_TRY(layout, ct::layOut(model, completed));
    return layout.totalBytes();
}

} // namespace

namespace targets {
extern const Target compressed_tensors;
const Target compressed_tensors{
    .profile{.id = "compressed-tensors",
             .title = "compressed-tensors (folder of safetensors)",
             .loadedBy = "transformers, vLLM",
             .source = "vllm-project/compressed-tensors, compressors",
             .acceptsModel = acceptsModel,
             .accepts = accepts,
             .complete = complete,
             .menu = menu,
             .usual = usual,
             .ties = ties,
             .restoreDtype = restoreDtype,
             .fileBytes = fileBytes},
    .extension = "",
    .write = ct::writeFolder,
    .embeddedPlan = ct::readPlan,
    .verify = ct::verifyFolder,
};
} // namespace targets

} // namespace ql
