// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/plan/prediction_records.h"
#include "tests/support/memory_model.h"
#include "tests/support/memory_sink.h"

#include <QTest>

#include <cmath>
#include <limits>

using namespace ql;
using namespace ql::test;

namespace {

PredictionRecord record(const std::string& plan, double sum, double measured, const std::string& windows = "w")
{
    PredictionRecord record;
    record.of = {.metric = "fisher", .unit = std::string(kNatsPerToken), .runtime = "", .windows = windows};
    record.plan = plan;
    record.text = "test.txt";
    record.windowCount = 4;
    record.point = {.predicted = {.sum = sum, .sumError = 0.001, .floor = 0.002},
                    .measured = measured,
                    .standardError = 0.01,
                    .shares = {0.25, 0.75}};
    record.groups = {"q_proj", "v_proj"};
    return record;
}

} // namespace

class PredictionRecordsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void comeBackFromAStudy()
    {
        MemorySink sink;
        QVERIFY(readPredictions(sink).empty());
        PredictionRecord first = record("a", 0.05, 0.061);
        first.expected = {.value = 0.052, .low = 0.03, .high = 0.09, .level = 0.9, .plans = 3};
        first.wasPredicted = true;
        first.losses = "losses.json 0123456789abcdef";
        QVERIFY(keepPredictions(sink, {first, record("b", 0.1, 0.11)}));
        PredictionRecord unknown = record("c", 0.1, 0.2);
        unknown.point.predicted.sum = std::nan("");
        QVERIFY(keepPredictions(sink, {unknown, record("a", 0.05, 0.062)})); // the latest stays
        const auto records = readPredictions(sink);
        QCOMPARE(records.size(), std::size_t{2});
        QCOMPARE(records[0].plan, std::string("b"));
        QCOMPARE(records[1].point.measured, 0.062);
        QVERIFY(!records[1].wasPredicted);
        QVERIFY(keepPredictions(sink, {first}));
        const PredictionRecord back = readPredictions(sink).back();
        QVERIFY(back.of == first.of);
        QCOMPARE(back.plan, first.plan);
        QCOMPARE(back.text, first.text);
        QCOMPARE(back.losses, first.losses);
        QVERIFY(records[0].losses.empty());
        QCOMPARE(back.windowCount, first.windowCount);
        QCOMPARE(back.groups, first.groups);
        QCOMPARE(back.point.shares, first.point.shares);
        QCOMPARE(back.point.predicted.sum, first.point.predicted.sum);
        QCOMPARE(back.point.predicted.sumError, first.point.predicted.sumError);
        QCOMPARE(back.point.predicted.floor, first.point.predicted.floor);
        QCOMPARE(back.point.standardError, first.point.standardError);
        QCOMPARE(back.expected.low, 0.03);
        QCOMPARE(back.expected.plans, 3);
        QVERIFY(back.wasPredicted);
    }
    void damagedRecordsAreLeftOut()
    {
        MemorySink sink;
        QVERIFY(keepPredictions(sink, {record("a", 0.05, 0.06)}));
        for (const char* text : {"", "{", "[1, {}, {\"metric\": 3}]", "{\"metric\": 1}"}) {
            QVERIFY(sink.keep("predictions", std::as_bytes(std::span(text, std::strlen(text)))));
            QVERIFY(readPredictions(sink).empty());
        }
    }
    void theModelIsOfTheMetricAndRuntime()
    {
        std::vector<PredictionRecord> records{record("a", 0.05, 0.07), record("b", 0.1, 0.13), record("c", 0.2, 0.2)};
        records.push_back(record("d", 0.05, 0.5));
        records.back().of.runtime = "llama.cpp";
        records.push_back(record("d", 5000, 0.5));
        records.back().of.metric = "weight_error";
        const PredictedQuantity of = records.front().of;
        QCOMPARE(lossModelOf(records, of).planCount(), 3);
        QCOMPARE(lossModelOf(records, of, "b").planCount(), 2);
        QCOMPARE(usualQuantity(records, "fisher"), of);
        QVERIFY(!usualQuantity(records, "output_error"));
        QCOMPARE(usualFloor(records, of), 0.002);
        // what was measured on other windows tells less
        PredictedQuantity other = of;
        other.windows = "others";
        const PredictedSum sum{.sum = 0.1, .sumError = 0, .floor = 0};
        const Prediction same = lossModelOf(records, of).predict(sum);
        const Prediction moved = lossModelOf(records, other).predict(sum);
        QVERIFY(moved.high - moved.low > same.high - same.low);
    }
    /// Roles are corrected where all records count shares by the groups that are asked for.
    void rolesAreThoseOfAllRecords()
    {
        std::vector<PredictionRecord> records;
        for (int i = 0; i < 24; ++i) {
            const double share = 0.04 * i;
            PredictionRecord one = record(std::to_string(i), 0.02 + 0.01 * (i * 7 % 24), 0);
            one.point.shares = {share, 1 - share};
            one.point.measured = 0.002 + one.point.predicted.sum * (1 + share);
            records.push_back(one);
        }
        const PredictedQuantity of = records.front().of;
        const std::vector<std::string> groups = records.front().groups;
        const PredictedSum sum{.sum = 0.1, .sumError = 0, .floor = 0};
        const std::vector<double> little{0.1, 0.9};
        const std::vector<double> much{0.9, 0.1};
        const LossModel model = lossModelOf(records, of, {}, groups);
        QVERIFY(model.predict(sum, 0, much).value > 1.2 * model.predict(sum, 0, little).value);
        const LossModel plain = lossModelOf(records, of);
        QCOMPARE(plain.predict(sum, 0, much).value, plain.predict(sum, 0, little).value);
        records.front().groups = {"q_proj", "k_proj"};
        const LossModel mixed = lossModelOf(records, of, {}, groups);
        QCOMPARE(mixed.predict(sum, 0, much).value, mixed.predict(sum, 0, little).value);
    }
    void oneMissBreaksTheTrust()
    {
        std::vector<PredictionRecord> records{record("a", 0.05, 0.06), record("b", 0.05, 0.06)};
        const PredictedQuantity of = records.front().of;
        QVERIFY(isTrusted(records, of)); // nothing was predicted
        records[0].wasPredicted = records[1].wasPredicted = true;
        records[0].expected = {.value = 0.05, .low = 0.04, .high = 0.07, .level = 0.9, .plans = 0};
        records[1].expected = {.value = 0.04, .low = 0.03, .high = 0.05, .level = 0.9, .plans = 1};
        QVERIFY(!isTrusted(records, of));
        std::swap(records[0], records[1]);
        QVERIFY(isTrusted(records, of));
    }
    void suspectsAreNamed()
    {
        std::vector<PredictionRecord> records;
        for (int i = 0; i < 10; ++i) {
            const double share = 0.05 + 0.09 * i;
            PredictionRecord one = record(std::to_string(i), 0.02 + 0.01 * (i * 7 % 10), 0);
            one.point.shares = {share, 1 - share};
            one.point.measured = 0.002 + one.point.predicted.sum * (1 + share);
            records.push_back(one);
        }
        const auto words = describeSuspects(records, records.front().of);
        QVERIFY(!words.empty());
        QVERIFY2(words.front().starts_with("q_proj: "), words.front().c_str());
        QVERIFY(describeSuspects({}, records.front().of).empty());
    }
    void hashesAreOfWhatAPlanDoes()
    {
        const Model model = tinyModel(1, 32);
        Plan plan = uniformPlan(model, parseCandidate("int4:g16").value());
        const std::string hash = planHash(plan, model);
        plan.locked[0] = !plan.locked[0];
        QCOMPARE(planHash(plan, model), hash);
        plan.candidates[static_cast<std::size_t>(model.quantizableLayers().front())] =
            parseCandidate("int5:g16").value();
        QVERIFY(planHash(plan, model) != hash);
    }
};

QTEST_APPLESS_MAIN(PredictionRecordsTest)
#include "prediction_records_test.moc"
