// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/measuring_options.h"
#include "app/cli/number_check.h"
#include "core/allocation/measured_search.h"
#include "core/allocation/ratio_sweep.h"
#include "core/plan/plan_inputs.h"
#include "core/sensitivity/layer_groups.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>

namespace ql::cli::commands {

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kEvolution = "evolution";
constexpr const char* kRatios = "ratios";

struct Options {
    MeasuringOptions measuring;
    std::string by = kEvolution;
    SolveOptions solve;
    std::string out;
    MeasuredSearchSettings search;
    std::vector<std::string> first;
    std::string firstMetric;
    std::vector<double> ratios{0.46, 0.56, 0.66, 0.76, 0.86, 0.96, 1.06, 1.16, 1.26, 1.36};
    double tolerance = 0.02;
};

/// A plan that was run.
struct Tried {
    Plan plan;
    MeasuredKld measured;
    Json row; // what its search says of it
};

/// Whether each item of the table is of the first group.
Result<std::vector<bool>> firstGroup(const Model& model, const Options& options, const CostTable& table)
{
    std::vector<bool> isLayerFirst(model.layers.size(), false);
    for (const std::string& words : options.first) {
        QL_TRY(groups, layerGroups(model, model.quantizableLayers(), words));
        for (const LayerGroup& group : groups)
            for (const std::int64_t layer : group.layers)
                isLayerFirst[static_cast<std::size_t>(layer)] = true;
    }
    std::vector<bool> isFirst;
    for (const Item& item : table.items) {
        const auto count = std::ranges::count_if(
            item.layers, [&](std::int64_t layer) { return isLayerFirst[static_cast<std::size_t>(layer)]; });
        if (count != 0 && count != std::ssize(item.layers))
            return usageError("is tied across both groups; name all of its layers with --first, or none", item.name);
        isFirst.push_back(count != 0);
    }
    return isFirst;
}

class Searching {
public:
    Searching(Console& console, const Options& options, const PreparedSolve& prepared, PlanProblem& problem,
              PlanMeasurer& measurer)
        : m_console(console),
          m_options(options),
          m_prepared(prepared),
          m_problem(problem),
          m_terms(jointTerms(problem, prepared.couplings)),
          m_measurer(measurer)
    {}

    /// By evolution, or over ratios where a first group is given. Where files turn out larger than their sizes say it
    /// starts again with as much less; what was measured is found in the study.
    Result<std::vector<Tried>> run(const std::vector<bool>& isFirst)
    {
        for (;;) {
            m_tried.clear();
            m_bytesAbove = 0;
            auto tried = isFirst.empty() ? evolve() : sweep(isFirst);
            if (m_bytesAbove == 0)
                return tried;
            m_problem.problem().budget -= m_bytesAbove;
        }
    }

private:
    Result<std::vector<Tried>> evolve()
    {
        const std::size_t most = m_options.search.start + m_options.search.steps;
        QL_TRY(found, searchMeasured(
                          m_problem.problem(), m_terms,
                          [&](std::span<const std::size_t> choice) -> Result<double> {
                              QL_CHECK(measure(choice, most));
                              return m_tried.back().measured.kld.value;
                          },
                          m_options.search, inner()));
        for (std::size_t i = 0; i < found.size(); ++i)
            m_tried[i].row["predicted"] = numberOrNull(found[i].predicted);
        return std::move(m_tried);
    }

    Result<std::vector<Tried>> sweep(const std::vector<bool>& isFirst)
    {
        RatioRequest request{
            .isFirst = {}, .weights = {}, .meanBits = 0, .ratios = m_options.ratios, .tolerance = m_options.tolerance};
        double weights = 0;
        for (const FreeItem& free : m_problem.free()) {
            request.isFirst.push_back(isFirst[free.item]);
            request.weights.push_back(
                static_cast<double>(weightsOf(m_problem.model(), m_problem.table().items[free.item].layers)));
            weights += request.weights.back();
        }
        request.meanBits = static_cast<double>(m_problem.problem().budget) / weights;
        QL_TRY(points, sweepRatios(m_problem.problem(), m_terms, request, inner()));
        for (const RatioPoint& point : points) {
            QL_CHECK(measure(point.allocation.choice, points.size()));
            m_tried.back().row = {
                {"ratio", point.ratio}, {"bits_of_first", point.got.first}, {"bits_of_others", point.got.second}};
        }
        return std::move(m_tried);
    }

    Result<void> measure(std::span<const std::size_t> choice, std::size_t most)
    {
        QL_TRY(plan, m_problem.planOf(choice));
        if (const auto& budget = m_prepared.request.fileBytes) {
            QL_TRY(bytes, m_prepared.request.target->fileBytes(m_problem.model(), plan));
            m_bytesAbove = std::max<std::int64_t>(0, bytes - *budget);
            if (m_bytesAbove > 0)
                return refused("the files take " + std::to_string(m_bytesAbove) + " bytes more than --size");
        }
        m_console.status("running plan " + std::to_string(m_tried.size() + 1) + " of " + std::to_string(most));
        nameActivations(plan, m_prepared.activations);
        QL_TRY(measured, m_measurer.measure(plan));
        m_tried.push_back({.plan = std::move(plan), .measured = measured, .row = Json::object()});
        return {};
    }
    /// Progress is that of the plans that run.
    JobContext inner() const { return JobContext(m_console.context().executor(), m_console.context().stopToken()); }

    Console& m_console;
    const Options& m_options;
    const PreparedSolve& m_prepared;
    PlanProblem& m_problem;
    JointTerms m_terms;
    PlanMeasurer& m_measurer;
    std::vector<Tried> m_tried;
    std::int64_t m_bytesAbove = 0; // of the last plan, which was not run
};

Result<int> run(Console& console, const Options& options)
{
    const bool isSweep = options.by == kRatios;
    if (isSweep == options.first.empty())
        return usageError(isSweep ? "--by ratios takes the layers of one group: --first 'attn*'"
                                  : "--first is of --by ratios; leave it out");
    if (!isSweep && !options.firstMetric.empty())
        return usageError("--first-metric is of --by ratios; leave it out");
    QL_CHECK(options.solve.checkBudget());
    QL_TRY(measuring, options.measuring.open(console));
    const Model& model = measuring->model();
    const Activations* const activations = measuring->opened.activations.get();
    SolveOptions solve = options.solve;
    solve.runtime = options.measuring.runtime;
    QL_TRY(prepared, prepareSolve(console, model, solve, measuring->target, activations));
    QL_CHECK(solve.losses.checkRounding(prepared.runtime, solve.runtime));
    if (isSweep && (!prepared.request.bitsPerWeight || prepared.request.fileBytes))
        return usageError("--by ratios splits bits per weight: give --bpw, and leave --size out");
    std::vector<bool> isFirst;
    if (isSweep) {
        QL_TRY(group, firstGroup(model, options, *prepared.table));
        isFirst = std::move(group);
    }
    if (!options.firstMetric.empty()) {
        solve.metric = options.firstMetric;
        QL_TRY(its, prepareSolve(console, model, solve, measuring->target, activations));
        const std::size_t columns = prepared.table->candidates.size();
        for (std::size_t i = 0; i < isFirst.size(); ++i)
            for (std::size_t c = 0; isFirst[i] && c < columns; ++c)
                prepared.table->costs[i * columns + c] = its.table->at(i, c);
    }
    QL_TRY(problem, problemOf(model, prepared.request, console.context()));
    PlanMeasurer measurer = measuring->measurer(console.context());
    Searching searching(console, options, prepared, problem, measurer);
    QL_TRY(tried, searching.run(isFirst));

    const CostTable& table = *prepared.table;
    const bool isSum = options.firstMetric.empty(); // of one unit
    const auto best = static_cast<std::size_t>(
        std::ranges::min_element(tried, {}, [](const Tried& one) { return one.measured.kld.value; }) - tried.begin());
    std::vector<PredictionRecord> records;
    Json rows = Json::array();
    for (std::size_t i = 0; i < tried.size(); ++i) {
        const Tried& one = tried[i];
        Json row{{"number", i}};
        row.update(one.row);
        row["bits_per_weight"] = bitsPerWeight(model, one.plan, prepared.request.planLayers);
        if (measuring->target) {
            QL_TRY(bytes, measuring->target->profile.fileBytes(model, one.plan));
            row["file_bytes"] = bytes;
        }
        if (isSum)
            row["sum_" + table.metric] = numberOrNull(predictedSum(table, one.plan, prepared.couplings).sum);
        row["kld"] = numberOrNull(one.measured.kld.value);
        row["kld_window_error"] = numberOrNull(one.measured.kld.windowError);
        if (one.measured.floor != 0)
            row["floor"] = one.measured.floor;
        rows.push_back(std::move(row));
        if (isSum && table.unit == kNatsPerToken) {
            const MeasuredKld besideSum{.kld = one.measured.kld,
                                        .floor = prepared.runtime.empty() ? one.measured.floor : 0}; // in the sum
            records.push_back(measurer.record(table, one.plan, besideSum, prepared.couplings));
            records.back().losses = prepared.lossesName;
        }
    }
    QL_CHECK(measuring->keep(std::move(records)));
    QL_CHECK(writePlan(tried[best].plan, model, options.out));
    Json document{{"plan", options.out},
                  {"by", options.by},
                  {"metric", table.metric},
                  {"windows", measuring->windows.count()},
                  {"context", measuring->windows.length},
                  {"best", best},
                  {"kld", numberOrNull(tried[best].measured.kld.value)}};
    if (!isSweep)
        document["kld_of_least_sum"] = numberOrNull(tried.front().measured.kld.value);
    document["unit"] = kNatsPerToken;
    document["plans"] = std::move(rows);
    console.show(document);
    return 0;
}

} // namespace

extern const Command search_;
const Command search_{
    "search", "find a plan by running plans: evolution by a predictor fitted on them, or ratios of two groups' bits",
    [](CLI::App& app) -> CommandRun {
        const auto options = std::make_shared<Options>();
        std::vector<std::string> ids;
        for (const PlanSearch& search : planSearches())
            ids.emplace_back(search.id);
        options->measuring.declare(app, "--study");
        app.add_option("--by", options->by, "evolution or ratios (qloupe list solvers --explain evolution)")
            ->capture_default_str()
            ->check(CLI::IsMember(ids));
        options->solve.limits.declareBudget(app);
        options->solve.declareTable(app);
        app.add_option("--start", options->search.start,
                       "evolution: plans that are run before the predictor is fitted: the one of the least sum, "
                       "couplings of --losses included, and others of losses drawn around")
            ->capture_default_str()
            ->check(atLeast(1));
        app.add_option("--steps", options->search.steps,
                       "evolution: plans that are run after, each the best by the predictor fitted on those before")
            ->capture_default_str()
            ->check(atLeast(0));
        app.add_option("--seed", options->search.evolution.seed, "evolution: of what is drawn")->capture_default_str();
        app.add_option("--first", options->first, "ratios: layers of the first group (glob or role); may be repeated");
        app.add_option("--first-metric", options->firstMetric,
                       "ratios: metric of the first group, where the two groups' losses do not compare")
            ->excludes(app.get_option("--losses"));
        app.add_option("--ratios", options->ratios, "ratios: bits of the first group over those of the others")
            ->delimiter(',')
            ->capture_default_str()
            ->check(above(0));
        app.add_option("--tolerance", options->tolerance, "ratios: bits per weight by which a group may miss its share")
            ->capture_default_str()
            ->check(above(0));
        app.add_option("--out", options->out, "where the plan with the least measured KLD goes (JSON)")->required();
        app.footer(
            "Of the limits one at least is a budget: --bpw, --size, --vram …; --by ratios takes --bpw. Memory of "
            "two devices is split as it is best for the sum of losses. --max-loss is for qloupe solve, as here "
            "the loss is measured.\n"
            "The least of many measured values is flattering: validate the plan on text that the search did "
            "not see.");
        return [options](Console& console) { return run(console, *options); };
    }};

} // namespace ql::cli::commands
