// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/repair_file.h"

#include "core/base/hash.h"
#include "core/base/npz.h"
#include "core/base/text.h"
#include "core/checkpoint/reader.h"
#include "core/formats/quantized_tensor.h"
#include "core/plan/plan_inputs.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace ql {

namespace {

using Json = nlohmann::ordered_json;
constexpr int kVersion = 1;
constexpr std::string_view kAbout = "about";
constexpr std::string_view kRowFactors = ".row_factors"; // behind a layer's name
constexpr std::int64_t kLongestAbout = 1 << 20;

std::string shortened(const std::string& fingerprint)
{
    return printable(fingerprint.substr(0, 12)) + "…";
}

std::string textOf(const Json& json, const char* key)
{
    const auto found = json.find(key);
    return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

Result<Json> aboutOf(const Checkpoint& file, const std::string& where, const JobContext& context)
{
    const std::int64_t index = file.indexOf(kAbout);
    const auto isFitting = [&](const TensorInfo& tensor) {
        return tensor.dtype == Dtype::u8 && tensor.shape.size() == 1 && tensor.shape[0] <= kLongestAbout;
    };
    if (index < 0 || !isFitting(file.tensors()[static_cast<std::size_t>(index)]))
        return badInput("is no repair: the array 'about' is missing; qloupe repair makes one", where);
    QL_TRY(data, file.load(index, context));
    const auto* const begin = reinterpret_cast<const char*>(data.view.data);
    Json json = Json::parse(begin, begin + data.view.numel(), nullptr, false);
    const auto version = json.is_object() ? json.find("quantloupe_repair") : json.end();
    if (json.is_discarded() || !json.is_object() || version == json.end() || !version->is_number_integer())
        return badInput("is no repair: 'about' says nothing of one; qloupe repair makes one", where);
    if (*version > kVersion || *version < 1)
        return badInput("is a repair of version " + version->dump() + "; this program reads up to " +
                            std::to_string(kVersion) + ": use a newer QuantLoupe",
                        where);
    return json;
}

/// The layer's own vector, or factors of its rows.
Result<RepairedTensor> tensorOf(const Checkpoint& file, std::size_t index, const Model& model, const std::string& where,
                                const JobContext& context)
{
    const TensorInfo& tensor = file.tensors()[index];
    const bool isRowFactors = tensor.name.ends_with(kRowFactors);
    const std::string name = tensor.name.substr(0, tensor.name.size() - (isRowFactors ? kRowFactors.size() : 0));
    const std::int64_t layer = model.indexOf(name);
    const std::string its = where + ": " + printable(tensor.name);
    if (layer < 0)
        return badInput("is no layer of the model; make the repair again", its);
    const Layer& found = model.layers[static_cast<std::size_t>(layer)];
    if (found.quantizable != isRowFactors)
        return badInput(isRowFactors ? "are factors of a layer that is not quantized; make the repair again"
                                     : "has the shape " + formatShape(tensor.shape) +
                                           ", and is no norm of the model; make the repair again",
                        its);
    const std::int64_t count = isRowFactors ? matrixShape(found.shape).rows : found.numel();
    if (tensor.dtype != Dtype::f32 || tensor.numel() != count)
        return badInput(
            "has the shape " + formatShape(tensor.shape) + ", and the model's " +
                (isRowFactors ? "layer " + std::to_string(count) + " rows" : "norm " + formatShape(found.shape)) +
                "; make the repair again",
            its);
    QL_TRY(data, file.load(static_cast<std::int64_t>(index), context));
    RepairedTensor repaired{.layer = layer, .values = std::vector<float>(static_cast<std::size_t>(tensor.numel()))};
    decode(data.view.dtype, data.view.data, 0, tensor.numel(), repaired.values.data());
    if (!std::ranges::all_of(repaired.values, [](float value) { return std::isfinite(value); }))
        return badInput("holds values that are not finite; make the repair again", its);
    if (isRowFactors && !std::ranges::all_of(repaired.values, [](float value) { return value > 0; }))
        return badInput("holds factors that are not above 0; make the repair again", its);
    return repaired;
}

} // namespace

std::string planIdentity(const Model& model, const Plan& plan, const TargetProfile* target,
                         const Activations* activations)
{
    Hasher hasher;
    for (std::size_t i = 0; i < model.layers.size(); ++i) {
        const Layer& layer = model.layers[i];
        if (!layer.quantizable)
            continue;
        const Candidate& candidate = plan.candidates[i];
        hasher.add(layer.name + '\n' + printCandidate(target ? target->complete(model, layer, candidate) : candidate) +
                   '\n');
    }
    hasher.add((target ? std::string(target->id) : std::string()) + '\n' +
               (takesInputs(plan) ? inputsFingerprint(activations) : std::string()));
    return hasher.hex();
}

Result<void> writeRepair(const Repair& repair, const Model& model, const RepairAbout& about,
                         const std::filesystem::path& path)
{
    const HeldOutScore& heldOut = repair.heldOut;
    const Json json{{"quantloupe_repair", kVersion},
                    {"checkpoint", model.checkpoint->fingerprint()},
                    {"name", printable(model.checkpoint->path().filename().string())},
                    {"plan", about.plan},
                    {"method", about.method},
                    {"inputs", printable(about.inputs)},
                    {"held_out",
                     {{"measure", heldOut.isKld ? "kld" : "minus_sqnr_db"},
                      {"cases", heldOut.cases},
                      {"before", heldOut.before},
                      {"after", heldOut.after},
                      {"error", heldOut.error}}}};
    const std::string text = json.dump(2, ' ', false, Json::error_handler_t::replace);
    QL_TRY(npz, NpzWriter::create(path));
    const std::int64_t length = std::ssize(text);
    QL_CHECK(npz.add(kAbout, "u1", std::span(&length, 1), std::as_bytes(std::span(text))));
    for (const RepairedTensor& tensor : repair.tensors)
        QL_CHECK(npz.add(model.layers[static_cast<std::size_t>(tensor.layer)].name, "f4",
                         model.layers[static_cast<std::size_t>(tensor.layer)].shape,
                         std::as_bytes(std::span(tensor.values))));
    for (const RepairedTensor& factors : repair.rowFactors) {
        const std::int64_t rows = std::ssize(factors.values);
        QL_CHECK(npz.add(model.layers[static_cast<std::size_t>(factors.layer)].name + std::string(kRowFactors), "f4",
                         std::span(&rows, 1), std::as_bytes(std::span(factors.values))));
    }
    return npz.commit();
}

Result<AppliedRepair> applyRepair(const std::shared_ptr<const Model>& model, const std::string& planIdentity,
                                  const std::filesystem::path& path, const JobContext& context)
{
    const std::string where = path.string();
    QL_TRY(file, openCheckpoint(path, context));
    QL_TRY(about, aboutOf(*file, where, context));
    if (const std::string made = textOf(about, "checkpoint"); made != model->checkpoint->fingerprint())
        return refused("was made for the checkpoint '" + printable(textOf(about, "name")) + "' (fingerprint " +
                           shortened(made) + "), not for this one (" + shortened(model->checkpoint->fingerprint()) +
                           "); a variant is also that of its transforms and activations: open that one, or make the "
                           "repair again",
                       where);
    if (textOf(about, "plan") != planIdentity)
        return refused("was made for another plan, or for this one with another target or other activations: scales "
                       "that fit other codes; give that plan, or make the repair again with qloupe repair",
                       where);
    std::vector<RepairedTensor> tensors, rowFactors;
    for (std::size_t i = 0; i < file->tensors().size(); ++i) {
        if (file->tensors()[i].name == kAbout)
            continue;
        QL_TRY(tensor, tensorOf(*file, i, *model, where, context));
        const bool isQuantized = model->layers[static_cast<std::size_t>(tensor.layer)].quantizable;
        (isQuantized ? rowFactors : tensors).push_back(std::move(tensor));
    }
    QL_CHECK(file->checkIntact());
    return AppliedRepair{.model = withRepairedTensors(*model, tensors, rowFactors), .fingerprint = file->fingerprint()};
}

} // namespace ql
