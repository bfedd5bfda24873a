// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/plan/cost_table.h"
#include "core/plan/nearest_name.h"
#include "core/plan/plan_totals.h"
#include "tests/support/fused_target.h"
#include "tests/support/memory_model.h"

#include <QTemporaryDir>
#include <QTest>

#include <fstream>

using namespace ql;

namespace {

Candidate candidate(std::string_view text)
{
    auto parsed = parseCandidate(text);
    if (!parsed)
        qFatal("%s", describe(parsed.error()).c_str());
    return std::move(parsed).value();
}

/// A plan with a mixture of candidates and a few locks.
Plan mixedPlan(const Model& model)
{
    const std::vector<Candidate> mixture = parseCandidates("int4:g32 int8:channel@mse bf16 keep mxfp4").value();
    Plan plan = keepPlan(model);
    plan.target = "fused";
    for (std::size_t i = 0; i < model.layers.size(); ++i) {
        if (!model.layers[i].quantizable)
            continue;
        plan.candidates[i] = mixture[i % mixture.size()];
        plan.locked[i] = i % 4 == 0;
    }
    return plan;
}

std::string replaced(std::string text, const std::string& what, const std::string& with)
{
    const auto at = text.find(what);
    return at == std::string::npos ? std::string() : text.replace(at, what.size(), with);
}

} // namespace

class PlanTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void candidatesRoundTrip()
    {
        for (const char* text : {"int4:g128", "int4:g128@mse", "int4:g128:asym:s=f16", "gguf:q4_0@rtn:ggml", "bf16",
                                 "keep", "int8:channel+a:int8:tensor", "mxfp4", "nvfp4", "int3:g32@mse:steps=40",
                                 "int4:g128+cols16+lr8@gptq", "int8+cols4:over6+a:int8:token", "mxfp4+sparse1+lr2"}) {
            const Candidate parsed = candidate(text);
            const std::string printed = printCandidate(parsed);
            QCOMPARE(parsed, candidate(printed));
            QCOMPARE(printCandidate(candidate(printed)), printed);
        }
        QCOMPARE(printCandidate(candidate(" int4:g128@rtn ")), std::string("int4:g128"));
        for (const std::string& scheme : exampleSchemes())
            QCOMPARE(printCandidate(candidate(scheme)), printScheme(parseScheme(scheme).value()));
    }
    void badCandidatesAreNamed()
    {
        for (const char* text :
             {"", "@rtn", "int4:g128@", "int4:g128@nothing", "int99", "bf16@mse", "keep@mse", "int8+a:", "int8+a:keep",
              "int8+a:int8+lr8", "bf16+lr8", "int4+lr8@mse+lr4", "int4@rtn:nothing", "int4@rtn@mse", "+a:int8"}) {
            const auto parsed = parseCandidate(text);
            QVERIFY2(!parsed, text);
            QCOMPARE(parsed.error().code, Errc::usage);
            QVERIFY(parsed.error().where.find(text) != std::string::npos);
        }
        QCOMPARE(parseCandidates("int4:g64, int8:g64\nbf16").value().size(), std::size_t{3});
        QVERIFY(describe(parseCandidates("int4:g64,intX,bf16").error()).find("intX") != std::string::npos);
        QVERIFY(!parseCandidates(" , "));
        QVERIFY(!parseCandidates("int4:g64 int4:g64@rtn"));
    }

    void plansRoundTrip()
    {
        const Model model = test::tinyModel();
        const Plan plan = mixedPlan(model);
        const std::string text = printPlan(plan, model);
        const auto parsed = parsePlan(text, model);
        QVERIFY2(parsed, parsed ? "" : describe(parsed.error()).c_str());
        QCOMPARE(*parsed, plan);
        QCOMPARE(printPlan(*parsed, model), text);
        std::size_t last = 0;
        for (const Layer& layer : model.layers) { // the model's order
            const auto at = text.find('"' + layer.name + "\":");
            QCOMPARE(at != std::string::npos, layer.quantizable);
            QVERIFY(!layer.quantizable || at > last);
            last = layer.quantizable ? at : last;
        }
        const Model empty;
        QCOMPARE(parsePlan(printPlan(keepPlan(empty), empty), empty).value(), keepPlan(empty));
    }
    void layersThatAreNotNamedKeep()
    {
        const Model model = test::tinyModel();
        const auto plan = parsePlan(R"({"quantloupe_plan": 1, "candidates": {"head.weight": "int8:channel"}})", model);
        QVERIFY(plan);
        Plan expected = keepPlan(model);
        expected.candidates.back() = candidate("int8:channel");
        QCOMPARE(*plan, expected);
    }
    void strangeNamesSurvive()
    {
        Model model;
        test::addLayers(model, {{"a\"b\\c\n\x01", {4, 4}}, {"\xff\xfe.weight", {4, 4}}, {"größe", {4, 4}}});
        const Plan plan = uniformPlan(model, candidate("int4:tensor"));
        const auto parsed = parsePlan(printPlan(plan, model), model);
        QVERIFY2(parsed, parsed ? "" : describe(parsed.error()).c_str());
        QCOMPARE(*parsed, plan);
    }
    void wrongPlansAreErrors_data()
    {
        QTest::addColumn<QByteArray>("what");
        QTest::addColumn<QByteArray>("with");
        QTest::addColumn<QByteArray>("says");
        const auto row = [](const char* name, const char* what, const char* with, const char* says) {
            QTest::newRow(name) << QByteArray(what) << QByteArray(with) << QByteArray(says);
        };
        row("unknown layer", "\"head.weight\"", "\"haed.weight\"", "head.weight");
        row("layer of another model", "\"head.weight\"", "\"encoder.conv1.kernel\"", "another model");
        row("fingerprint", "0123456789abcdef", "fedcba9876543210", "fedcba987654");
        row("newer", "\"quantloupe_plan\": 1", "\"quantloupe_plan\": 2", "newer QuantLoupe");
        row("version is text", "\"quantloupe_plan\": 1", "\"quantloupe_plan\": \"1\"", "whole number");
        row("no plan", "\"quantloupe_plan\": 1,", "", "not a QuantLoupe plan");
        row("duplicate key", "\"variant\"", "\"target\"", "twice");
        row("duplicate layer", "\"head.weight\":", "\"embed.weight\":", "twice");
        row("unknown key", "\"variant\"", "\"varient\"", "varient");
        row("candidate is a number", "\"int4:g32\"", "4", "must be text");
        row("bad candidate", "\"int4:g32\"", "\"int4:q32\"", "q32");
        row("norm", "\"head.weight\":", "\"layers.0.norm.weight\":", "not quantized");
        row("lock of nothing", "\"locked\": [", "\"locked\": [\"x\", ", "'x'");
        row("locks", "\"locked\": [", "\"locked\": {}, \"l\": [", "unknown key");
        row("target", "\"target\": \"fused\"", "\"target\": 3", "must be text");
        row("cut off", "\"locked\"", "", "not JSON");
        row("trailing text", "}\n", "}} \n", "not JSON");
        row("list", "{\n  \"quantloupe_plan\": 1,", "[[[[[[[[[[[[", "not JSON");
    }
    void wrongPlansAreErrors()
    {
        QFETCH(QByteArray, what);
        QFETCH(QByteArray, with);
        QFETCH(QByteArray, says);
        const Model model = test::tinyModel();
        const std::string text = replaced(printPlan(mixedPlan(model), model), what.toStdString(), with.toStdString());
        QVERIFY(!text.empty());
        const auto parsed = parsePlan(text, model);
        QVERIFY(!parsed);
        QVERIFY2(describe(parsed.error()).find(says.toStdString()) != std::string::npos,
                 describe(parsed.error()).c_str());
    }
    void deepNestingIsAnError()
    {
        const Model model = test::tinyModel();
        QVERIFY(!parsePlan(std::string(1'000'000, '['), model));
        QVERIFY(!parsePlan(std::string(300'000, '[') + std::string(300'000, ']'), model));
    }
    void otherCheckpointsOnRequest()
    {
        const Model model = test::tinyModel();
        const std::string text = replaced(printPlan(mixedPlan(model), model), "0123456789abcdef", "fedcba9876543210");
        const auto plan = parsePlan(text, model, true);
        QVERIFY(plan);
        QCOMPARE(*plan, mixedPlan(model));
    }
    void filesAreWrittenWhole()
    {
        const QTemporaryDir folder;
        const std::filesystem::path path = std::filesystem::path(folder.path().toStdString()) / "plan.json";
        const Model model = test::tinyModel();
        const Plan plan = mixedPlan(model);
        QVERIFY(writePlan(plan, model, path));
        QCOMPARE(readPlan(path, model).value(), plan);
        QVERIFY(!writePlan(plan, model, path / "below.json"));
        std::ofstream(path) << "{}";
        QVERIFY(describe(readPlan(path, model).error()).find("plan.json") != std::string::npos);
        QCOMPARE(readPlan(path.parent_path() / "none.json", model).error().code, Errc::io);
    }
    void nearestNames()
    {
        const std::vector<std::string> names{"layers.0.q_proj.weight", "layers.0.k_proj.weight", "lm_head.weight"};
        QCOMPARE(nearestName("layers.0.kproj.weight", names), names[1]);
        QCOMPARE(nearestName("lm_haed.weight", names), names[2]);
        QCOMPARE(nearestName("x", names), std::string());
        QCOMPARE(nearestName("", names), std::string());
    }

    void bitsAreCounted()
    {
        const Model model = test::tinyModel(1, 64);
        std::int64_t weights = 0;
        for (const std::int64_t layer : model.quantizableLayers())
            weights += model.layers[static_cast<std::size_t>(layer)].numel();
        QCOMPARE(bitsPerWeight(model, keepPlan(model)), 32.0);
        QCOMPARE(bitsPerWeight(model, uniformPlan(model, candidate("bf16"))), 16.0);
        QCOMPARE(bitsPerWeight(model, uniformPlan(model, candidate("int4:g32:s=f16"))), 4.5);
        QCOMPARE(bitsPerWeight(model, uniformPlan(model, candidate("int4:g32"))), 5.0);
        Plan mixed = uniformPlan(model, candidate("int4:g32:s=f16"));
        mixed.candidates.back() = candidate("bf16");
        const double head = 96 * 64;
        QCOMPARE(bitsPerWeight(model, mixed),
                 (4.5 * (static_cast<double>(weights) - head) + 16 * head) / static_cast<double>(weights));
    }

    void layersTheTargetOnlyKeepsAreNotInThePlan()
    {
        const Model model = test::tinyModel(2, 32);
        TargetProfile target = test::kFusedTarget;
        target.menu = [](const Model&, const Layer& layer) {
            return parseCandidates(layer.op == Operator::embedding ? "keep" : "int4:g32 keep").value();
        };
        std::vector<std::int64_t> inPlan = model.quantizableLayers();
        QCOMPARE(layersInPlan(model, nullptr), inPlan);
        QCOMPARE(layersInPlan(model, &test::kFusedTarget), inPlan);
        inPlan.erase(inPlan.begin()); // the embedding
        QCOMPARE(layersInPlan(model, &target), inPlan);
        Plan plan = uniformPlan(model, candidate("int4:g32:s=f16"));
        plan.candidates[0] = candidate("keep");
        QVERIFY(bitsPerWeight(model, plan) > 4.5);
        QCOMPARE(bitsPerWeight(model, plan, inPlan), 4.5);
        const CostTable table{.metric = "",
                              .unit = "",
                              .items = makeItems(model, &target),
                              .candidates = {plan.candidates[2], plan.candidates[0]},
                              .costs = std::vector<Cost>(2 * makeItems(model, &target).size()),
                              .completed = {}};
        PlanTotals totals(model, table, plan, &target);
        QCOMPARE(totals.bitsPerWeight(), 4.5);
        totals.set(0, 1);
        QCOMPARE(totals.bitsPerWeight(), 4.5);
        QCOMPARE(PlanTotals(model, table, plan).bitsPerWeight(), bitsPerWeight(model, plan));
    }

    void itemsFollowTies()
    {
        const Model model = test::tinyModel(3);
        const std::vector<Item> single = makeItems(model, nullptr);
        QCOMPARE(single.size(), model.quantizableLayers().size());
        const std::vector<Item> tied = makeItems(model, &test::kFusedTarget);
        QCOMPARE(tied.size(), single.size() - 2 * 3);
        std::vector<std::int64_t> seen;
        for (const Item& item : tied) {
            QVERIFY(seen.empty() || item.layers.front() > seen.front());
            seen.insert(seen.begin(), item.layers.begin(), item.layers.end());
            QVERIFY(std::is_sorted(item.layers.begin(), item.layers.end()));
        }
        std::sort(seen.begin(), seen.end());
        QCOMPARE(seen, model.quantizableLayers());
        QCOMPARE(tied[1].name, std::string("q_proj+k_proj+v_proj 0"));
        QCOMPARE(tied[2].name, std::string("layers.0.o_proj.weight"));
    }

    void admissionCompletesAndChecks()
    {
        const Model model = test::tinyModel(2);
        Plan plan = uniformPlan(model, candidate("int8:g32"));
        const auto admitted = admit(test::kFusedTarget, model, plan);
        QVERIFY(admitted);
        QCOMPARE(admitted->target, std::string("fused"));
        QCOMPARE(printCandidate(admitted->candidates.back()), std::string("int8:g32:s=f16"));
        QCOMPARE(admit(test::kFusedTarget, model, *admitted).value(), *admitted);

        plan.candidates[3] = candidate("int4:g32"); // k without q and v
        const auto torn = admit(test::kFusedTarget, model, plan);
        QVERIFY(!torn);
        QCOMPARE(torn.error().code, Errc::refused);
        QVERIFY(describe(torn.error()).find("layers.0.k_proj.weight") != std::string::npos ||
                describe(torn.error()).find("layers.0.v_proj.weight") != std::string::npos);
        plan.candidates[3] = candidate("int8:g32");
        plan.candidates[0] = candidate("int4:g32");
        QCOMPARE(admit(test::kFusedTarget, model, plan).error().where, std::string("embed.weight"));
    }

    void totalsWhileDraggingEqualTotalsAnew()
    {
        for (const TargetProfile* target : {static_cast<const TargetProfile*>(nullptr), &test::kFusedTarget}) {
            const Model model = test::tinyModel(40, 8);
            CostTable table{.metric = "weight_error",
                            .unit = "",
                            .items = makeItems(model, target),
                            .candidates = parseCandidates("int2:channel int4:channel int8:channel").value(),
                            .costs = {},
                            .completed = {}};
            const CounterRng rng(3);
            for (std::size_t i = 0; i < table.items.size(); ++i)
                for (std::size_t c = 0; c < table.candidates.size(); ++c) {
                    Cost cost{.loss = std::exp(9 * rng.normal(i * 8 + c)),
                              .payloadBits = 0,
                              .evidence = Evidence::dataFree,
                              .allowed = true,
                              .standardError = 0};
                    if (i % 17 == 4 && c == 0)
                        cost.loss = std::numeric_limits<double>::quiet_NaN();
                    for (const std::int64_t layer : table.items[i].layers)
                        cost.payloadBits +=
                            layerPayloadBits(model.layers[static_cast<std::size_t>(layer)], table.candidates[c]);
                    table.costs.push_back(cost);
                }
            Plan plan = keepPlan(model);
            QCOMPARE(predictLoss(table, plan), 0.0);
            PlanTotals totals(model, table, plan);
            QCOMPARE(totals.loss(), 0.0);
            int unmeasured = 0;
            for (std::uint64_t move = 0; move < 2000; ++move) {
                const std::size_t item = rng.bits(2 * move + 1'000'000) % table.items.size();
                const std::size_t column =
                    rng.bits(2 * move + 1'000'001) % (move < 1000 ? 3 : 2) + (move < 1000 ? 0 : 1);
                const std::vector<std::int64_t>& layers = table.items[item].layers;
                totals.set(layers.back(), column);
                QCOMPARE(totals.columnOf(item).value(), column);
                QCOMPARE(totals.itemOf(layers.front()).value(), item);
                for (const std::int64_t layer : layers)
                    plan.candidates[static_cast<std::size_t>(layer)] = table.candidates[column];
                if (move % 20 != 0)
                    continue;
                QCOMPARE(totals.bitsPerWeight(), bitsPerWeight(model, plan));
                const double loss = predictLoss(table, plan);
                QCOMPARE(std::isnan(totals.loss()), std::isnan(loss));
                QCOMPARE(std::isnan(loss), totals.unmeasured() > 0);
                unmeasured += std::isnan(loss) ? 1 : 0;
                if (!std::isnan(loss))
                    QVERIFY(totals.loss() == loss); // the same bits
            }
            QVERIFY(unmeasured > 0);
            plan.candidates[static_cast<std::size_t>(table.items[3].layers.front())] = candidate("int5:channel");
            QVERIFY(std::isnan(predictLoss(table, plan)));
            QVERIFY(std::isnan(PlanTotals(model, table, plan).loss()));
        }
    }
};

QTEST_APPLESS_MAIN(PlanTest)
#include "plan_test.moc"
