// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/sensitivity/plan_table.h"
#include "tests/support/fused_target.h"
#include "tests/support/measured_model.h"

#include <QTest>

#include <cmath>

using namespace ql;
using namespace ql::test;

class PlanTableTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    /// The same sum as by the table of all candidates, and nothing measured that the plan does not have.
    void sumsLikeTheWholeTable()
    {
        const Measured all = measured(3, 32, &kFusedTarget, "int3:g16 int5:g16 int8:channel");
        Plan plan = keepPlan(all.model);
        plan.target = kFusedTarget.id;
        for (std::size_t i = 0; i < all.table.items.size(); ++i)
            for (const std::int64_t layer : all.table.items[i].layers)
                if (all.table.at(i, i % 3).allowed)
                    plan.candidates[static_cast<std::size_t>(layer)] = all.table.candidateOf(i, i % 3);
        Executor executor(2);
        const CostTable table =
            measurePlan(all.model,
                        {.plan = plan, .metric = *findMetric("weight_error").value(), .target = &kFusedTarget},
                        JobContext(executor))
                .value();
        const double sum = predictLoss(table, plan);
        QVERIFY(sum > 0);
        QCOMPARE(sum, predictLoss(all.table, plan));
        QCOMPARE(table.items.size(), all.table.items.size());
        std::size_t known = 0;
        for (const Cost& cost : table.costs)
            known += std::isnan(cost.loss) ? 0U : 1U;
        QCOMPARE(known, table.items.size());
    }
};

QTEST_APPLESS_MAIN(PlanTableTest)
#include "plan_table_test.moc"
