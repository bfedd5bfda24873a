// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/uniform.h"
#include "tests/support/fused_target.h"
#include "tests/support/measured_model.h"

#include <cmath>
#include <limits>

using namespace ql;
using namespace ql::test;

namespace {

std::optional<UniformPlan> best(const Measured& measured, const BalanceRequest& request)
{
    const auto result = balanced(measured, request);
    if (!result)
        qFatal("%s", describe(result.error()).c_str());
    return bestUniform(measured.model, request, *result);
}

} // namespace

class UniformTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    /// Against every uniform plan, at budgets between, at and below what they need.
    void leastLossThatFits()
    {
        const Measured model = measured(2, 64, nullptr, "int3:g32 int4:g32 int6:g32@mse int6:g32 int8:g32");
        for (const double bits : {3.99, 4.0, 5.0, 6.9, 7.0, 9.5}) {
            double least = std::numeric_limits<double>::infinity();
            std::optional<std::size_t> expected;
            for (std::size_t column = 0; column < model.table.candidates.size(); ++column) {
                const Plan plan = uniformPlan(model.model, model.table.candidates[column]);
                const double loss = predictLoss(model.table, plan);
                if (bitsPerWeight(model.model, plan) <= bits && loss < least) {
                    least = loss;
                    expected = column;
                }
            }
            BalanceRequest request = requestFor(model);
            request.bitsPerWeight = bits;
            if (!expected) {
                QVERIFY(!balanced(model, request));
                continue;
            }
            const auto found = best(model, request);
            QVERIFY(found);
            QCOMPARE(found->column, *expected);
            QCOMPARE(found->predictedLoss, least);
            QCOMPARE(found->plan.candidates, uniformPlan(model.model, model.table.candidates[*expected]).candidates);
            QVERIFY(balanced(model, request)->predictedLoss <= found->predictedLoss);
        }
    }

    void filesFitTheBudget()
    {
        const Measured tied = measured(2, 32, &kFusedTarget, "int8:g16 int8:g32 bf16");
        const auto bytesOf = [&](std::size_t column) {
            const Plan plan = uniformPlan(tied.model, tied.table.candidates[column]);
            return kFusedTarget.fileBytes(tied.model, admit(kFusedTarget, tied.model, plan).value()).value();
        };
        BalanceRequest request = requestFor(tied);
        request.fileBytes = bytesOf(2);
        QCOMPARE(best(tied, request)->column, std::size_t{2});
        request.fileBytes = bytesOf(2) - 1;
        QCOMPARE(best(tied, request)->column, std::size_t{0});
        request.fileBytes = bytesOf(0) - 1;
        QCOMPARE(best(tied, request)->column, std::size_t{1});
        request.fileBytes = bytesOf(1);
        request.planLayers = layersInPlan(tied.model, &kFusedTarget);
        QCOMPARE(best(tied, request)->column, std::size_t{1});
    }

    /// A lock on any of the tied layers holds for all; what was not measured stays.
    void locksHold()
    {
        Measured tied = measured(2, 32, &kFusedTarget, "int8:g16 bf16");
        const std::size_t unmeasured = tied.table.items.size() - 1;
        for (std::size_t column = 0; column < 2; ++column)
            tied.table.at(unmeasured, column).loss = std::numeric_limits<double>::quiet_NaN();
        BalanceRequest request = requestFor(tied);
        request.bitsPerWeight = 32;
        const auto value = static_cast<std::size_t>(tied.model.indexOf("layers.1.v_proj.weight"));
        request.start.candidates[value] = tied.table.candidates[0];
        request.start.locked[value] = true;
        const auto found = best(tied, request);
        QVERIFY(found);
        QCOMPARE(found->column, std::size_t{1});
        for (const char* role : {"q_proj", "k_proj", "v_proj"}) {
            const auto layer = [&](const char* block) {
                return printCandidate(found->plan.candidates[static_cast<std::size_t>(
                    tied.model.indexOf(block + std::string(role) + ".weight"))]);
            };
            QCOMPARE(layer("layers.1."), std::string("int8:g16:s=f16"));
            QCOMPARE(layer("layers.0."), std::string("bf16"));
        }
        const auto kept = static_cast<std::size_t>(tied.table.items[unmeasured].layers.front());
        QVERIFY(found->plan.candidates[kept].weights.isKeep());
    }

    void nothingFits()
    {
        Measured model = measured(1, 32, nullptr, "int4:g16 int8:g16");
        BalanceRequest request = requestFor(model);
        model.table.at(0, 0).allowed = false;
        request.bitsPerWeight = 9;
        QVERIFY(!best(model, request)); // int4 is refused for the embedding, int8 has 10 bits
        request.start.locked.assign(request.start.locked.size(), true);
        request.bitsPerWeight = 40;
        QVERIFY(!best(model, request)); // nothing is free
    }
};

QTEST_APPLESS_MAIN(UniformTest)
#include "uniform_test.moc"
