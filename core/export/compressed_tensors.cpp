// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/text.h"
#include "core/export/compressed_tensors_files.h"
#include "core/export/compressed_tensors_layout.h"

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

Candidate complete(const Model& model, const Layer& layer, const Candidate& candidate)
{
    Candidate completed = candidate;
    Scheme& scheme = completed.weights;
    const bool integer = scheme.element->kind == FormatKind::integer;
    if (integer && !scheme.scaleGiven && isCompressible(model, layer)) {
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

Result<void> acceptsGroups(const Layer& layer, const Scheme& scheme)
{
    const int bits = scheme.element->bits;
    if (scheme.granularity == Granularity::tensor)
        return refused("one scale per tensor is not offered by this target; use int" + std::to_string(bits) +
                           ":channel or a group of 32, 64 or 128",
                       layer.name);
    if (scheme.granularity == Granularity::channel)
        return {};
    const std::int64_t cols = layer.shape[1];
    if (std::find(kGroups.begin(), kGroups.end(), scheme.groupSize) == kGroups.end())
        return refused("groups of " + std::to_string(scheme.groupSize) +
                           " are not taken by the runtimes; use 32, 64 or 128",
                       layer.name);
    if (cols % scheme.groupSize != 0)
        return refused("rows of " + std::to_string(cols) + " do not divide by " + std::to_string(scheme.groupSize) +
                           "; " + groupMend(cols, bits),
                       layer.name);
    return {};
}

Result<void> accepts(const Model& model, const Layer& layer, const Candidate& candidate)
{
    const Scheme& scheme = candidate.weights;
    if (candidate.activations)
        return refused("pack-quantized holds weights only; leave +a: out", layer.name);
    if (scheme.isKeep())
        return {};
    if (scheme.isCast())
        return refused("stays as the model stores it in this target; use keep instead of " + printScheme(scheme),
                       layer.name);
    if (!isCompressible(model, layer))
        return refused("is kept as stored by this target, which quantizes the Linear layers inside the blocks only; "
                       "use keep",
                       layer.name);
    if (scheme.element->kind != FormatKind::integer || !scheme.name.empty() || scheme.element->levels[1] != 1)
        return refused("pack-quantized holds int2 to int8; " + printScheme(scheme) + " is none of them", layer.name);
    if (scheme.zeroPoint != ZeroPoint::none || scheme.restricted)
        return refused("is written symmetric over the full range by this target; leave :asym and :restricted out of " +
                           printScheme(scheme),
                       layer.name);
    if (scheme.scaleGiven && scheme.scale != scaleCodingOf(layer.dtype))
        return refused("scales are stored in the layer's own dtype; write s=" +
                           std::string(scaleCodingWord(scaleCodingOf(layer.dtype))) + " or leave s= out",
                       layer.name);
    return acceptsGroups(layer, scheme);
}

std::vector<Candidate> menu(const Model& model, const Layer& layer)
{
    std::vector<Candidate> list;
    const auto add = [&](const std::string& text) {
        if (auto scheme = parseScheme(text)) {
            Candidate candidate = complete(model, layer, {std::move(scheme).value(), {}, {}});
            if (accepts(model, layer, candidate))
                list.push_back(std::move(candidate));
        }
    };
    for (const char* text : {"int4:g128", "int4:g64", "int4:g32", "int8:channel", "int8:g128", "int8:g64", "keep"})
        add(text);
    return list;
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
        const bool attention = layer.role == "q_proj" || layer.role == "k_proj" || layer.role == "v_proj";
        const bool gated = layer.role == "gate_proj" || layer.role == "up_proj";
        const auto experts = layer.name.find(".experts.");
        std::string key;
        std::string reason;
        if (experts != std::string::npos) {
            key = layer.name.substr(0, experts) + " experts";
            reason = "vLLM runs the experts of a block as one";
        } else if (attention || gated) {
            const std::string module = layer.name.substr(0, layer.name.rfind(".weight"));
            key = module.substr(0, module.rfind('.') + 1) + (attention ? " qkv" : " gate_up");
            reason = attention ? "vLLM fuses q, k and v" : "vLLM fuses gate and up";
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
             .title = "compressed-tensors (pack-quantized folder)",
             .loadedBy = "transformers, vLLM",
             .source = "vllm-project/compressed-tensors, pack_quantized compressor",
             .acceptsModel = acceptsModel,
             .accepts = accepts,
             .complete = complete,
             .menu = menu,
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
