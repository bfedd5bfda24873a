// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/file.h"
#include "core/base/hash.h"
#include "core/base/json_string.h"
#include "core/base/text.h"
#include "core/plan/layer_losses.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <set>

namespace ql {

namespace {

constexpr int kVersion = 1;
constexpr std::int64_t kLongestFile = std::int64_t{256} << 20;
using Json = nlohmann::json;

Error lossesError(std::string what)
{
    return badInput(std::move(what), "losses");
}

Result<std::string> stringOf(const Json& object, const char* key)
{
    const auto found = object.find(key);
    if (found == object.end() || !found->is_string())
        return lossesError("'" + std::string(key) + "' must be there, as text");
    return found->get<std::string>();
}

Result<double> numberOf(const Json& object, const char* key)
{
    const auto found = object.find(key);
    const double value = found != object.end() && found->is_number() ? found->get<double>() : -1;
    if (!(value >= 0) || !std::isfinite(value))
        return lossesError("'" + std::string(key) + "' must be there, as a number that is not negative");
    return value;
}

/// 0 where it is not there.
Result<std::int64_t> countOf(const Json& object, const char* key)
{
    const auto found = object.find(key);
    if (found == object.end())
        return std::int64_t{0};
    if (!found->is_number_integer() || found->get<std::int64_t>() < 0)
        return lossesError("'" + std::string(key) + "' must be a whole number that is not negative");
    return found->get<std::int64_t>();
}

Result<Evidence> evidenceFrom(std::string_view text)
{
    std::string known;
    for (const Evidence evidence :
         {Evidence::dataFree, Evidence::statistics, Evidence::gradients, Evidence::probed, Evidence::measured}) {
        if (word(evidence) == text)
            return evidence;
        known += (known.empty() ? "" : ", ") + std::string(word(evidence));
    }
    return lossesError("'" + printable(text) + "' is no evidence; there are " + known);
}

Result<LayerLoss> cellFrom(const Json& json, const Model& model)
{
    if (!json.is_object())
        return lossesError("'cells' must be a list of objects");
    QL_TRY(name, stringOf(json, "layer"));
    QL_TRY(text, stringOf(json, "candidate"));
    LayerLoss cell;
    cell.layer = model.indexOf(name);
    if (cell.layer < 0)
        return lossesError("names the layer '" + printable(name) +
                           "', which the model does not have; are they the losses of another model?");
    QL_TRY(candidate, parseCandidate(text));
    cell.candidate = std::move(candidate);
    QL_TRY(loss, numberOf(json, "loss"));
    cell.loss = loss;
    QL_TRY(error, numberOf(json, "standard_error"));
    cell.standardError = error;
    QL_TRY(evidence, stringOf(json, "evidence"));
    QL_TRY(known, evidenceFrom(evidence));
    cell.evidence = known;
    QL_TRY(tokens, countOf(json, "tokens"));
    cell.tokens = tokens;
    QL_TRY(time, countOf(json, "time"));
    cell.time = time;
    return cell;
}

Result<LayerCoupling> couplingFrom(const Json& json, const Model& model)
{
    const auto pairOf = [&](const char* key) -> const Json* {
        const auto found = json.is_object() ? json.find(key) : json.end();
        const bool isPair = json.is_object() && found != json.end() && found->is_array() && found->size() == 2 &&
                            (*found)[0].is_string() && (*found)[1].is_string();
        return isPair ? &*found : nullptr;
    };
    const Json* const layers = pairOf("layers");
    const Json* const candidates = pairOf("candidates");
    if (!layers || !candidates)
        return lossesError("'couplings' must be a list of objects with two 'layers' and two 'candidates'");
    const auto loss = json.find("loss");
    if (loss == json.end() || !loss->is_number() || !std::isfinite(loss->get<double>()))
        return lossesError("the 'loss' of a coupling must be there, as a number");
    LayerCoupling coupling;
    coupling.loss = loss->get<double>();
    QL_TRY(error, numberOf(json, "standard_error"));
    coupling.standardError = error;
    for (std::size_t side = 0; side < 2; ++side) {
        const auto& name = (*layers)[side].get_ref<const std::string&>();
        coupling.layers[side] = model.indexOf(name);
        if (coupling.layers[side] < 0)
            return lossesError("names the layer '" + printable(name) + "', which the model does not have");
        QL_TRY(candidate, parseCandidate((*candidates)[side].get_ref<const std::string&>()));
        coupling.candidates[side] = std::move(candidate);
    }
    if (coupling.layers[0] == coupling.layers[1])
        return lossesError("couples the layer '" + printable((*layers)[0].get_ref<const std::string&>()) +
                           "' with itself");
    if (coupling.layers[0] > coupling.layers[1]) {
        std::swap(coupling.layers[0], coupling.layers[1]);
        std::swap(coupling.candidates[0], coupling.candidates[1]);
    }
    return coupling;
}

/// They are of this checkpoint and variant.
Result<void> checkOrigin(const Json& json, const Model& model)
{
    const Plan own = keepPlan(model);
    const auto checkpoint = json.find("checkpoint");
    if (checkpoint == json.end() || !checkpoint->is_object())
        return lossesError("'checkpoint' must be an object of fingerprint and name");
    QL_TRY(fingerprint, stringOf(*checkpoint, "fingerprint"));
    QL_TRY(name, stringOf(*checkpoint, "name"));
    QL_TRY(variant, stringOf(json, "variant"));
    if (variant != own.variant)
        return lossesError("were measured of " + (variant.empty()
                                                      ? "the model without transforms; leave --transform out"
                                                      : "a variant; give --transform " + printable(variant)));
    if (fingerprint != own.fingerprint)
        return lossesError("were measured of the checkpoint '" + printable(name) + "', not of '" +
                           printable(own.checkpointName) + "'; open that one");
    return {};
}

std::string countText(const char* key, std::int64_t value)
{
    return value > 0 ? ", \"" + std::string(key) + "\": " + std::to_string(value) : std::string();
}

std::string keyFor(const Model& model, const std::string& activations, const std::string& runtime)
{
    Hasher hasher;
    hasher.add(keepPlan(model).variant + "\n" + activations + (runtime.empty() ? "" : "\n" + runtime));
    return "layer_losses/" + hasher.hex();
}

} // namespace

std::string printLosses(const LayerLosses& losses, const Model& model)
{
    const Plan own = keepPlan(model);
    std::string text =
        "{\n  \"quantloupe_losses\": " + std::to_string(kVersion) +
        ",\n  \"checkpoint\": {\"fingerprint\": " + jsonString(own.fingerprint) +
        ", \"name\": " + jsonString(own.checkpointName) + "},\n  \"variant\": " + jsonString(own.variant) +
        ",\n  \"activations\": " + jsonString(losses.activations) + ",\n  \"metric\": " + jsonString(losses.metric) +
        (losses.runtime.empty() ? "" : ",\n  \"runtime\": " + jsonString(losses.runtime)) + ",\n  \"candidates\": [";
    for (const Candidate& candidate : losses.candidates)
        text += (text.back() == '[' ? "" : ", ") + jsonString(printCandidate(candidate));
    text += "],\n  \"cells\": [";
    for (const LayerLoss& cell : losses.cells)
        text += (text.back() == '[' ? "\n    {\"layer\": " : ",\n    {\"layer\": ") +
                jsonString(model.layers[static_cast<std::size_t>(cell.layer)].name) +
                ", \"candidate\": " + jsonString(printCandidate(cell.candidate)) +
                ", \"loss\": " + formatDouble(cell.loss) + ", \"standard_error\": " + formatDouble(cell.standardError) +
                ", \"evidence\": " + jsonString(word(cell.evidence)) + countText("tokens", cell.tokens) +
                countText("time", cell.time) + "}";
    text += "\n  ]";
    if (losses.couplings.empty())
        return text + "\n}\n";
    text += ",\n  \"couplings\": [";
    for (const LayerCoupling& coupling : losses.couplings) {
        const auto nameOf = [&](std::size_t side) {
            return jsonString(model.layers[static_cast<std::size_t>(coupling.layers[side])].name);
        };
        text += std::string(text.back() == '[' ? "" : ",") + "\n    {\"layers\": [" + nameOf(0) + ", " + nameOf(1) +
                "], \"candidates\": [" + jsonString(printCandidate(coupling.candidates[0])) + ", " +
                jsonString(printCandidate(coupling.candidates[1])) + "], \"loss\": " + formatDouble(coupling.loss) +
                ", \"standard_error\": " + formatDouble(coupling.standardError) + "}";
    }
    return text + "\n  ]\n}\n";
}

Result<LayerLosses> parseLosses(std::string_view json, const Model& model)
{
    const Json parsed = Json::parse(json.begin(), json.end(), nullptr, false);
    if (parsed.is_discarded())
        return lossesError("is not JSON: a bracket, comma or quote is missing or there is text behind the end");
    const auto version = parsed.is_object() ? parsed.find("quantloupe_losses") : parsed.end();
    if (!parsed.is_object() || version == parsed.end())
        return lossesError("is no table of losses: the key 'quantloupe_losses' is missing; qloupe sensitivity --out "
                           "writes one");
    if (!version->is_number_integer() || *version != kVersion)
        return lossesError("has version " + printable(version->dump()) + "; this program reads " +
                           std::to_string(kVersion));
    QL_CHECK(checkOrigin(parsed, model));
    LayerLosses losses;
    QL_TRY(metric, stringOf(parsed, "metric"));
    losses.metric = std::move(metric);
    QL_TRY(activations, stringOf(parsed, "activations"));
    losses.activations = std::move(activations);
    if (parsed.contains("runtime")) {
        QL_TRY(runtime, stringOf(parsed, "runtime"));
        losses.runtime = std::move(runtime);
    }
    const auto candidates = parsed.find("candidates");
    const auto cells = parsed.find("cells");
    if (candidates == parsed.end() || !candidates->is_array() || cells == parsed.end() || !cells->is_array())
        return lossesError("'candidates' and 'cells' must be there, as lists");
    for (const Json& text : *candidates) {
        if (!text.is_string())
            return lossesError("'candidates' must be a list of texts, e.g. \"int4:g64\"");
        QL_TRY(candidate, parseCandidate(text.get_ref<const std::string&>()));
        losses.candidates.push_back(std::move(candidate));
    }
    std::set<std::pair<std::int64_t, std::string>> seen;
    for (const Json& cell : *cells) {
        QL_TRY(read, cellFrom(cell, model));
        if (!seen.emplace(read.layer, printCandidate(read.candidate)).second)
            return lossesError("names the layer '" + model.layers[static_cast<std::size_t>(read.layer)].name +
                               "' twice under " + printCandidate(read.candidate) + "; remove one");
        losses.cells.push_back(std::move(read));
    }
    const auto couplings = parsed.find("couplings");
    if (couplings == parsed.end())
        return losses;
    if (!couplings->is_array())
        return lossesError("'couplings' must be a list");
    for (const Json& coupling : *couplings) {
        QL_TRY(read, couplingFrom(coupling, model));
        losses.couplings.push_back(std::move(read));
    }
    return losses;
}

Result<LayerLosses> readLosses(const std::filesystem::path& path, const Model& model)
{
    QL_TRY(text, readTextFile(path, kLongestFile));
    auto losses = parseLosses(text, model);
    if (!losses)
        return Error{losses.error().code, describe(losses.error()), path.string()};
    return losses;
}

Result<void> keepLosses(ResultSink& sink, const LayerLosses& losses, const Model& model)
{
    LayerLosses known = keptLosses(sink, model, losses.activations, losses.runtime);
    if (known.cells.size() <= losses.cells.size())
        known.metric = losses.metric; // most of it
    QL_TRY(all, merged(std::move(known), losses));
    const std::string text = printLosses(all, model);
    return sink.keep(keyFor(model, losses.activations, losses.runtime), std::as_bytes(std::span(text)));
}

LayerLosses keptLosses(const ResultSink& sink, const Model& model, const std::string& activations,
                       const std::string& runtime)
{
    LayerLosses none{.metric = {}, .activations = activations, .candidates = {}, .cells = {}, .runtime = runtime};
    const auto bytes = sink.find(keyFor(model, activations, runtime));
    if (!bytes)
        return none;
    auto losses = parseLosses({reinterpret_cast<const char*>(bytes->data()), bytes->size()}, model);
    const bool isMeant = losses && losses->activations == activations && losses->runtime == runtime;
    return isMeant ? std::move(*losses) : none;
}

Result<void> writeLosses(const LayerLosses& losses, const Model& model, const std::filesystem::path& path)
{
    QL_TRY(file, AtomicFile::create(path));
    QL_CHECK(file.write(printLosses(losses, model)));
    return file.commit();
}

} // namespace ql
