// SPDX-License-Identifier: GPL-3.0-or-later
#include "app/cli/command.h"
#include "app/cli/measuring_options.h"
#include "app/cli/number_check.h"
#include "core/allocation/sample_plans.h"
#include "core/base/text.h"
#include "core/sensitivity/correlation.h"
#include "core/sensitivity/plan_prediction.h"
#include "core/sensitivity/proxy_search.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cmath>
#include <limits>

namespace ql::cli::commands {

namespace {

using Json = nlohmann::ordered_json;

constexpr int kTestPlans = 10; // of each kind
constexpr std::uint64_t kRandomDraws = 40;

struct Options {
    MeasuringOptions measuring;
    CandidatesOption candidates;
    MetricsOption metrics;
    std::vector<double> bitsPerWeight{3.5, 4, 4.5, 5};
    int plans = 40;
    std::uint64_t seed = 1;
    bool tests = false;
    bool search = false;
};

/// A plan that was run.
struct Point {
    SampledPlan sample;
    bool isTest = false;
    MeasuredKld measured;
};

/// What a sum of losses is to tell.
double excessOf(const Point& point)
{
    return point.measured.kld.value - point.measured.floor;
}

/// What is summed for plans: by the metrics that were chosen, the most telling first, and by bits.
struct Tables {
    std::vector<CostTable> metrics;
    CostTable size;
};

Result<Tables> tablesOf(Console& console, const Model& model, const Options& options, const Target* target,
                        const Activations* activations, ResultSink& sink)
{
    QL_TRY(request, measureRequest(model, options.candidates, target, activations));
    request.sink = &sink;
    QL_TRY(metrics, options.metrics.choose(activations));
    QL_TRY(size, findMetric("size"));
    request.metrics = std::move(metrics);
    std::erase(request.metrics, size);
    if (request.metrics.empty())
        return usageError("--metrics names none but size, which the others are compared with anyway");
    request.metrics.push_back(size);
    console.status("measuring " + std::to_string(request.layers.size()) + " layers × " +
                   std::to_string(request.candidates.size()) + " candidates by " +
                   std::to_string(request.metrics.size()) + " metrics");
    const JobContext inner(console.context().executor(), console.context().stopToken());
    std::vector<Measurement> cells;
    QL_CHECK(measure(
        model, request, [&](const Measurement& cell) { cells.push_back(cell); }, inner));
    Tables tables;
    tables.size = makeCostTable(model, request, request.metrics.size() - 1, cells);
    for (std::size_t m = request.metrics.size() - 1; m-- > 0;)
        tables.metrics.push_back(makeCostTable(model, request, m, cells));
    return tables;
}

/// Up to `count` that are not there yet.
Result<void> append(const Model& model, const SampleRequest& request, SampleKind kind, int count, bool isTest,
                    std::vector<Point>& points, const JobContext& context)
{
    QL_TRY(samples, samplePlans(model, request, kind, 2 * count, context));
    int added = 0;
    for (SampledPlan& sample : samples)
        if (added < count &&
            std::ranges::none_of(points, [&](const Point& point) { return point.sample.plan == sample.plan; })) {
            points.push_back({.sample = std::move(sample), .isTest = isTest, .measured = {}});
            ++added;
        }
    return {};
}

/// Four in ten random, three solved, two edited, one changed in one layer. Test plans are of other draws and sizes.
Result<std::vector<Point>> samplesOf(const Model& model, const Options& options, const Target* target,
                                     std::span<const CostTable> tables, const JobContext& context)
{
    SampleRequest request{.tables = tables,
                          .target = target ? &target->profile : nullptr,
                          .bitsPerWeight = options.bitsPerWeight,
                          .seed = options.seed};
    std::vector<Point> points;
    const int solved = options.plans * 3 / 10;
    const int edited = options.plans * 2 / 10;
    const int single = options.plans / 10;
    QL_CHECK(
        append(model, request, SampleKind::random, options.plans - solved - edited - single, false, points, context));
    QL_CHECK(append(model, request, SampleKind::solved, solved, false, points, context));
    QL_CHECK(append(model, request, SampleKind::edited, edited, false, points, context));
    QL_CHECK(append(model, request, SampleKind::single, single, false, points, context));
    if (!options.tests)
        return points;
    request.seed = options.seed + 1;
    QL_CHECK(append(model, request, SampleKind::random, kTestPlans, true, points, context));
    QL_CHECK(append(model, request, SampleKind::edited, kTestPlans, true, points, context));
    const auto [least, most] = std::ranges::minmax(options.bitsPerWeight);
    request.bitsPerWeight.clear();
    for (int i = 0; i < 2 * kTestPlans; ++i) // the given sizes are where the fitted plans are; all over the range
        request.bitsPerWeight.push_back(least + (most - least) * (i * 7 % (2 * kTestPlans) + 0.37) / (2 * kTestPlans));
    request.tables = tables.first(1);
    QL_CHECK(append(model, request, SampleKind::solved, kTestPlans, true, points, context));
    return points;
}

Json correlationJson(const MetricCorrelation& correlation)
{
    return {{"metric", correlation.metric},
            {"plans", correlation.plans},
            {"spearman", numberOrNull(correlation.spearman)},
            {"spearman_low", numberOrNull(correlation.spearmanInterval.low)},
            {"spearman_high", numberOrNull(correlation.spearmanInterval.high)},
            {"kendall", numberOrNull(correlation.kendall)},
            {"kendall_low", numberOrNull(correlation.kendallInterval.low)},
            {"kendall_high", numberOrNull(correlation.kendallInterval.high)},
            {"pearson_log", numberOrNull(correlation.pearsonLog)}};
}

class Bench {
public:
    Bench(const Model& model, const Options& options, Tables tables, std::vector<Point> points)
        : m_model(model),
          m_options(options),
          m_tables(std::move(tables.metrics)),
          m_size(std::move(tables.size)),
          m_points(std::move(points))
    {}

    Result<void> run(Console& console, PlanMeasurer& measurer)
    {
        for (std::size_t i = 0; i < m_points.size(); ++i) {
            console.status("running plan " + std::to_string(i + 1) + " of " + std::to_string(m_points.size()));
            QL_TRY(measured, measurer.measure(m_points[i].sample.plan));
            m_points[i].measured = measured;
        }
        for (const CostTable& table : m_tables)
            m_correlations.push_back(correlationOf(table.metric, sums(table), measured()));
        m_baselines.push_back(correlationOf(m_size.metric, sums(m_size), measured()));
        std::vector<MetricCorrelation> draws;
        for (std::uint64_t draw = 0; draw < kRandomDraws; ++draw) {
            QL_CHECK(console.context().checkStop());
            draws.push_back(correlationOf("random", sums(randomLosses(m_size, draw)), measured(), {.draws = 1}));
        }
        m_baselines.push_back(meanOfDraws("random", draws, BootstrapSettings().level));
        return {};
    }

    Json show() const
    {
        Json rows = Json::array();
        for (const auto* list : {&m_correlations, &m_baselines})
            for (const MetricCorrelation& correlation : *list)
                rows.push_back(correlationJson(correlation));
        Json document{{"plans", m_points.size()}, {"correlations", std::move(rows)}};
        if (const auto best = bestCorrelation(m_correlations)) {
            const MetricCorrelation& its = m_correlations[*best];
            document["recommended"] = its.metric;
            document["evidence"] = "Spearman " + formatFixed(its.spearman, 3) + " (90 % of bootstrap draws " +
                                   formatFixed(its.spearmanInterval.low, 3) + " to " +
                                   formatFixed(its.spearmanInterval.high, 3) + ") over " + std::to_string(its.plans) +
                                   " plans";
        }
        return document;
    }

    /// Coverage of intervals that were fitted on the plans that are no tests, of every metric in nats per token.
    Json intervals() const
    {
        Json rows = Json::array();
        for (const CostTable& table : m_tables) {
            if (table.unit != kNatsPerToken)
                continue;
            std::vector<MeasuredPlan> fitted;
            for (const Point& point : m_points)
                if (!point.isTest)
                    fitted.push_back(measuredPlan(table, point));
            LossModelSettings settings;
            settings.roles = roleCount(sharesOf(m_model, table, m_points.front().sample.plan).groups);
            const LossModel model(fitted, settings);
            std::vector<double> widths;
            std::map<SampleKind, std::pair<int, int>> heldOf; // of how many
            int held = 0;
            for (const Point& point : m_points) {
                if (!point.isTest)
                    continue;
                const MeasuredPlan plan = measuredPlan(table, point);
                const Prediction prediction = model.predict(plan.predicted, 0, plan.shares);
                const bool isHeld = prediction.holds(point.measured.kld.value);
                held += isHeld ? 1 : 0;
                heldOf[point.sample.kind].first += isHeld ? 1 : 0;
                ++heldOf[point.sample.kind].second;
                widths.push_back((prediction.high - prediction.low) / 2 / point.measured.kld.value);
            }
            std::ranges::sort(widths);
            Json row{{"metric", table.metric},
                     {"fitted_plans", model.planCount()},
                     {"test_plans", widths.size()},
                     {"inside", held},
                     {"median_half_width", widths.empty() ? Json() : numberOrNull(widths[widths.size() / 2])}};
            for (const auto& [kind, counts] : heldOf)
                row["inside_" + std::string(word(kind))] =
                    std::to_string(counts.first) + " of " + std::to_string(counts.second);
            rows.push_back(std::move(row));
        }
        return rows;
    }

    Json rows() const
    {
        Json rows = Json::array();
        for (const Point& point : m_points) {
            Json row{{"kind", word(point.sample.kind)},
                     {"metric", point.sample.metric},
                     {"test", point.isTest},
                     {"bits_per_weight", point.sample.bitsPerWeight},
                     {"kld", numberOrNull(point.measured.kld.value)},
                     {"kld_window_error", numberOrNull(point.measured.kld.windowError)}};
            if (point.measured.floor != 0)
                row["floor"] = point.measured.floor;
            for (const CostTable& table : m_tables)
                row["sum_" + table.metric] = numberOrNull(predictLoss(table, point.sample.plan));
            rows.push_back(std::move(row));
        }
        return rows;
    }

    /// Half of the plans judge what was found on the others.
    Result<Json> search(const JobContext& context) const
    {
        ProxyProblem found = problem(0);
        const ProxyProblem judged = problem(1);
        QL_TRY(result,
               searchProxy(found, {.population = 32, .generations = 24, .tournament = 4, .seed = m_options.seed},
                           context));
        const std::vector<double> sums = proxySums(result.expression, judged);
        return Json{{"expression", printProxy(result.expression, found)},
                    {"spearman", result.spearman},
                    {"best_metric_alone", result.bestSeed},
                    {"spearman_of_other_plans", sums.empty() ? Json() : numberOrNull(spearman(sums, judged.measured))},
                    {"dropped", result.dropped}};
    }

    std::vector<PredictionRecord> records(const PlanMeasurer& measurer) const
    {
        std::vector<PredictionRecord> records;
        for (const CostTable& table : m_tables)
            for (const Point& point : m_points)
                if (table.unit == kNatsPerToken)
                    records.push_back(measurer.record(table, point.sample.plan, point.measured));
        return records;
    }

private:
    std::vector<double> measured() const
    {
        std::vector<double> values;
        for (const Point& point : m_points)
            values.push_back(excessOf(point));
        return values;
    }
    std::vector<double> sums(const CostTable& table) const
    {
        std::vector<double> values;
        for (const Point& point : m_points)
            values.push_back(predictLoss(table, point.sample.plan));
        return values;
    }
    MeasuredPlan measuredPlan(const CostTable& table, const Point& point) const
    {
        MeasuredPlan plan{.predicted = predictedSum(table, point.sample.plan),
                          .measured = point.measured.kld.value,
                          .standardError = 0,
                          .shares = sharesOf(m_model, table, point.sample.plan).shares};
        plan.predicted.floor = point.measured.floor;
        return plan;
    }
    ProxyProblem problem(std::size_t half) const
    {
        ProxyProblem problem;
        const CostTable& any = m_tables.front();
        for (const CostTable& table : m_tables) {
            problem.inputs.push_back(table.metric);
            std::vector<double>& cells = problem.cells.emplace_back();
            for (const Cost& cost : table.costs)
                cells.push_back(std::isnan(cost.loss) ? 0 : cost.loss);
        }
        problem.inputs.emplace_back("bits");
        std::vector<double>& bits = problem.cells.emplace_back();
        for (const Cost& cost : any.costs)
            bits.push_back(static_cast<double>(cost.payloadBits));
        for (std::size_t i = half; i < m_points.size(); i += 2) {
            std::vector<std::size_t>& cells = problem.plans.emplace_back();
            for (std::size_t item = 0; item < any.items.size(); ++item) {
                const auto layer = static_cast<std::size_t>(any.items[item].layers.front());
                if (const auto column = any.columnOf(item, m_points[i].sample.plan.candidates[layer]))
                    cells.push_back(item * any.candidates.size() + *column);
            }
            problem.measured.push_back(excessOf(m_points[i]));
        }
        return problem;
    }

    const Model& m_model;
    const Options& m_options;
    std::vector<CostTable> m_tables;
    CostTable m_size;
    std::vector<Point> m_points;
    std::vector<MetricCorrelation> m_correlations, m_baselines;
};

Result<int> run(Console& console, const Options& options)
{
    QL_TRY(measuring, options.measuring.open(console));
    const Model& model = measuring->model();
    QL_TRY(tables, tablesOf(console, model, options, measuring->target, measuring->opened.activations.get(),
                            *measuring->study.study));
    QL_TRY(points, samplesOf(model, options, measuring->target, tables.metrics, console.context()));
    Bench bench(model, options, std::move(tables), std::move(points));
    PlanMeasurer measurer = measuring->measurer(console.context());
    QL_CHECK(bench.run(console, measurer));
    QL_CHECK(measuring->keep(bench.records(measurer)));
    Json document = bench.show();
    document["windows"] = measuring->windows.count();
    document["context"] = measuring->windows.length;
    if (options.tests)
        document["intervals"] = bench.intervals();
    if (options.search) {
        QL_TRY(found, bench.search(console.context()));
        document["search"] = std::move(found);
    }
    document["measured"] = bench.rows();
    console.show(document);
    return 0;
}

} // namespace

extern const Command correlate_;
const Command correlate_{
    "correlate", "which metric tells plans apart: predicted sums against the measured KLD of sampled plans",
    [](CLI::App& app) -> CommandRun {
        const auto options = std::make_shared<Options>();
        options->measuring.declare(app, "--out");
        options->candidates.declare(app, "int3:g64,int4:g64,int5:g64,int8:g64");
        options->metrics.declare(app);
        app.add_option("--plans", options->plans, "how many plans: random ones, solvers' and edits of these")
            ->capture_default_str()
            ->check(atLeast(4));
        app.add_option("--bpw", options->bitsPerWeight, "their sizes in bits per weight, separated by commas")
            ->delimiter(',')
            ->capture_default_str()
            ->check(above(0));
        app.add_option("--seed", options->seed, "of what is drawn")->capture_default_str();
        app.add_flag(
            "--intervals", options->tests,
            "measure 30 more plans (random, solved at other sizes, edits of one) and count how many lie in the "
            "90 % intervals fitted on the others");
        app.add_flag("--search", options->search,
                     "search for an expression of the metrics that orders the plans better; half of them judge it");
        app.footer(
            "Figures: spearman, kendall (tau-b) of predicted sums and measured KLD above the floor of rounded "
            "activations "
            "(--as, +a:) over all plans, pearson_log of their logarithms; low and high hold 90 % of bootstrap draws "
            "over plans. size (bits taken away) "
            "and random (a drawn loss for every layer and candidate; mean and 90 % of 40 draws) are what a metric has "
            "to beat.");
        return [options](Console& console) { return run(console, *options); };
    }};

} // namespace ql::cli::commands
