// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/allocation/balance.h"
#include "tests/support/fused_target.h"
#include "tests/support/measured_model.h"

#include <QTest>

#include <cmath>
#include <limits>

using namespace ql;
using namespace ql::test;

namespace {

/// The least predicted loss over all assignments of columns that `fits` accepts; items beyond a few are too many.
template<typename Fits>
double bestOfAll(const Measured& measured, const Fits& fits)
{
    const std::size_t columns = measured.table.candidates.size();
    std::size_t total = 1;
    for (std::size_t i = 0; i < measured.table.items.size(); ++i)
        total *= columns;
    double best = std::numeric_limits<double>::infinity();
    for (std::size_t number = 0; number < total; ++number) {
        Plan plan = keepPlan(measured.model);
        std::size_t rest = number;
        for (std::size_t i = 0; i < measured.table.items.size(); ++i, rest /= columns)
            for (const std::int64_t layer : measured.table.items[i].layers)
                plan.candidates[static_cast<std::size_t>(layer)] = measured.table.candidateOf(i, rest % columns);
        const double loss = predictLoss(measured.table, plan);
        if (loss < best && fits(plan))
            best = loss;
    }
    return best;
}

} // namespace

class BalanceTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void leastLossWithinBitsPerWeight()
    {
        const Measured small = measured(1, 32, nullptr, "int3:g16 int5:g16 bf16");
        for (const double bits : {5.1, 6.0, 7.3, 9.0, 12.0}) {
            BalanceRequest request = requestFor(small);
            request.bitsPerWeight = bits;
            const auto result = balanced(small, request);
            QVERIFY2(result, result ? "" : describe(result.error()).c_str());
            QVERIFY(result->bitsPerWeight <= bits);
            QCOMPARE(result->bitsPerWeight, bitsPerWeight(small.model, result->plan));
            QVERIFY(result->allocation.optimal);
            QCOMPARE(result->predictedLoss, predictLoss(small.table, result->plan));
            const double best =
                bestOfAll(small, [&](const Plan& plan) { return bitsPerWeight(small.model, plan) <= bits; });
            QVERIFY(std::abs(result->predictedLoss - best) <= 1e-12 * best);
            for (std::size_t i = 0; i < small.table.items.size(); ++i)
                QCOMPARE(result->plan.candidates[static_cast<std::size_t>(small.table.items[i].layers.front())],
                         small.table.candidates[result->allocation.choice[i]]);
        }
    }

    void mixedIsNoWorseThanUniform()
    {
        const Measured model = measured(6, 64, nullptr, "int3:g32 int4:g32 int5:g32 int6:g32 int8:g32");
        for (const Candidate& candidate : model.table.candidates) {
            const Plan uniform = uniformPlan(model.model, candidate);
            BalanceRequest request = requestFor(model);
            request.bitsPerWeight = bitsPerWeight(model.model, uniform);
            const auto result = balanced(model, request);
            QVERIFY(result);
            QVERIFY(result->predictedLoss <= predictLoss(model.table, uniform));
        }
    }

    void filesNeverExceedTheBudget()
    {
        const Measured tied = measured(4, 32, &test::kFusedTarget, "int3:g16 int4:g16 int8:g16 bf16 keep");
        const auto bytesOf = [&](const char* candidate) {
            Plan plan = uniformPlan(tied.model, parseCandidate(candidate).value());
            plan.candidates[0] = parseCandidate("int8:g16").value(); // the embedding
            plan.candidates[0] = test::fusedComplete(tied.model, tied.model.layers[0], plan.candidates[0]);
            return test::fusedFileBytes(tied.model, admit(test::kFusedTarget, tied.model, plan).value()).value();
        };
        const std::int64_t smallest = bytesOf("int3:g16");
        const std::int64_t largest = bytesOf("keep") + 20'000;
        double last = std::numeric_limits<double>::infinity();
        std::int64_t unused = 0;
        int solved = 0;
        for (std::int64_t budget = smallest; budget <= largest; budget += (largest - smallest) / 80) {
            BalanceRequest request = requestFor(tied);
            request.fileBytes = budget;
            const auto result = balanced(tied, request);
            QVERIFY2(result, result ? "" : describe(result.error()).c_str());
            QVERIFY(result->fileBytes <= budget);
            QCOMPARE(result->fileBytes, test::fusedFileBytes(tied.model, result->plan).value());
            QCOMPARE(result->plan.target, std::string("fused"));
            QCOMPARE(admit(test::kFusedTarget, tied.model, result->plan).value(), result->plan);
            QVERIFY(result->predictedLoss <= last * 1.2); // more bytes, less loss, but for what padding takes
            last = result->predictedLoss;
            unused = std::max(unused, last > 0 ? budget - result->fileBytes : 0);
            ++solved;
        }
        QVERIFY(solved > 70);
        QCOMPARE(last, 0.0); // everything kept

        BalanceRequest request = requestFor(tied);
        request.fileBytes = smallest - 1;
        const auto impossible = balanced(tied, request);
        QVERIFY(!impossible);
        QCOMPARE(impossible.error().code, Errc::refused);
        QVERIFY2(impossible.error().what.find(std::to_string(smallest)) != std::string::npos,
                 impossible.error().what.c_str());
    }

    void fileBudgetIsUsedAsWellAsAnyPlanCan()
    {
        const Measured small = measured(1, 32, &test::kFusedTarget, "int8:g16 bf16 keep");
        for (const double share : {0.1, 0.35, 0.6, 0.9}) {
            BalanceRequest request = requestFor(small);
            const auto low =
                test::fusedFileBytes(small.model, admit(test::kFusedTarget, small.model,
                                                        uniformPlan(small.model, small.table.candidates.front()))
                                                      .value());
            const auto high = test::fusedFileBytes(small.model, keepPlan(small.model));
            request.fileBytes = *low + static_cast<std::int64_t>(share * static_cast<double>(*high - *low));
            const auto result = balanced(small, request);
            QVERIFY(result);
            const auto within = [&](std::int64_t budget) {
                return bestOfAll(small, [&](const Plan& plan) {
                    Plan admitted = plan;
                    admitted.target = "fused";
                    return test::fusedFileBytes(small.model, admitted).value() <= budget;
                });
            };
            // Padding is not additive: what can be lost is worth at most the padding of the file.
            QVERIFY(result->predictedLoss >= within(*request.fileBytes) * (1 - 1e-12));
            QVERIFY(result->predictedLoss <= within(*request.fileBytes - 2 * 37 * 12) * (1 + 1e-12));
        }
    }

    void locksAndTiesHold()
    {
        const Measured tied = measured(3, 32, &test::kFusedTarget, "int4:g16 int8:g16 bf16");
        BalanceRequest request = requestFor(tied);
        request.bitsPerWeight = 9.0;
        const auto k = static_cast<std::size_t>(tied.model.indexOf("layers.1.k_proj.weight"));
        request.start.candidates[k] = parseCandidate("int4:g16").value();
        request.start.locked[k] = true;
        request.start.locked.back() = true; // the head keeps
        const auto result = balanced(tied, request);
        QVERIFY2(result, result ? "" : describe(result.error()).c_str());
        QVERIFY(result->bitsPerWeight <= 9.0);
        QVERIFY(result->plan.candidates.back().weights.isKeep());
        for (const char* role : {"q_proj", "k_proj", "v_proj"}) {
            const auto layer =
                static_cast<std::size_t>(tied.model.indexOf("layers.1." + std::string(role) + ".weight"));
            QCOMPARE(printCandidate(result->plan.candidates[layer]), std::string("int4:g16:s=f16"));
            QCOMPARE(result->plan.locked[layer], layer == k);
        }
        QVERIFY(std::isfinite(result->predictedLoss));
        QVERIFY(std::abs(result->allocation.loss - result->predictedLoss) <= 1e-12 * result->predictedLoss);
        QVERIFY(admit(test::kFusedTarget, tied.model, result->plan));

        request.bitsPerWeight = 4.4; // less than int4 with its scales
        const auto impossible = balanced(tied, request);
        QVERIFY(!impossible);
        QCOMPARE(impossible.error().code, Errc::refused);
        QVERIFY(impossible.error().what.find("unlock") != std::string::npos);
    }

    void unmeasuredItemsKeepTheirCandidate()
    {
        Measured model = measured(2, 32, nullptr, "int4:g16 int8:g16");
        for (std::size_t c = 0; c < 2; ++c)
            model.table.at(3, c).loss = std::numeric_limits<double>::quiet_NaN();
        BalanceRequest request = requestFor(model);
        request.bitsPerWeight = 10;
        const auto result = balanced(model, request);
        QVERIFY(result);
        const auto layer = static_cast<std::size_t>(model.table.items[3].layers.front());
        QVERIFY(result->plan.candidates[layer].weights.isKeep());
        QCOMPARE(result->allocation.choice[3], std::size_t{2});
        QVERIFY(result->bitsPerWeight <= 10);
    }

    void budgetsAreAsked()
    {
        const Measured model = measured(1, 32, nullptr, "int4:g16");
        BalanceRequest request = requestFor(model);
        QCOMPARE(balanced(model, request).error().code, Errc::usage);
        request.fileBytes = 100;
        QCOMPARE(balanced(model, request).error().code, Errc::usage);
        request.bitsPerWeight = 4;
        QCOMPARE(balanced(model, request).error().code, Errc::usage);
        request.fileBytes.reset();
        request.bitsPerWeight = std::numeric_limits<double>::quiet_NaN();
        QCOMPARE(balanced(model, request).error().code, Errc::usage);
        request.bitsPerWeight = 8;
        request.solver = "none";
        QCOMPARE(balanced(model, request).error().code, Errc::usage);
        for (const Solver* solver : allSolvers()) {
            request.solver = solver->id;
            QVERIFY(balanced(model, request));
        }
    }
};

QTEST_APPLESS_MAIN(BalanceTest)
#include "balance_test.moc"
