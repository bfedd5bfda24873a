// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/plan/prediction_records.h"

#include "core/base/hash.h"
#include "core/base/sum.h"
#include "core/base/text.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <ranges>

namespace ql {

namespace {

using Json = nlohmann::json;

const std::string kKey = "predictions";

Json toJson(const PredictionRecord& record)
{
    const MeasuredPlan& point = record.point;
    Json json{
        {"metric", record.of.metric},        {"unit", record.of.unit},     {"runtime", record.of.runtime},
        {"windows_hash", record.of.windows}, {"plan", record.plan},        {"text", record.text},
        {"windows", record.windowCount},     {"sum", point.predicted.sum}, {"sum_error", point.predicted.sumError},
        {"floor", point.predicted.floor},    {"measured", point.measured}, {"standard_error", point.standardError},
        {"groups", record.groups},           {"shares", point.shares}};
    if (!record.losses.empty())
        json["losses"] = record.losses;
    if (record.wasPredicted)
        json["predicted"] = {{"value", record.expected.value},
                             {"low", record.expected.low},
                             {"high", record.expected.high},
                             {"level", record.expected.level},
                             {"plans", record.expected.plans}};
    return json;
}

/// Throws what nlohmann::json throws where a field is missing or of another type.
PredictionRecord fromJson(const Json& json)
{
    PredictionRecord record;
    record.of = {.metric = json.at("metric"),
                 .unit = json.at("unit"),
                 .runtime = json.at("runtime"),
                 .windows = json.at("windows_hash")};
    record.plan = json.at("plan");
    record.text = json.at("text");
    record.losses = json.value("losses", std::string());
    record.windowCount = json.at("windows");
    record.point = {.predicted = {.sum = json.at("sum"), .sumError = json.at("sum_error"), .floor = json.at("floor")},
                    .measured = json.at("measured"),
                    .standardError = json.at("standard_error"),
                    .shares = json.at("shares").get<std::vector<double>>()};
    record.groups = json.at("groups").get<std::vector<std::string>>();
    if (const auto found = json.find("predicted"); found != json.end()) {
        record.expected = {.value = found->at("value"),
                           .low = found->at("low"),
                           .high = found->at("high"),
                           .level = found->at("level"),
                           .plans = found->at("plans")};
        record.wasPredicted = true;
    }
    return record;
}

bool isOfKind(const PredictionRecord& record, const PredictedQuantity& of)
{
    return record.of.metric == of.metric && record.of.runtime == of.runtime;
}

bool isSamePoint(const PredictionRecord& a, const PredictionRecord& b)
{
    return a.of == b.of && a.plan == b.plan;
}

} // namespace

std::string planHash(const Plan& plan, const Model& model)
{
    Plan unlocked = plan;
    unlocked.locked.assign(plan.locked.size(), false);
    Hasher hasher;
    hasher.add(printPlan(unlocked, model));
    return hasher.hex();
}

std::vector<PredictionRecord> readPredictions(const ResultSink& sink)
{
    std::vector<PredictionRecord> records;
    const auto bytes = sink.find(kKey);
    if (!bytes)
        return records;
    const std::string_view text(reinterpret_cast<const char*>(bytes->data()), bytes->size());
    const Json list = Json::parse(text, nullptr, false);
    if (!list.is_array())
        return records;
    for (const Json& json : list) {
        try {
            records.push_back(fromJson(json));
        } catch (const Json::exception&) { // of another version, or damaged
            continue;
        }
    }
    return records;
}

Result<void> keepPredictions(ResultSink& sink, std::vector<PredictionRecord> records)
{
    std::vector<PredictionRecord> all = readPredictions(sink);
    for (PredictionRecord& record : records) {
        if (!std::isfinite(record.point.predicted.sum) || !std::isfinite(record.point.measured))
            continue;
        record.wasPredicted = record.wasPredicted && std::isfinite(record.expected.value) &&
                              std::isfinite(record.expected.high); // JSON knows no infinity
        std::erase_if(all, [&](const PredictionRecord& known) { return isSamePoint(known, record); });
        all.push_back(std::move(record));
    }
    Json list = Json::array();
    for (const PredictionRecord& record : all)
        list.push_back(toJson(record));
    const std::string text = list.dump(-1, ' ', false, Json::error_handler_t::replace);
    return sink.keep(kKey, std::as_bytes(std::span(text)));
}

LossModel lossModelOf(std::span<const PredictionRecord> records, const PredictedQuantity& of,
                      std::string_view exceptPlan, std::span<const std::string> groups)
{
    std::vector<MeasuredPlan> plans;
    LossModelSettings settings;
    settings.isAbsolute = of.unit == kNatsPerToken;
    settings.roles = roleCount(groups);
    for (const PredictionRecord& record : records) {
        if (!isOfKind(record, of) || record.plan == exceptPlan)
            continue;
        plans.push_back(record.point);
        if (record.of.windows == of.windows)
            plans.back().standardError = 0;
        if (!std::ranges::equal(record.groups, groups))
            settings.roles = 0;
    }
    return LossModel(plans, settings);
}

bool isTrusted(std::span<const PredictionRecord> records, const PredictedQuantity& of)
{
    for (const PredictionRecord& record : std::views::reverse(records))
        if (isOfKind(record, of) && record.wasPredicted)
            return record.expected.holds(record.point.measured);
    return true;
}

std::vector<std::string> describeSuspects(std::span<const PredictionRecord> records, const PredictedQuantity& of)
{
    std::vector<std::string> words;
    const auto known = std::ranges::find_if(
        records, [&](const PredictionRecord& record) { return isOfKind(record, of) && !record.groups.empty(); });
    if (known == records.end())
        return words;
    std::vector<PredictionRecord> alike;
    std::ranges::copy_if(records, std::back_inserter(alike),
                         [&](const PredictionRecord& record) { return record.groups == known->groups; });
    for (const Suspect& suspect : lossModelOf(alike, of).suspects())
        words.push_back(known->groups[suspect.group] + ": " + formatSignificant(std::max(0.0, 1 + suspect.excess), 2) +
                        " times what is predicted, beside the others (t = " + formatSignificant(suspect.t, 2) + ")");
    return words;
}

std::optional<PredictedQuantity> usualQuantity(std::span<const PredictionRecord> records, std::string_view metric)
{
    std::optional<PredictedQuantity> usual;
    std::ptrdiff_t most = 0;
    for (const PredictionRecord& record : records) {
        if (record.of.metric != metric)
            continue;
        const std::ptrdiff_t count = std::ranges::count(records, record.of, &PredictionRecord::of);
        if (count > most) {
            most = count;
            usual = record.of;
        }
    }
    return usual;
}

double usualFloor(std::span<const PredictionRecord> records, const PredictedQuantity& of)
{
    CompensatedSum sum;
    int count = 0;
    for (const PredictionRecord& record : records) {
        if (record.of != of)
            continue;
        sum.add(record.point.predicted.floor);
        ++count;
    }
    return count > 0 ? sum.value() / count : 0;
}

} // namespace ql
