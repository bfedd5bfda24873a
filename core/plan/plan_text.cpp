// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/base/file.h"
#include "core/base/json_string.h"
#include "core/base/text.h"
#include "core/plan/nearest_name.h"
#include "core/plan/plan.h"
#include "core/plan/plan_inputs.h"
#include "core/plan/plan_variant.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

namespace ql {

namespace {

constexpr int kVersion = 1;
constexpr std::int64_t kLongestFile = std::int64_t{256} << 20;
using Json = nlohmann::json;

/// The candidates of a plan, quoted; there are few different ones.
class CandidateTexts {
public:
    const std::string& of(const Candidate& candidate)
    {
        for (const auto& [known, text] : m_texts)
            if (*known == candidate)
                return text;
        return m_texts.emplace_back(&candidate, jsonString(printCandidate(candidate))).second;
    }

private:
    std::vector<std::pair<const Candidate*, std::string>> m_texts;
};

std::string utf8Name(const std::string& name)
{
    const std::string text = jsonString(name);
    if (std::string_view(text).substr(1, text.size() - 2) == name)
        return name;
    return Json::parse(text).get<std::string>();
}

Error planError(std::string what)
{
    return badInput(std::move(what), "plan");
}

/// Parses and says where the text stops being JSON and which key stands twice in one object.
Result<Json> parseJson(std::string_view text)
{
    std::vector<std::set<std::string>> keys;
    std::string repeated;
    const Json::parser_callback_t watch = [&](int depth, Json::parse_event_t event, Json& value) {
        if (event == Json::parse_event_t::object_start)
            keys.emplace_back();
        else if (event == Json::parse_event_t::object_end && !keys.empty())
            keys.pop_back();
        else if (event == Json::parse_event_t::key && !keys.empty() && value.is_string() && repeated.empty() &&
                 !keys.back().insert(value.get<std::string>()).second)
            repeated = value.get<std::string>();
        return depth < 8; // what lies deeper is dropped, and no plan has it
    };
    Json json = Json::parse(text.begin(), text.end(), watch, false);
    if (json.is_discarded())
        return planError("is not JSON: a bracket, comma or quote is missing or there is text behind the end");
    if (!repeated.empty())
        return planError("has the key '" + printable(repeated) + "' twice; remove one");
    return json;
}

Result<std::string> stringOf(const Json& object, const char* key)
{
    const auto found = object.find(key);
    if (found == object.end())
        return std::string();
    if (!found->is_string())
        return planError("'" + std::string(key) + "' must be text");
    return found->get<std::string>();
}

Result<void> checkKeys(const Json& object, std::initializer_list<std::string_view> known, const std::string& of)
{
    for (const auto& [key, value] : object.items())
        if (std::find(known.begin(), known.end(), key) == known.end())
            return planError("has an unknown key '" + printable(key) + "'" + of + "; remove it");
    return {};
}

/// Finds layers by their name as JSON has it.
struct LayerNames {
    explicit LayerNames(const Model& of) : model(of)
    {
        for (std::size_t i = 0; i < model.layers.size(); ++i)
            if (std::string name = utf8Name(model.layers[i].name); name != model.layers[i].name)
                replaced.emplace(std::move(name), static_cast<std::int64_t>(i));
    }
    Result<std::size_t> find(const std::string& name) const
    {
        if (const std::int64_t index = model.indexOf(name); index >= 0)
            return static_cast<std::size_t>(index);
        if (const auto found = replaced.find(name); found != replaced.end())
            return static_cast<std::size_t>(found->second);
        std::vector<std::string> names;
        for (const Layer& layer : model.layers) {
            names.push_back(layer.name);
            names.insert(names.end(), layer.aliases.begin(), layer.aliases.end());
        }
        const std::string nearest = nearestName(name, names);
        return planError("names the layer '" + printable(name) + "', which the model does not have" +
                         (nearest.empty() ? std::string("; is it a plan for another model?")
                                          : "; did you mean '" + printable(nearest) + "'?"));
    }
    const Model& model;
    std::map<std::string, std::int64_t> replaced;
};

Result<void> readCandidates(const Json& json, const LayerNames& names, Plan& plan)
{
    if (!json.is_object())
        return planError("'candidates' must be an object of layer name and candidate");
    std::vector<bool> seen(plan.candidates.size(), false);
    for (const auto& [name, value] : json.items()) {
        QL_TRY(layer, names.find(name));
        if (!value.is_string())
            return planError("the candidate of '" + printable(name) + "' must be text, e.g. \"int4:g128\"");
        if (seen[layer])
            return planError("names the layer '" + printable(name) + "' twice, once by another name; remove one");
        seen[layer] = true;
        auto candidate = parseCandidate(value.get_ref<const std::string&>());
        if (!candidate)
            return badInput(describe(candidate.error()), "plan, layer " + printable(name));
        if (!names.model.layers[layer].quantizable && !candidate->weights.isKeep())
            return planError("gives '" + printable(name) + "' the candidate " + printCandidate(*candidate) +
                             ", but its values are not quantized; remove the entry or write \"keep\"");
        plan.candidates[layer] = std::move(candidate).value();
    }
    return {};
}

Result<void> readLocks(const Json& json, const LayerNames& names, Plan& plan)
{
    if (!json.is_array())
        return planError("'locked' must be a list of layer names");
    for (const Json& value : json) {
        if (!value.is_string())
            return planError("'locked' must be a list of layer names");
        QL_TRY(layer, names.find(value.get<std::string>()));
        if (plan.locked[layer])
            return planError("locks '" + printable(value.get<std::string>()) + "' twice; remove one");
        plan.locked[layer] = true;
    }
    return {};
}

Result<void> readCheckpoint(const Json& json, Plan& plan, bool anyCheckpoint)
{
    if (!json.is_object())
        return planError("'checkpoint' must be an object of fingerprint and name");
    QL_CHECK(checkKeys(json, {"fingerprint", "name"}, " in 'checkpoint'"));
    QL_TRY(fingerprint, stringOf(json, "fingerprint"));
    QL_TRY(name, stringOf(json, "name"));
    if (!anyCheckpoint && !fingerprint.empty() && fingerprint != plan.fingerprint)
        return planError("was made for the checkpoint '" + printable(name) + "' (fingerprint " +
                         printable(fingerprint.substr(0, 12)) + "…), not for '" + printable(plan.checkpointName) +
                         "' (" + plan.fingerprint.substr(0, 12) + "…)" +
                         (plan.variant.empty()
                              ? ""
                              : "; a variant is also that of the activations its transforms looked at, so "
                                "give the same --activations") +
                         "; open that one, or remove 'fingerprint' from the plan to use it for any checkpoint with "
                         "these layer names");
    return {};
}

/// A plan of another variant has the layers of that one, and was found for its weights.
Result<void> checkVariant(const Plan& plan, const std::string& variant)
{
    if (variant == plan.variant)
        return {};
    const auto title = [](const std::string& text) {
        return text.empty() ? std::string("the model without transforms") : "the variant '" + printable(text) + "'";
    };
    return planError("was made for " + title(variant) + ", and this is " + title(plan.variant) +
                     (variant.empty() ? "; leave --transform out" : "; give --transform " + printable(variant)));
}

Result<Plan> planFromJson(const Json& json, const Model& model, bool anyCheckpoint)
{
    const auto version = json.is_object() ? json.find("quantloupe_plan") : json.end();
    if (!json.is_object() || version == json.end())
        return planError("is not a QuantLoupe plan: the key 'quantloupe_plan' is missing");
    if (!version->is_number_integer() || *version < 1)
        return planError("'quantloupe_plan' must be the version, a whole number from 1");
    if (*version > kVersion)
        return planError("has version " + version->dump() + "; this program reads up to " + std::to_string(kVersion) +
                         ": use a newer QuantLoupe");
    QL_CHECK(checkKeys(
        json, {"quantloupe_plan", "checkpoint", "variant", "target", "activations", "candidates", "locked"}, ""));

    Plan plan = keepPlan(model);
    const LayerNames names(model);
    QL_TRY(variant, stringOf(json, "variant"));
    QL_CHECK(checkVariant(plan, variant));
    if (const auto checkpoint = json.find("checkpoint"); checkpoint != json.end())
        QL_CHECK(readCheckpoint(*checkpoint, plan, anyCheckpoint));
    QL_TRY(target, stringOf(json, "target"));
    plan.target = std::move(target);
    QL_TRY(activations, stringOf(json, "activations"));
    plan.activations = std::move(activations);
    if (const auto candidates = json.find("candidates"); candidates != json.end())
        QL_CHECK(readCandidates(*candidates, names, plan));
    if (const auto locked = json.find("locked"); locked != json.end())
        QL_CHECK(readLocks(*locked, names, plan));
    return plan;
}

} // namespace

namespace {

/// As long for every fingerprint and for none: the bytes of an export do not depend on what it is given.
std::string padded(const std::string& fingerprint)
{
    const std::string text = jsonString(fingerprint);
    return text + std::string(kFingerprintDigits - std::min(kFingerprintDigits, fingerprint.size()), ' ');
}

} // namespace

std::string printPlan(const Plan& plan, const Model& model)
{
    // While a bar is dragged, every move prints the plan to count its bytes: appended piece by piece.
    std::string candidates;
    std::string locked;
    CandidateTexts texts;
    const auto addLine = [](std::string& list, const std::string& name) {
        list.append(list.empty() ? "\n    " : ",\n    ").append(jsonString(name));
    };
    for (std::size_t i = 0; i < model.layers.size(); ++i) {
        const Layer& layer = model.layers[i];
        if (layer.quantizable) {
            addLine(candidates, layer.name);
            candidates.append(": ").append(texts.of(plan.candidates[i]));
        }
        if (plan.locked[i])
            addLine(locked, layer.name);
    }
    return "{\n  \"quantloupe_plan\": " + std::to_string(kVersion) +
           ",\n  \"checkpoint\": {\"fingerprint\": " + jsonString(plan.fingerprint) +
           ", \"name\": " + jsonString(plan.checkpointName) + "},\n  \"variant\": " + jsonString(plan.variant) +
           ",\n  \"target\": " + jsonString(plan.target) + ",\n  \"activations\": " + padded(plan.activations) +
           ",\n  \"candidates\": {" + candidates + (candidates.empty() ? "}" : "\n  }") + ",\n  \"locked\": [" +
           locked + (locked.empty() ? "]" : "\n  ]") + "\n}\n";
}

Result<std::string> variantOfPlan(std::string_view json)
{
    QL_TRY(parsed, parseJson(json));
    if (!parsed.is_object())
        return planError("is not a QuantLoupe plan: the key 'quantloupe_plan' is missing");
    return stringOf(parsed, "variant");
}

Result<Plan> parsePlan(std::string_view json, const Model& model, bool anyCheckpoint)
{
    QL_TRY(parsed, parseJson(json));
    return planFromJson(parsed, model, anyCheckpoint);
}

Result<Plan> readPlan(const std::filesystem::path& path, const Model& model)
{
    QL_TRY(text, readTextFile(path, kLongestFile));
    auto plan = parsePlan(text, model);
    if (!plan)
        return Error{plan.error().code, describe(plan.error()), path.string()};
    return plan;
}

Result<void> writePlan(const Plan& plan, const Model& model, const std::filesystem::path& path)
{
    QL_TRY(file, AtomicFile::create(path));
    QL_CHECK(file.write(printPlan(plan, model)));
    return file.commit();
}

} // namespace ql
