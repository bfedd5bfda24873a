// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/plan_prediction.h"
#include "app/cli/variant_options.h"
#include "core/allocation/plan_changes.h"
#include "core/plan/plan_inputs.h"

#include <nlohmann/json.hpp>

#include <cmath>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string file;
    std::string target;
    std::string out;
    std::string against;
    ActivationsOption activations;
    TransformsOption transforms;
    SolveOptions solve;
};

/// What the study says the plan's KLD will be; null where it has measured no plan and the sum alone says nothing.
nlohmann::ordered_json predictionOf(Console& console, const Model& model, const Options& options, const Solved& solved)
{
    std::vector<std::string> paths{options.activations.path};
    paths.insert(paths.end(), options.solve.losses.paths.begin(), options.solve.losses.paths.end());
    const std::vector<PredictionRecord> records = predictionsIn(paths);
    const auto usual = usualQuantity(records, solved.table.metric);
    if (!usual)
        return {};
    PredictedSum sum = predictedSum(solved.table, solved.result.plan, solved.couplings);
    sum.floor = usualFloor(records, *usual);
    const SharesByGroup shares = sharesOf(model, solved.table, solved.result.plan);
    nlohmann::ordered_json json =
        predictionJson(lossModelOf(records, *usual, {}, shares.groups).predict(sum, 0, shares.shares), records, *usual);
    json["floor"] = sum.floor;
    if (!usual->runtime.empty())
        json["runtime"] = usual->runtime;
    if (!isTrusted(records, *usual)) {
        json["suspects"] = describeSuspects(records, *usual);
        console.warn(std::vector<Warning>{
            {solved.table.metric, "predicted the last validated plan wrongly, so this plan is no recommendation until "
                                  "it is validated: qloupe validate --plan … --out STUDY"}});
    }
    return json;
}

Result<int> run(Console& console, const Options& options)
{
    QL_TRY(opened, openVariantFor(console, options.file, options.transforms, options.activations));
    const auto& [base, model, activations, variant] = opened;
    QL_TRY(target, targetOrNull(options.target));
    QL_TRY(solved, solvePlan(console, *model, options.solve, target, activations.get()));
    nameActivations(solved.result.plan, solved.activations);
    QL_CHECK(writePlan(solved.result.plan, *model, options.out));

    auto changes = nlohmann::ordered_json::array();
    if (!options.against.empty()) {
        QL_TRY(before, readPlan(options.against, *model));
        for (const PlanChange& change :
             planChanges(*model, solved.table, before, solved.result.plan,
                         solved.result.allocation.shadowPrice / (solved.result.sizesAreBytes ? 8 : 1)))
            changes.push_back({{"item", solved.table.items[change.item].name},
                               {"before", printCandidate(change.before)},
                               {"after", printCandidate(change.after)},
                               {"added_bytes", static_cast<double>(change.addedBits) / 8},
                               {"added_loss", numberOrNull(change.addedLoss)},
                               {"why", word(change.reason)}});
    }

    std::map<std::string, std::int64_t> layersPerCandidate;
    for (const std::int64_t layer : model->quantizableLayers())
        ++layersPerCandidate[printCandidate(solved.result.plan.candidates[static_cast<std::size_t>(layer)])];
    nlohmann::ordered_json document{
        {"plan", options.out},
        {"bits_per_weight", solved.result.bitsPerWeight},
        {"file_bytes", target ? nlohmann::ordered_json(solved.result.fileBytes) : nlohmann::ordered_json()},
        {"metric", solved.table.metric},
        {"unit", solved.table.unit},
        {"predicted_loss", solved.result.predictedLoss},
        {"standard_error", predictedSum(solved.table, solved.result.plan, solved.couplings).sumError},
        {"optimal", solved.result.allocation.optimal},
        {"lower_bound", solved.result.allocation.lowerBound},
        {"solver_ms", solved.result.milliseconds}};
    if (!solved.result.sides.empty()) {
        auto limits = nlohmann::ordered_json::array();
        for (std::size_t i = 0; i < solved.result.sides.size(); ++i) {
            const SideConstraint& side = solved.result.sides[i];
            nlohmann::ordered_json row{
                {"limit", side.name}, {"used", solved.result.sideSums[i]}, {"at_most", numberOrNull(side.atMost)}};
            if (std::isfinite(side.atLeast))
                row["at_least"] = side.atLeast;
            auto fixed = nlohmann::ordered_json::array();
            for (const FixedAmount& part : side.fixed)
                if (part.amount != 0)
                    fixed.push_back({{"by", part.by}, {"amount", part.amount}});
            if (!fixed.empty())
                row["fixed"] = std::move(fixed);
            limits.push_back(std::move(row));
        }
        document["limits"] = std::move(limits);
    }
    if (solved.result.coupling != 0 || solved.result.couplingsLeftOut > 0) {
        document["coupling"] = solved.result.coupling;
        document["couplings_left_out"] = solved.result.couplingsLeftOut;
    }
    if (solved.result.blocksOnSecond)
        document["blocks_in_ram"] = *solved.result.blocksOnSecond;
    if (solved.uniform) {
        document["best_uniform"] = printCandidate(solved.uniformCandidate());
        document["best_uniform_loss"] = solved.uniform->predictedLoss;
    }
    auto counts = nlohmann::ordered_json::array();
    for (const auto& [candidate, layers] : layersPerCandidate)
        counts.push_back({{"candidate", candidate}, {"layers", layers}});
    if (auto prediction = predictionOf(console, *model, options, solved); !prediction.is_null())
        document["prediction"] = std::move(prediction);
    document["candidates"] = std::move(counts);
    if (!options.against.empty())
        document["changes"] = std::move(changes);
    console.show(document);
    return 0;
}

} // namespace

extern const Command solve_;
const Command solve_{
    "solve", "find the plan with the least predicted loss within a budget", [](CLI::App& app) -> CommandRun {
        const auto options = std::make_shared<Options>();
        app.add_option("FILE", options->file, "checkpoint file or folder")->required();
        options->solve.declare(app);
        options->solve.declareRuntime(app);
        options->activations.declare(app);
        options->transforms.declare(app);
        app.add_option("--target", options->target,
                       "target whose limits, ties and file bytes count (qloupe list targets)");
        app.add_option("--out", options->out, "where the plan goes (JSON)")->required();
        app.add_option("--against", options->against, "another plan: what changes against it, item by item, and why");
        return [options](Console& console) { return run(console, *options); };
    }};

} // namespace ql::cli::commands
