// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/variant_options.h"
#include "core/allocation/plan_front.h"
#include "core/base/text.h"
#include "core/plan/plan_inputs.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <cmath>

namespace ql::cli::commands {

namespace {

struct Options {
    std::string file;
    std::string target;
    std::string out;
    std::size_t budgets = 200;
    std::size_t plans = 10;
    std::string from;
    std::string to;
    ActivationsOption activations;
    TransformsOption transforms;
    SolveOptions solve;
};

/// A size as the points count it: bytes of the target's files, or bits from bits per weight.
Result<std::optional<std::int64_t>> sizeOf(const std::string& text, bool inBytes, double weights)
{
    if (text.empty())
        return std::optional<std::int64_t>();
    if (inBytes) {
        if (const auto bytes = parseBytes(text))
            return bytes;
        return usageError("'" + text + "' is not a size; try 90MB or 1.5GiB");
    }
    const auto bits = parseDouble(text);
    if (!bits || !(std::fabs(*bits) < 1e6))
        return usageError("'" + text + "' is no number of bits per weight; sizes in bytes need a target");
    return std::optional<std::int64_t>(static_cast<std::int64_t>(std::floor(*bits * weights)));
}

/// Writes some points' plans, evenly over the front, as <number>.json; their indices.
Result<std::vector<std::size_t>> writePlans(const Model& model, const PlanFront& front, const Options& options,
                                            const std::string& activations)
{
    std::error_code error;
    std::filesystem::create_directories(options.out, error);
    if (error)
        return ioError("cannot create the folder: " + error.message(), options.out);
    const std::size_t points = front.front.points.size();
    const std::size_t count = std::min(options.plans, points);
    std::vector<std::size_t> written;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t point = count > 1 ? i * (points - 1) / (count - 1) : points / 2;
        QL_TRY(plan, front.problem.planOf(front.front.points[point].choice));
        nameActivations(plan, activations);
        QL_CHECK(writePlan(plan, model, std::filesystem::path(options.out) / (std::to_string(point) + ".json")));
        written.push_back(point);
    }
    return written;
}

Result<int> run(Console& console, const Options& options)
{
    QL_TRY(opened, openVariantFor(console, options.file, options.transforms, options.activations));
    const auto& [base, model, activations, variant] = opened;
    QL_TRY(target, targetOrNull(options.target));
    QL_TRY(prepared, prepareSolve(console, *model, options.solve, target, activations.get()));
    const BalanceRequest& request = prepared.request;
    const auto weights = static_cast<double>(weightsOf(*model, request.planLayers));
    FrontSettings settings;
    settings.budgets = options.budgets;
    QL_TRY(from, sizeOf(options.from, target != nullptr, weights));
    QL_TRY(to, sizeOf(options.to, target != nullptr, weights));
    settings.from = from;
    settings.to = to;
    console.status("solving " + std::to_string(options.budgets) + " budgets");
    const auto start = std::chrono::steady_clock::now();
    QL_TRY(front, planFront(*model, request, settings, console.context()));
    const double elapsedMs =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();

    if (front.couplingsLeftOut > 0)
        console.warn(std::vector<Warning>{
            {"--losses", std::to_string(front.couplingsLeftOut) +
                             " couplings lie between blocks of layers that are solved jointly: they count in each "
                             "loss, but the points are no proven optima, and their gaps are wide"}});
    const CostTable& table = front.problem.table();
    auto rows = nlohmann::ordered_json::array();
    for (std::size_t p = 0; p < front.front.points.size(); ++p) {
        const FrontPoint& point = front.front.points[p];
        QL_TRY(plan, front.problem.planOf(point.choice));
        const double perSize = front.inBytes ? 1e6 : weights; // a step of 1 MB, or of 1 bit per weight
        nlohmann::ordered_json row{{"point", p}};
        if (target) {
            QL_TRY(bytes, target->profile.fileBytes(*model, plan));
            row["bytes"] = bytes;
        }
        row["bits_per_weight"] = bitsPerWeight(*model, plan, request.planLayers);
        if (request.constraints.memory && request.constraints.memory->secondBytes)
            row["blocks_in_ram"] = point.way;
        row["loss"] = point.loss;
        if (!request.couplings.empty())
            row["coupling"] = plannedCoupling(request.couplings, plan);
        row["gap"] = numberOrNull(point.gap());
        row[front.inBytes ? "saved_by_next_mb" : "saved_by_next_bit"] = point.shadowPrice * perSize;
        if (point.next) {
            const Item& item = table.items[front.problem.free()[point.next->item].item];
            const auto candidate = [&](std::size_t option) {
                return printCandidate(table.candidateOf(front.problem.free()[point.next->item].item,
                                                        front.problem.columnOf(point.next->item, option)));
            };
            row["next"] = item.name + ": " + candidate(point.next->from) + " to " + candidate(point.next->to);
            row[front.inBytes ? "next_bytes" : "next_bits"] = point.next->addedSize;
            row["next_saves"] = point.next->savedLoss;
        }
        rows.push_back(std::move(row));
    }
    nlohmann::ordered_json document{{"metric", table.metric},
                                    {"unit", table.unit},
                                    {"points", rows.size()},
                                    {"hull_vertices", front.front.hull.size()},
                                    {"largest_gap", numberOrNull(front.front.largestGap)},
                                    {"front_ms", elapsedMs}};
    if (!request.couplings.empty())
        document["couplings_left_out"] = front.couplingsLeftOut;
    if (!options.out.empty()) {
        QL_TRY(written, writePlans(*model, front, options, prepared.activations));
        document["out"] = options.out;
        document["plans"] = written;
    }
    document["front"] = std::move(rows);
    console.show(document);
    return 0;
}

} // namespace

extern const Command pareto_;
const Command pareto_{
    "pareto", "the least predicted loss of every size, with proof or gap, and what the next step buys",
    [](CLI::App& app) -> CommandRun {
        const auto options = std::make_shared<Options>();
        app.add_option("FILE", options->file, "checkpoint file or folder")->required();
        options->solve.declareTable(app);
        options->solve.declareRuntime(app);
        options->activations.declare(app);
        options->transforms.declare(app);
        app.add_option("--target", options->target,
                       "target whose limits, ties and file bytes count (qloupe list targets)");
        app.add_option("--budgets", options->budgets,
                       "how many sizes are solved, evenly from the smallest to the largest")
            ->capture_default_str()
            ->check(CLI::Range(1, 100'000));
        app.add_option("--from", options->from, "smallest size: 60MB with a target, bits per weight without");
        app.add_option("--to", options->to, "largest size, likewise");
        app.add_option("--out", options->out, "folder for plans of some points, named by their number");
        app.add_option("--plans", options->plans, "how many plans are written, evenly over the points")
            ->capture_default_str()
            ->check(CLI::Range(1, 100'000));
        app.footer(
            "gap: loss over the least that is proven for the size, less 1; 0 is a proof. Couplings in --losses are "
            "part of each loss. Where they cannot all be solved jointly (couplings_left_out) points are the best that "
            "was "
            "found, and the gap is an upper bound, or null where nothing above 0 is proven.");
        return [options](Console& console) { return run(console, *options); };
    }};

} // namespace ql::cli::commands
