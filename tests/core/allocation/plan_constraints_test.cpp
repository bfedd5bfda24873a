// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/plan_limits.h"
#include "core/allocation/uniform.h"
#include "core/base/text.h"
#include "tests/support/measured_model.h"
#include "tests/support/temporary_folder.h"

#include <QTest>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>

using namespace ql;
using namespace ql::test;

namespace {

/// Every plan of the table's columns, by its loss; `fits` says which count, of those that are better or, where asked
/// for, of all.
template<typename Fits>
double bestOfAll(const Measured& measured, const Fits& fits, bool asksOfAll = false)
{
    const std::size_t columns = measured.table.candidates.size();
    double best = std::numeric_limits<double>::infinity();
    std::size_t total = 1;
    for (std::size_t i = 0; i < measured.table.items.size(); ++i)
        total *= columns;
    for (std::size_t number = 0; number < total; ++number) {
        Plan plan = keepPlan(measured.model);
        std::size_t rest = number;
        for (std::size_t i = 0; i < measured.table.items.size(); ++i, rest /= columns)
            for (const std::int64_t layer : measured.table.items[i].layers)
                plan.candidates[static_cast<std::size_t>(layer)] = measured.table.candidates[rest % columns];
        const double loss = predictLoss(measured.table, plan);
        if ((asksOfAll || loss < best) && fits(plan))
            best = loss;
    }
    return best;
}

std::vector<std::int64_t> ofRole(const Model& model, std::string_view role)
{
    std::vector<std::int64_t> found;
    for (const std::int64_t layer : model.quantizableLayers())
        if (model.layers[static_cast<std::size_t>(layer)].role == role)
            found.push_back(layer);
    return found;
}

double operations(const Model& model, const Plan& plan)
{
    double sum = 0;
    for (const std::int64_t layer : model.quantizableLayers())
        sum += operationsOf(model, model.layers[static_cast<std::size_t>(layer)],
                            plan.candidates[static_cast<std::size_t>(layer)]);
    return sum;
}

} // namespace

class PlanConstraintsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void operationsAreProductsOfBits()
    {
        const Model model = tinyModel(1, 32);
        const Layer& layer = model.layers[static_cast<std::size_t>(ofRole(model, "q_proj").front())];
        const auto numel = static_cast<double>(layer.numel());
        QCOMPARE(operationsOf(model, layer, parseCandidate("int4:g16").value()), numel * 4 * 16);
        QCOMPARE(operationsOf(model, layer, parseCandidate("int8:channel+a:int8:token").value()), numel * 8 * 8);
        QCOMPARE(operationsOf(model, layer, parseCandidate("bf16").value()), numel * 16 * 16);
        QCOMPARE(operationsOf(model, layer, parseCandidate("keep").value()),
                 numel * info(layer.dtype).bitsPerElement() * 16);
    }

    /// Each layer counts as often as it is multiplied by.
    void operationsOfManyPlaces()
    {
        const Measured small = measured(1, 32, nullptr, "int3:g16 bf16");
        PlanConstraints constraints;
        constraints.operations = 1e15;
        const PlanProblem problem(small.model, small.table, nullptr, keepPlan(small.model));
        const auto once = sideConstraints(problem, constraints);
        QVERIFY(once->at(0).name.ends_with("a token"));
        constraints.places.assign(small.model.layers.size(), 1);
        const std::int64_t layer = ofRole(small.model, "q_proj").front();
        constraints.places[static_cast<std::size_t>(layer)] = 49;
        const auto places = sideConstraints(problem, constraints);
        QVERIFY(places->at(0).name.ends_with("a picture"));
        for (std::size_t i = 0; i < problem.free().size(); ++i) {
            const bool isIt = small.table.items[problem.free()[i].item].layers.front() == layer;
            for (std::size_t o = problem.problem().offsets[i]; o < problem.problem().offsets[i + 1]; ++o)
                QCOMPARE(places->at(0).amounts[o], (isIt ? 49 : 1) * once->at(0).amounts[o]);
        }
    }

    /// The model is run for the first answer only: a later one is there at once, even for a job that is being stopped.
    void placesOfAPictureAreCountedOnce()
    {
        Executor executor(1);
        const JobContext context(executor);
        const auto vit = openModel(std::filesystem::path(QL_TEST_DATA "/frontends/vit"), context).value();
        PlaceCount places;
        PlanConstraints constraints;
        QVERIFY(places.fill(*vit, constraints, context) && constraints.places.empty()); // nothing asks for them
        constraints.operations = 1e12;
        QVERIFY(places.fill(*vit, constraints, context));
        QVERIFY(std::ranges::max(constraints.places) > 1);
        PlanConstraints counted;
        counted.operations = 1e12;
        QVERIFY(countPlaces(*vit, counted, context));
        QCOMPARE(constraints.places, counted.places);
        std::stop_source stop;
        stop.request_stop();
        PlanConstraints again;
        again.operations = 1e12;
        QVERIFY(places.fill(*vit, again, JobContext(executor, stop.get_token())));
        QCOMPARE(again.places, counted.places);
    }

    void operationsAndBitsTogether()
    {
        const Measured small = measured(1, 32, nullptr, "int3:g16 int5:g16 bf16");
        BalanceRequest request = requestFor(small);
        request.bitsPerWeight = 9;
        const auto free = balanced(small, request);
        QVERIFY(free);
        request.constraints.operations = 0.85 * operations(small.model, free->plan);
        const auto limited = balanced(small, request);
        QVERIFY2(limited, limited ? "" : describe(limited.error()).c_str());
        QVERIFY(operations(small.model, limited->plan) <= *request.constraints.operations);
        QCOMPARE(limited->sides.size(), std::size_t{1});
        QVERIFY(limited->sideSums[0] <= limited->sides[0].atMost);
        const double best = bestOfAll(small, [&](const Plan& plan) {
            return bitsPerWeight(small.model, plan) <= 9 &&
                   operations(small.model, plan) <= *request.constraints.operations;
        });
        QVERIFY(std::abs(limited->predictedLoss - best) <= 1e-12 * best);
        QVERIFY(limited->predictedLoss > free->predictedLoss);

        const auto uniform = bestUniform(small.model, request, *limited);
        QVERIFY(uniform);
        QVERIFY(operations(small.model, uniform->plan) <= *request.constraints.operations);
        QVERIFY(uniform->predictedLoss >= limited->predictedLoss);

        request.solver = "exact";
        QCOMPARE(balanced(small, request).error().code, Errc::usage);
        request.solver.clear();
        request.constraints.operations = 1;
        const auto refused = balanced(small, request);
        QCOMPARE(refused.error().code, Errc::refused);
        QVERIFY(refused.error().where.find("operations") != std::string::npos);
    }

    void groupsHaveBudgetsOfTheirOwn()
    {
        const Measured small = measured(1, 32, nullptr, "int3:g16 int5:g16 bf16");
        BalanceRequest request = requestFor(small);
        request.bitsPerWeight = 10;
        const auto layers = ofRole(small.model, "down_proj");
        request.constraints.groups = {{.name = "down_proj", .layers = layers, .bitsPerWeight = 6.5, .tolerance = {}}};
        const auto result = balanced(small, request);
        QVERIFY2(result, result ? "" : describe(result.error()).c_str());
        QVERIFY(bitsPerWeight(small.model, result->plan, layers) <= 6.5);
        QVERIFY(bitsPerWeight(small.model, result->plan) <= 10);
        request.constraints.groups[0].tolerance = 0.05;
        QCOMPARE(balanced(small, request).error().code, Errc::refused); // 5, 7 or 16 bits
        request.constraints.groups[0].bitsPerWeight = 7;
        const auto band = balanced(small, request);
        QVERIFY(band);
        QCOMPARE(printCandidate(band->plan.candidates[static_cast<std::size_t>(layers[0])]), std::string("int5:g16"));
    }

    void latencyOfATable()
    {
        const TemporaryFolder folder;
        const auto path = folder.path() / "latency.csv";
        std::ofstream(path) << "layer,candidate,ms\n*embed*,int3:g16,1\n*embed*,bf16,1 # the embedding\n"
                               "q_proj,int3:g16,0.5\nq_proj,bf16,4\r\n\n*,int3:g16,1\n*,bf16,2\n";
        const auto table = readLatencyTable(path);
        QVERIFY2(table, table ? "" : describe(table.error()).c_str());
        QCOMPARE(table->lines.size(), std::size_t{6});
        const Measured small = measured(1, 32, nullptr, "int3:g16 bf16");
        const Layer& q = small.model.layers[static_cast<std::size_t>(ofRole(small.model, "q_proj").front())];
        QCOMPARE(table->of(q, parseCandidate("bf16").value()).value(), 4.0);
        const auto missing = table->of(q, parseCandidate("int5:g16").value());
        QCOMPARE(missing.error().code, Errc::usage);
        QVERIFY(missing.error().what.find("int5:g16") != std::string::npos);

        const auto timeOf = [&](const Plan& plan) {
            double sum = 0;
            for (const std::int64_t layer : small.model.quantizableLayers())
                sum += table
                           ->of(small.model.layers[static_cast<std::size_t>(layer)],
                                plan.candidates[static_cast<std::size_t>(layer)])
                           .value();
            return sum;
        };
        BalanceRequest request = requestFor(small);
        request.constraints.latency = table.value();
        request.constraints.milliseconds =
            0.6 * timeOf(uniformPlan(small.model, parseCandidate("bf16").value())); // no size at all
        const auto result = balanced(small, request);
        QVERIFY2(result, result ? "" : describe(result.error()).c_str());
        QVERIFY(timeOf(result->plan) <= request.constraints.milliseconds);
        const double best =
            bestOfAll(small, [&](const Plan& plan) { return timeOf(plan) <= request.constraints.milliseconds; });
        QVERIFY(std::abs(result->predictedLoss - best) <= 1e-12 * best);

        std::ofstream(path) << "a,int4\n";
        QCOMPARE(readLatencyTable(path).error().code, Errc::badInput);
        std::ofstream(path) << "a,int4:g16,1\nb,int4:g16,fast\n";
        const auto bad = readLatencyTable(path);
        QVERIFY(bad.error().where.find("line 2") != std::string::npos);
    }

    /// Couplings of layers are part of what is minimised, also of tied and of locked ones.
    void couplingsAreSolvedJointly()
    {
        Measured small = measured(1, 32, nullptr, "int3:g16 bf16");
        double mean = 0;
        for (const Cost& cost : small.table.costs)
            mean += cost.loss / static_cast<double>(small.table.costs.size());
        std::vector<LayerCoupling> couplings;
        const CounterRng rng(4);
        std::uint64_t next = 0;
        for (std::size_t i = 0; i + 1 < small.table.items.size(); ++i)
            for (const Candidate& first : small.table.candidates)
                for (const Candidate& second : small.table.candidates)
                    couplings.push_back(
                        {.layers = {small.table.items[i].layers.front(), small.table.items[i + 1].layers.front()},
                         .candidates = {first, second},
                         .loss = mean * rng.normal(next++),
                         .standardError = 0});
        BalanceRequest request = requestFor(small);
        request.bitsPerWeight = 8;
        const double additive = predictLoss(small.table, balanced(small, request)->plan) +
                                plannedCoupling(couplings, balanced(small, request)->plan);
        const auto locked = static_cast<std::size_t>(small.table.items[2].layers.front());
        for (const bool isLocked : {false, true}) {
            if (isLocked) {
                request.start.candidates[locked] = small.table.candidates[1];
                request.start.locked[locked] = true;
            }
            request.couplings = couplings;
            const auto result = balanced(small, request);
            QVERIFY2(result, result ? "" : describe(result.error()).c_str());
            QCOMPARE(result->couplingsLeftOut, std::size_t{0});
            double best = std::numeric_limits<double>::infinity();
            bestOfAll(
                small,
                [&](const Plan& plan) {
                    if (bitsPerWeight(small.model, plan) <= 8 &&
                        (!isLocked || plan.candidates[locked] == small.table.candidates[1]))
                        best = std::min(best, predictLoss(small.table, plan) + plannedCoupling(couplings, plan));
                    return false;
                },
                true);
            QVERIFY2(std::abs(result->predictedLoss - best) <= 1e-9 * mean,
                     qPrintable(QString::number((result->predictedLoss - best) / mean)));
            QVERIFY(std::abs(result->allocation.loss - best) <= 1e-9 * mean);
            QVERIFY(result->allocation.optimal);
            if (!isLocked)
                QVERIFY(result->predictedLoss <= additive + 1e-9 * mean);
        }
        // The least size within a loss, with the couplings, is that of all plans.
        const double most = balanced(small, request)->predictedLoss + 0.3 * mean;
        request.bitsPerWeight.reset();
        request.constraints.loss = most;
        const auto smallest = balanced(small, request);
        QVERIFY2(smallest, smallest ? "" : describe(smallest.error()).c_str());
        double leastBits = std::numeric_limits<double>::infinity();
        bestOfAll(
            small,
            [&](const Plan& plan) {
                if (plan.candidates[locked] == request.start.candidates[locked] &&
                    predictLoss(small.table, plan) + plannedCoupling(couplings, plan) <= most)
                    leastBits = std::min(leastBits, bitsPerWeight(small.model, plan));
                return false;
            },
            true);
        QCOMPARE(smallest->bitsPerWeight, leastBits);
        QVERIFY(smallest->allocation.optimal);
        QVERIFY(smallest->predictedLoss <= most + 1e-9 * mean);
        request.constraints.loss = most - 1e6 * mean;
        QCOMPARE(balanced(small, request).error().code, Errc::refused);
    }

    void leastSizeForALoss()
    {
        const Measured small = measured(1, 32, nullptr, "int3:g16 int5:g16 bf16");
        BalanceRequest request = requestFor(small);
        request.bitsPerWeight = 7;
        const auto there = balanced(small, request);
        request.bitsPerWeight.reset();
        request.constraints.loss = there->predictedLoss * 1.1;
        const auto result = balanced(small, request);
        QVERIFY2(result, result ? "" : describe(result.error()).c_str());
        QVERIFY(result->allocation.optimal);
        QVERIFY(result->predictedLoss <= *request.constraints.loss * (1 + 1e-12));
        // One bit less does not do.
        std::int64_t weights = 0;
        for (const std::int64_t layer : small.model.quantizableLayers())
            weights += small.model.layers[static_cast<std::size_t>(layer)].numel();
        request.constraints.loss.reset();
        request.bitsPerWeight = result->bitsPerWeight - 1.5 / static_cast<double>(weights);
        QVERIFY(balanced(small, request)->predictedLoss > there->predictedLoss * 1.1);
        request.bitsPerWeight.reset();
        request.constraints.loss = 1e-30;
        const auto refused = balanced(small, request);
        QCOMPARE(refused.error().code, Errc::refused);
    }

    /// What no choice changes is named, with its part; the limit is the one that was given.
    void whatIsFixedIsSaid()
    {
        const Measured small = measured(1, 32, nullptr, "int3:g16 bf16");
        BalanceRequest request = requestFor(small);
        const std::int64_t locked = ofRole(small.model, "q_proj").front();
        const auto index = static_cast<std::size_t>(locked);
        request.start.candidates[index] = parseCandidate("bf16").value();
        request.start.locked[index] = true;
        const double its = operationsOf(small.model, small.model.layers[index], request.start.candidates[index]);
        request.constraints.operations = its / 2;
        const Error error = balanced(small, request).error();
        QCOMPARE(error.code, Errc::refused);
        QVERIFY2(error.what.find(" of " + formatFixed(its / 2, 0)) != std::string::npos, error.what.c_str());
        QVERIFY2(error.what.find(formatFixed(its, 0) + " are fixed by " + std::string(kNotFree)) != std::string::npos,
                 error.what.c_str());

        request.constraints.operations.reset();
        request.constraints.loss = 1e-30;
        request.start.candidates[index] = parseCandidate("int3:g16").value();
        const Error loss = balanced(small, request).error();
        QVERIFY2(loss.what.find("locked layers lose") != std::string::npos, loss.what.c_str());
        QVERIFY2(loss.what.find("1e-30 asked for") != std::string::npos, loss.what.c_str());
    }

    void limitsAreLines()
    {
        const std::vector<Limit> limits{
            {LimitKind::memory, "6GB"}, {LimitKind::group, "*mlp*=4.5:0.02"}, {LimitKind::latencyTable, "a file.csv"}};
        QCOMPARE(parseLimits(printLimits(limits)), limits);
        QCOMPARE(parseLimits("unheard of\nvram\nbpw 4.5\n\n").size(), std::size_t{1});
        for (const LimitInfo& each : limitKinds()) {
            QVERIFY(&limitInfo(each.kind) == &each);
            QCOMPARE(parseLimits(std::string(each.word) + " x").at(0).kind, each.kind);
        }
        const Model model = tinyModel(1, 32);
        const auto refuses = [&](LimitKind kind, const char* text) {
            const auto checked = checkLimit(model, {kind, text});
            return !checked && checked.error().code == Errc::usage;
        };
        QVERIFY(refuses(LimitKind::memory, "much"));
        QVERIFY(refuses(LimitKind::loss, "-1"));
        QVERIFY(refuses(LimitKind::context, "0"));
        QVERIFY(refuses(LimitKind::group, "down_proj"));
        QVERIFY(refuses(LimitKind::group, "nothing*=4"));
        QVERIFY(refuses(LimitKind::tie, "nothing*"));
        QVERIFY(refuses(LimitKind::allow, "q_proj="));
        QVERIFY(checkLimit(model, {LimitKind::group, "down_proj=4.5:0.02"}));
        Plan plan = keepPlan(model);
        QVERIFY(pinLayers(model, "*q_proj*=int4:g16:s=f16", plan)); // candidates have equal signs, too
        QCOMPARE(std::ranges::count(plan.locked, true), std::ssize(ofRole(model, "q_proj")));
        // Roles are pinned, too.
        QVERIFY(pinLayers(model, "v_proj=int4:g16", plan));
        const std::vector<std::int64_t> values = ofRole(model, "v_proj");
        QVERIFY(!values.empty());
        for (const std::int64_t layer : values) {
            QVERIFY(plan.locked[static_cast<std::size_t>(layer)]);
            QVERIFY(plan.candidates[static_cast<std::size_t>(layer)] == parseCandidate("int4:g16").value());
        }
        QCOMPARE(std::ranges::count(plan.locked, true), std::ssize(ofRole(model, "q_proj")) + std::ssize(values));
        Plan all = keepPlan(model);
        QVERIFY(pinLayers(model, "*=int4:g16", all)); // but norms, which no plan decides
        QCOMPARE(std::ranges::count(all.locked, true), std::ssize(model.quantizableLayers()));
        for (const char* none : {"nothing=int4:g16", "*proj=int4:g16"}) { // a glob is of names
            const auto pinned = pinLayers(model, none, all);
            QVERIFY(!pinned && pinned.error().code == Errc::usage);
        }
        QVERIFY(checkLimit(model, {LimitKind::allow, "q_proj=int4:g16:s=f16,bf16"}));
        // A layer is meant by any of its names.
        Model aliased = tinyModel(1, 32);
        aliased.layers[static_cast<std::size_t>(ofRole(aliased, "up_proj").front())].aliases = {"spare.weight"};
        QVERIFY(checkLimit(aliased, {LimitKind::group, "spare*=4.5"}));
        Plan ofAliased = keepPlan(aliased);
        QVERIFY(pinLayers(aliased, "spare*=int4:g16", ofAliased));
        QCOMPARE(std::ranges::count(ofAliased.locked, true), 1);
        QVERIFY(refuses(LimitKind::group, "spare*=4.5"));
        // Halves of a whole.
        BalanceRequest request;
        QVERIFY(!setLimits(model, std::vector<Limit>{{LimitKind::secondMemory, "1GB"}}, request));
        QVERIFY(!setLimits(model, std::vector<Limit>{{LimitKind::latency, "5"}}, request));
        // Of several the last counts; what is not stated stays.
        request.bitsPerWeight = 5;
        QVERIFY(setLimits(model, std::vector<Limit>{{LimitKind::size, "1GB"}, {LimitKind::size, "2MB"}}, request));
        QCOMPARE(*request.fileBytes, 2'000'000);
        QCOMPARE(*request.bitsPerWeight, 5.0);
        // Pins are split as other limits are.
        for (const char* pin : {"*q_proj*", "=int4:g16", "*q_proj* = "}) {
            const auto pinned = pinLayers(model, pin, plan);
            QVERIFY(!pinned && pinned.error().code == Errc::usage);
            QVERIFY2(pinned.error().what.starts_with("takes LAYERS=CANDIDATE, as in "), pinned.error().what.c_str());
        }
        QVERIFY(pinLayers(model, " *k_proj* = int4:g16 ", plan));
    }

    void aSolvedPlanKeepsItsLimitsAndOthersAreTold()
    {
        const TemporaryFolder folder;
        const auto path = folder.path() / "latency.csv";
        std::ofstream(path) << "*,int3:g16,1\n*,int5:g16,2\n*,bf16,4\n";
        const Measured small = measured(1, 32, nullptr, "int3:g16 int5:g16 bf16");
        const Plan large = uniformPlan(small.model, parseCandidate("bf16").value());
        const double most = operations(small.model, large);
        const auto count = static_cast<double>(small.model.quantizableLayers().size());
        const std::vector<Limit> limits{{LimitKind::bitsPerWeight, "10"},
                                        {LimitKind::operations, std::to_string(0.6 * most)},
                                        {LimitKind::latency, std::to_string(3 * count)},
                                        {LimitKind::latencyTable, path.string()},
                                        {LimitKind::group, "down_proj=7:0.5"},
                                        {LimitKind::tie, "?*_proj*"},
                                        {LimitKind::tie, "[qk]_proj"},
                                        {LimitKind::allow, "o_proj=int3:g16"},
                                        {LimitKind::size, "1MB"}};
        std::vector<Limit> solvable = limits;
        std::erase(solvable, Limit{LimitKind::tie, "[qk]_proj"}); // matches no name
        std::erase(solvable, Limit{LimitKind::tie, "?*_proj*"});
        std::erase(solvable, Limit{LimitKind::size, "1MB"}); // there is no target
        solvable.push_back({LimitKind::tie, "*.[qk]_proj*"});
        BalanceRequest request = requestFor(small);
        Executor executor(1);
        const JobContext context(executor);
        PlaceCount places;
        const auto table = applyLimits(small.model, solvable, small.table, request, places, context);
        QVERIFY2(table, table ? "" : describe(table.error()).c_str());
        request.table = &*table;
        const auto result = balanced(small, request);
        QVERIFY2(result, result ? "" : describe(result.error()).c_str());
        const PlanMeasures measures{.fileBytes = {},
                                    .bitsPerWeight = bitsPerWeight(small.model, result->plan),
                                    .loss = result->predictedLoss,
                                    .lossUnit = small.table.unit};
        LatencyFile latencies;
        const auto usesOf = [&](const Plan& plan, const std::vector<Limit>& its, const PlanMeasures& known) {
            return limitUses(small.model, plan, nullptr, its, known, latencies, places, context).value();
        };
        const std::vector<LimitUse> solved = usesOf(result->plan, solvable, measures);
        for (const LimitUse& use : solved) {
            QVERIFY2(use.problem.empty(), use.problem.c_str());
            QCOMPARE(use.excess(), 0.0);
        }
        // What a plan of one candidate takes of them is known without solving.
        const auto uses = usesOf(large, limits, {.fileBytes = {}, .bitsPerWeight = 16, .loss = 0, .lossUnit = {}});
        QCOMPARE(uses.size(), limits.size());
        QCOMPARE(uses[0].used, 16.0);
        QCOMPARE(uses[0].excess(), 6.0);
        QCOMPARE(uses[1].used, most);
        QCOMPARE(uses[2].used, 4 * count);
        QCOMPARE(uses[2].excess(), count);
        QVERIFY(uses[3].problem.empty() && uses[3].excess() == 0);
        QCOMPARE(uses[4].used, 16.0);
        QCOMPARE(uses[4].excess(), 8.5);
        QCOMPARE(uses[5].used, 1.0);
        QVERIFY(!uses[6].problem.empty());
        QCOMPARE(uses[7].excess(), static_cast<double>(ofRole(small.model, "o_proj").size()));
        QVERIFY(!uses[8].problem.empty());
        const auto below = usesOf(uniformPlan(small.model, parseCandidate("int3:g16").value()),
                                  {{LimitKind::group, "down_proj=7:0.5"}}, measures);
        QCOMPARE(below[0].excess(), 1.5); // 3 bits and a float32 scale for 16 of them

        const auto bits = measuredUse(limits[0], {.fileBytes = {}, .bitsPerWeight = 16, .loss = 0, .lossUnit = {}});
        QVERIFY(bits && bits->excess() == 6);
        QVERIFY(!measuredUse(limits[1], measures)); // of a plan's operations nothing is known
        QVERIFY(!measuredUse(limits.back(), {})->problem.empty());
        std::stop_source stop;
        stop.request_stop();
        const auto stopped = limitUses(small.model, large, nullptr, limits, measures, latencies, places,
                                       JobContext(executor, stop.get_token()));
        QVERIFY(!stopped && stopped.error().code == Errc::cancelled);
        // The file is read again only once it is another.
        const auto read = latencies.read(path).value();
        QVERIFY(latencies.read(path).value() == read);
        std::ofstream(path) << "*,int3:g16,10\n*,int5:g16,20\n*,bf16,40\n";
        QVERIFY(latencies.read(path).value() != read);
        QCOMPARE(usesOf(large, limits, measures)[2].used, 40 * count);
        QVERIFY(!latencies.read(folder.path() / "none.csv"));
    }

    void nothingAskedForIsAnError()
    {
        const Measured small = measured(1, 32, nullptr, "int3:g16 bf16");
        QCOMPARE(balanced(small, requestFor(small)).error().code, Errc::usage);
    }
};

QTEST_APPLESS_MAIN(PlanConstraintsTest)
#include "plan_constraints_test.moc"
