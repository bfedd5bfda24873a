// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/plan_changes.h"
#include "tests/support/measured_model.h"

#include <QTest>

#include <cmath>

using namespace ql;
using namespace ql::test;

class PlanChangesTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void changesAddUpToTheDifference()
    {
        const Measured model = measured(3, 32, nullptr, "int3:g16 int4:g16 int8:g16 bf16");
        BalanceRequest request = requestFor(model);
        request.bitsPerWeight = 5;
        const auto before = balanced(model, request);
        request.bitsPerWeight = 7;
        const auto after = balanced(model, request);
        QVERIFY(before && after);
        const auto changes =
            planChanges(model.model, model.table, before->plan, after->plan, after->allocation.shadowPrice);
        QVERIFY(changes.size() > 3);
        double loss = 0;
        std::int64_t bits = 0;
        double last = std::numeric_limits<double>::infinity();
        for (const PlanChange& change : changes) {
            loss += change.addedLoss;
            bits += change.addedBits;
            QVERIFY(std::fabs(change.addedLoss) <= last);
            last = std::fabs(change.addedLoss);
            QVERIFY(!(change.before == change.after));
            if (change.addedBits > 0 && change.reason == ChangeReason::gains)
                QVERIFY(-change.addedLoss >=
                        after->allocation.shadowPrice * static_cast<double>(change.addedBits) * (1 - 1e-9));
        }
        QVERIFY(std::fabs(loss - (after->predictedLoss - before->predictedLoss)) <= 1e-9 * before->predictedLoss);
        std::int64_t weights = 0;
        for (const std::int64_t layer : model.model.quantizableLayers())
            weights += model.model.layers[static_cast<std::size_t>(layer)].numel();
        QVERIFY(std::fabs(static_cast<double>(bits) / static_cast<double>(weights) -
                          (after->bitsPerWeight - before->bitsPerWeight)) <= 1e-9);
        QVERIFY(planChanges(model.model, model.table, after->plan, after->plan, 0).empty());
    }

    void reasons()
    {
        const Measured model = measured(1, 32, nullptr, "int3:g16 int8:g16");
        Plan before = uniformPlan(model.model, parseCandidate("int3:g16").value());
        Plan after = before;
        const auto first = static_cast<std::size_t>(model.table.items[0].layers.front());
        after.candidates[first] = parseCandidate("int8:g16").value();
        const auto reasonAt = [&](const Plan& from, const Plan& to, double price) {
            const auto changes = planChanges(model.model, model.table, from, to, price);
            return changes.size() == 1 ? changes[0].reason : ChangeReason::unknown;
        };
        QVERIFY(reasonAt(before, after, 0) == ChangeReason::gains);
        QVERIFY(reasonAt(before, after, 1e9) == ChangeReason::fills);
        QVERIFY(reasonAt(after, before, 1e9) == ChangeReason::frees);
        QVERIFY(reasonAt(after, before, 0) == ChangeReason::fills);
        after.locked[first] = true;
        QVERIFY(reasonAt(before, after, 0) == ChangeReason::locked);
        after.locked[first] = false;
        after.candidates[first] = parseCandidate("int5:g16").value();
        QVERIFY(reasonAt(before, after, 0) == ChangeReason::unknown);
    }
};

QTEST_APPLESS_MAIN(PlanChangesTest)
#include "plan_changes_test.moc"
