// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/limit_options.h"

#include "app/cli/keys_values.h"
#include "app/cli/number_check.h"
#include "core/model/evaluation/output_places.h"
#include "core/model/frontends/frontend.h"
#include "core/plan/tied_table.h"

#include <CLI/CLI.hpp>

namespace ql::cli {

Result<std::vector<std::int64_t>> layersNamed(const Model& model, std::string_view words, const std::string& option)
{
    std::vector<std::int64_t> found;
    for (const std::int64_t layer : model.quantizableLayers()) {
        const Layer& its = model.layers[static_cast<std::size_t>(layer)];
        if (its.role == words || globMatch(words, its.name))
            found.push_back(layer);
    }
    if (found.empty())
        return usageError("no layer that a plan decides has this role or a name that matches; qloupe info lists both",
                          option + " " + std::string(words));
    return found;
}

namespace {

struct Assignment {
    std::string_view left;
    std::string_view right;
};
Result<Assignment> splitAtEquals(const std::string& text, const std::string& option, const std::string& form)
{
    const auto equals = text.rfind('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
        return usageError(option + " takes " + form, text);
    return Assignment{std::string_view(text).substr(0, equals), std::string_view(text).substr(equals + 1)};
}

Result<std::int64_t> bytesOf(const std::string& text, const std::string& option)
{
    const auto bytes = parseBytes(text);
    if (!bytes)
        return usageError("'" + text + "' is not a size; try 6GB or 1.5GiB", option);
    return *bytes;
}

/// For a graph over pictures of a known size; empty otherwise.
Result<std::vector<double>> placesOf(const Model& model, const JobContext& context)
{
    const auto graph = buildGraph(model);
    const auto picture = graph ? pictureShapeOf(model, *graph) : std::nullopt;
    return picture ? outputPlaces(model, *graph, *picture, context) : std::vector<double>();
}

Result<GroupBudget> groupBudget(const Model& model, const std::string& text)
{
    QL_TRY(words, splitAtEquals(text, "--group", "GLOB=BPW or GLOB=BPW:TOLERANCE"));
    const auto colon = words.right.find(':');
    const auto bits = parseDouble(words.right.substr(0, colon));
    const auto tolerance =
        colon == std::string_view::npos ? std::optional<double>() : parseDouble(words.right.substr(colon + 1));
    if (!bits || !(*bits > 0) || (colon != std::string_view::npos && (!tolerance || !(*tolerance >= 0))))
        return usageError("--group takes GLOB=BPW or GLOB=BPW:TOLERANCE, as in *mlp*=4.5:0.02", text);
    QL_TRY(layers, layersNamed(model, words.left, "--group"));
    return GroupBudget{
        .name = std::string(words.left), .layers = std::move(layers), .bitsPerWeight = *bits, .tolerance = tolerance};
}

} // namespace

void LimitOptions::declare(CLI::App& app)
{
    const std::string limits = "Limits";
    app.add_option("--max-loss,--max-kld", loss,
                   "largest predicted loss in the metric's unit (fisher: KLD in nats per token); the size is the least "
                   "that keeps it")
        ->check(above(0))
        ->group(limits);
    auto* first = app.add_option("--vram", vram,
                                 "memory of the running model: weights, keys and values of the context, a buffer for "
                                 "activations: 6GB")
                      ->group(limits);
    app.add_option("--ram", ram, "memory beside it, for the embedding and the first blocks; a block is in one of both")
        ->needs(first)
        ->group(limits);
    app.add_option("--kv-context", context, "tokens of keys and values in memory")
        ->capture_default_str()
        ->check(CLI::PositiveNumber)
        ->group(limits);
    app.add_option("--kv", keysValues, "scheme of keys and values in memory: q8_0, int8; otherwise f16")->group(limits);
    app.add_option("--bops", operations,
                   "operations for a token, or a picture whose size the model says: sum of multiply-adds × bits of "
                   "weights × bits of inputs (16 where not rounded)")
        ->check(above(0))
        ->group(limits);
    auto* table = app.add_option("--latency", latency,
                                 "table of measured milliseconds, CSV: layer (name, glob or role),candidate,ms")
                      ->group(limits);
    auto* most = app.add_option("--max-latency", milliseconds, "largest sum of those milliseconds")
                     ->check(above(0))
                     ->needs(table)
                     ->group(limits);
    table->needs(most);
    app.add_option("--group", groups,
                   "GLOB=BPW: bits per weight of some layers (glob or role), at most; GLOB=BPW:TOLERANCE: that many, "
                   "give or take; may be repeated")
        ->group(limits);
    app.add_option("--tie", ties, "GLOB (or role): these layers get one candidate; may be repeated")->group(limits);
    app.add_option("--allow", allowed,
                   "ROLE=A,B (or GLOB=A,B): these layers take these candidates only; may be repeated")
        ->group(limits);
}

Result<PlanConstraints> LimitOptions::constraints(const Model& model, const JobContext& job) const
{
    PlanConstraints constraints;
    if (loss > 0)
        constraints.loss = loss;
    if (operations > 0) {
        constraints.operations = operations;
        QL_TRY(places, placesOf(model, job));
        constraints.places = std::move(places);
    }
    if (!latency.empty()) {
        QL_TRY(table, readLatencyTable(latency));
        constraints.latency = std::move(table);
        constraints.milliseconds = milliseconds;
    }
    for (const std::string& group : groups) {
        QL_TRY(budget, groupBudget(model, group));
        constraints.groups.push_back(std::move(budget));
    }
    if (vram.empty())
        return constraints;
    MemoryLimits memory;
    memory.context = context;
    QL_TRY(firstBytes, bytesOf(vram, "--vram"));
    memory.firstBytes = firstBytes;
    if (!ram.empty()) {
        QL_TRY(secondBytes, bytesOf(ram, "--ram"));
        memory.secondBytes = secondBytes;
    }
    if (!keysValues.empty()) {
        QL_TRY(scheme, parseKeysValues(keysValues));
        memory.keysValues = std::move(scheme);
    }
    constraints.memory = std::move(memory);
    return constraints;
}

Result<CostTable> LimitOptions::apply(const Model& model, CostTable table) const
{
    for (const std::string& text : allowed) {
        QL_TRY(words, splitAtEquals(text, "--allow", "ROLE=CANDIDATE,CANDIDATE or GLOB=…"));
        QL_TRY(layers, layersNamed(model, words.left, "--allow"));
        QL_TRY(candidates, parseCandidates(words.right));
        QL_CHECK(allowOnly(table, layers, candidates));
    }
    if (ties.empty())
        return table;
    std::vector<Tie> tied;
    for (const std::string& text : ties) {
        QL_TRY(layers, layersNamed(model, text, "--tie"));
        tied.push_back({.layers = std::move(layers), .reason = "--tie " + text});
    }
    return tieItems(model, table, tied);
}

} // namespace ql::cli
