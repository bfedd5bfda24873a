// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/variant_options.h"
#include "core/base/text.h"
#include "core/sensitivity/bench.h"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace ql::cli::commands {

namespace {

using Json = nlohmann::ordered_json;

struct Options {
    std::string file;
    std::vector<std::string> layers{"*"};
    std::string schemes{kUsualSchemes};
    std::string quantizers{kUsualQuantizers};
    TransformsOption transforms;
    std::string variants{kNoTransform};
    ActivationsOption activations;
};

Json rowOf(const Model& model, const BenchRequest& request, const BenchEntry& entry)
{
    Json row{{"name", model.layers[static_cast<std::size_t>(entry.layer)].name},
             {"candidate", printCandidate(request.candidates[entry.candidate])}};
    if (anyTransform(request.transforms))
        row["transform"] = printTransform(request.transforms[entry.transform]);
    if (!entry.refusal.empty()) {
        row["refused"] = entry.refusal;
        return row;
    }
    row["front"] = entry.onFront ? "*" : "";
    row["bits_per_weight"] = entry.bitsPerWeight;
    row["sqnr_db"] = numberOrNull(entry.error.sqnrDb());
    row["weight_mse"] = entry.error.mse();
    row["max_abs_error"] = entry.error.maxAbsError;
    if (entry.outputError)
        row["output_error"] = *entry.outputError;
    row["ms"] = std::round(entry.seconds * 1e4) / 10;
    std::vector<std::string> runsIn(entry.runsIn.begin(), entry.runsIn.end());
    row["runs_in"] = join(runsIn, " ");
    if (!entry.report.objective.empty())
        row["objective_vs_rtn"] = entry.report.keptRtn   ? Json("rtn kept")
                                  : entry.report.rtn > 0 ? Json(entry.report.reached / entry.report.rtn)
                                                         : Json(nullptr);
    return row;
}

/// Each reason once, with the first it was given for: a table has no room for sentences.
void warnOfRefusals(Console& console, const BenchRequest& request, const std::vector<BenchEntry>& entries)
{
    std::vector<Warning> reasons;
    for (const BenchEntry& entry : entries)
        if (!entry.refusal.empty() && std::ranges::find(reasons, entry.refusal, &Warning::what) == reasons.end())
            reasons.push_back({"refused: " + printCandidate(request.candidates[entry.candidate]), entry.refusal});
    console.warn(reasons);
}

Result<int> run(Console& console, const Options& options)
{
    QL_TRY(opened, openVariantFor(console, options.file, options.transforms, options.activations));
    const std::shared_ptr<const Model> model = opened.model;
    BenchRequest request{.layers = {}, .candidates = {}, .activations = opened.activations, .targets = {}};
    QL_TRY(transforms, parseTransformList(options.variants));
    request.transforms = std::move(transforms);
    QL_TRY(candidates, crossCandidates(options.schemes, options.quantizers));
    request.candidates = std::move(candidates);
    for (const Target* target : allTargets())
        request.targets.push_back(&target->profile);
    for (const std::int64_t layer : model->quantizableLayers())
        if (std::ranges::any_of(options.layers, [&](const std::string& glob) {
                return globMatch(glob, model->layers[static_cast<std::size_t>(layer)].name);
            }))
            request.layers.push_back(layer);
    if (request.layers.empty())
        return usageError("no quantizable layer matches '" + join(options.layers, "', '") +
                              "'; qloupe info lists the names",
                          options.file);
    console.status("trying " + std::to_string(request.candidates.size()) + " candidates on " +
                   std::to_string(request.layers.size()) + " layers" +
                   (request.transforms.size() > 1 ? " of " + std::to_string(request.transforms.size()) + " variants"
                                                  : std::string()));
    std::vector<BenchEntry> entries;
    QL_CHECK(bench(
        model, request, [&](const BenchEntry& entry) { entries.push_back(entry); }, console.context()));
    markFront(entries);
    warnOfRefusals(console, request, entries);
    auto rows = Json::array();
    for (const BenchEntry& entry : entries)
        rows.push_back(rowOf(*model, request, entry));
    console.show({{"front", "no other candidate of the layer has fewer bits and no larger error"},
                  {"output_error", "tr(ΔW·H·ΔWᵀ) / tr(W·H·Wᵀ), H = XᵀX"},
                  {"objective_vs_rtn", "the quantizer's own objective over that of rtn"},
                  {"entries", std::move(rows)}});
    return 0;
}

} // namespace

extern const Command bench_;
const Command bench_{"bench", "schemes × quantizers × transforms on layers: bits, errors, time, where they run",
                     [](CLI::App& app) -> CommandRun {
                         const auto options = std::make_shared<Options>();
                         app.add_option("FILE", options->file, "checkpoint file or folder")->required();
                         app.add_option("--layer", options->layers, "layer names or globs")->capture_default_str();
                         app.add_option("--schemes", options->schemes, "separated by commas; qloupe list schemes")
                             ->capture_default_str();
                         app.add_option("--quantizers", options->quantizers,
                                        "separated by commas; qloupe list quantizers")
                             ->capture_default_str();
                         app.add_option("--transforms", options->variants,
                                        "variants to try side by side, separated by commas; none: the model as it is, "
                                        "a+b: both; qloupe list transforms")
                             ->capture_default_str();
                         options->transforms.declare(app);
                         options->activations.declare(app);
                         return [options](Console& console) { return run(console, *options); };
                     }};

} // namespace ql::cli::commands
