// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/sample_plans.h"
#include "tests/support/fused_target.h"
#include "tests/support/measured_model.h"

#include <QTest>

#include <algorithm>
#include <cmath>

using namespace ql;
using namespace ql::test;

namespace {

std::vector<SampledPlan> sampled(const Measured& from, const SampleRequest& request, SampleKind kind, int count)
{
    Executor executor(1);
    auto plans = samplePlans(from.model, request, kind, count, JobContext(executor));
    if (!plans)
        qFatal("%s", describe(plans.error()).c_str());
    return std::move(*plans);
}

int changed(const Plan& a, const Plan& b)
{
    int count = 0;
    for (std::size_t i = 0; i < a.candidates.size(); ++i)
        count += a.candidates[i] == b.candidates[i] ? 0 : 1;
    return count;
}

} // namespace

class SamplePlansTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void randomPlansHaveTheSizeInTheMean()
    {
        const Measured from = measured(6, 32, nullptr, "int3:g16 int4:g16 int5:g16 int8:g16");
        const SampleRequest request{
            .tables = std::span(&from.table, 1), .target = nullptr, .bitsPerWeight = {6, 8}, .seed = 3};
        const auto plans = sampled(from, request, SampleKind::random, 200);
        double small = 0;
        double large = 0;
        int repeated = 0;
        for (std::size_t i = 0; i < plans.size(); ++i) {
            QCOMPARE(plans[i].bitsPerWeight, bitsPerWeight(from.model, plans[i].plan));
            QVERIFY(std::isfinite(predictLoss(from.table, plans[i].plan)));
            (i % 2 == 0 ? small : large) += plans[i].bitsPerWeight / 100;
            for (std::size_t j = 0; j < i; ++j)
                if (changed(plans[i].plan, plans[j].plan) == 0) {
                    ++repeated;
                    break;
                }
        }
        QVERIFY2(repeated < 20, qPrintable(QString::number(repeated))); // where a role takes all bits, few are left
        QVERIFY2(std::fabs(small - 6) < 0.2 && std::fabs(large - 8) < 0.2,
                 qPrintable(QStringLiteral("%1 %2").arg(small).arg(large)));
        const auto again = sampled(from, request, SampleKind::random, 3);
        for (std::size_t i = 0; i < again.size(); ++i)
            QVERIFY(again[i].plan == plans[i].plan);
    }
    void solvedEditedAndSingle()
    {
        const Measured from = measured(4, 32, &kFusedTarget, "int3:g16 int4:g16 int8:g16");
        const std::vector<CostTable> tables{from.table, from.table};
        const SampleRequest request{.tables = tables, .target = &kFusedTarget, .bitsPerWeight = {5, 6, 7}, .seed = 3};
        for (const SampledPlan& sample : sampled(from, request, SampleKind::solved, 7)) {
            QVERIFY(sample.bitsPerWeight <= 7);
            QCOMPARE(sample.metric, std::string("weight_error"));
        }
        const Plan middle = sampled(from, request, SampleKind::solved, 2).back().plan;
        for (const SampledPlan& sample : sampled(from, request, SampleKind::edited, 20)) {
            const int edits = changed(sample.plan, middle);
            QVERIFY(edits < static_cast<int>(middle.candidates.size()) / 2);
            QVERIFY(admit(kFusedTarget, from.model, sample.plan));
        }
        const Plan largest = uniformPlan(from.model, parseCandidate("int8:g16").value());
        int same = 0;
        for (const SampledPlan& sample : sampled(from, request, SampleKind::single, 20)) {
            const int layers = changed(sample.plan, admit(kFusedTarget, from.model, largest).value());
            QVERIFY(layers <= 3);        // those that are tied go together
            same += layers == 0 ? 1 : 0; // its largest again
            QVERIFY(admit(kFusedTarget, from.model, sample.plan));
        }
        QVERIFY(same < 15);
    }
    void nothingToSampleIsRefused()
    {
        const Measured from = measured(1, 32, nullptr, "int3:g16");
        Executor executor(1);
        const JobContext context(executor);
        const SampleRequest none{.tables = {}, .target = nullptr, .bitsPerWeight = {4}, .seed = 1};
        QVERIFY(!samplePlans(from.model, none, SampleKind::random, 1, context));
        QVERIFY(samplePlans(from.model, none, SampleKind::random, 0, context)->empty());
        QCOMPARE(word(SampleKind::edited), std::string_view("edited"));
    }
};

QTEST_APPLESS_MAIN(SamplePlansTest)
#include "sample_plans_test.moc"
