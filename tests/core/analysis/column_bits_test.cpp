// SPDX-License-Identifier: GPL-3.0-or-later
// Bits in closed form against brute force and published figures; GPTQ twice with levels of their own for columns.
#include "core/analysis/column_bits.h"
#include "core/base/rng.h"
#include "core/base/water_filling.h"
#include "tests/support/acceptance.h"
#include "tests/support/layer_case.h"

#include <cmath>
#include <limits>

using namespace ql;
using namespace ql::tests;

namespace {

double lossOf(const std::vector<double>& losses, const std::vector<double>& bits)
{
    double sum = 0;
    for (std::size_t i = 0; i < losses.size(); ++i)
        sum += losses[i] * std::pow(4.0, -bits[i]);
    return sum;
}

/// The published synthetic layer: W ~ N(0, 0.02²), X = N(0,1)·(I + N/√K)·exp(N(0,1)) per channel.
LayerCase unevenCase(std::int64_t rows, std::int64_t cols, std::uint64_t seed, std::int64_t tokens)
{
    const CounterRng w(seed, 1);
    const CounterRng z(seed, 2);
    const CounterRng mix(seed, 3);
    const CounterRng spread(seed, 4);
    LayerCase c{rows, cols, {}, {}};
    for (std::int64_t i = 0; i < rows * cols; ++i)
        c.weights.push_back(static_cast<float>(0.02 * w.normal(static_cast<std::uint64_t>(i))));
    const auto n = static_cast<std::size_t>(cols);
    std::vector<double> mixing(n * n);
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t j = 0; j < n; ++j)
            mixing[i * n + j] = (i == j ? 1 : 0) + mix.normal(i * n + j) / std::sqrt(static_cast<double>(n));
    std::vector<float> x;
    for (std::int64_t t = 0; t < tokens; ++t) {
        std::vector<double> row(n);
        for (std::size_t i = 0; i < n; ++i) {
            const double value = z.normal(static_cast<std::uint64_t>(t) * n + i);
            for (std::size_t j = 0; j < n; ++j)
                row[j] += value * mixing[i * n + j];
        }
        for (std::size_t j = 0; j < n; ++j)
            x.push_back(static_cast<float>(row[j] * std::exp(spread.normal(j))));
    }
    c.inputs = statisticsOf(x, cols);
    return c;
}

} // namespace

class ColumnBitsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    /// Methods A2, acceptance 1 and 2.
    void closedForm()
    {
        const std::vector<double> losses = {1, 4, 16, 64};
        const std::vector<double> bits = waterFill(losses, {}, 3);
        const std::vector<double> expected = {1.5, 2.5, 3.5, 4.5};
        for (std::size_t i = 0; i < 4; ++i)
            QL_NEAR("A2", ("(1) bits of c = " + formatDouble(losses[i])).c_str(), bits[i], expected[i], 1e-12);
        QL_NEAR("A2", "(1) total loss", lossOf(losses, bits), 0.5, 1e-12);
        QL_NEAR("A2", "(1) loss of 3 bits for all", lossOf(losses, {3, 3, 3, 3}), 1.328125, 1e-12);
        QL_NEAR("A2", "(1) GM/AM", geometricOverArithmetic(losses), 0.5 / 1.328125, 1e-12);
        const std::vector<double> few = {1, 1, 4096};
        const std::vector<double> dry = waterFill(few, {}, 1);
        QL_HOLDS("A2", "(2) bits are 0, 0 and 3", dry[0] == 0 && dry[1] == 0 && std::fabs(dry[2] - 3) < 1e-12);
        QL_NEAR("A2", "(2) total loss", lossOf(few, dry), 66, 1e-9);
    }

    void noOtherBitsAreBetter()
    {
        const CounterRng rng(3);
        for (std::uint64_t trial = 0; trial < 60; ++trial) {
            std::vector<double> losses;
            std::vector<double> sizes;
            for (std::uint64_t i = 0; i < 6; ++i) {
                losses.push_back(std::exp(4 * rng.normal(100 * trial + i)));
                sizes.push_back(trial % 2 == 0 ? 1 : 1 + 9 * rng.uniform(100 * trial + 50 + i));
            }
            const double mean = 0.3 + static_cast<double>(trial % 5);
            const std::vector<double> bits = waterFill(losses, trial % 2 == 0 ? std::vector<double>() : sizes, mean);
            double size = 0;
            double spent = 0;
            for (std::size_t i = 0; i < 6; ++i) {
                QVERIFY(bits[i] >= 0);
                size += sizes[i];
                spent += sizes[i] * bits[i];
            }
            QVERIFY(std::fabs(spent - mean * size) < 1e-9 * size);
            const double least = lossOf(losses, bits);
            for (std::size_t from = 0; from < 6; ++from) // moving bits from one part to another never helps
                for (std::size_t to = 0; to < 6; ++to) {
                    const double moved = std::min(0.01, bits[from]);
                    std::vector<double> other = bits;
                    other[from] -= moved;
                    other[to] += moved * sizes[from] / sizes[to];
                    QVERIFY(lossOf(losses, other) >= least * (1 - 1e-9));
                }
        }
        const std::vector<double> zeros(3);
        QCOMPARE(waterFill(zeros, {}, 2), std::vector<double>(3, 2));
        QCOMPARE(geometricOverArithmetic(zeros), 1.0);
        QCOMPARE(waterFill(std::vector<double>{0, 5}, {}, 2), (std::vector<double>{0, 4}));
    }

    /// Methods A2, acceptance 3.
    void greedyIsOptimal()
    {
        const CounterRng rng(4);
        bool areEqual = true;
        for (std::uint64_t trial = 0; trial < 40; ++trial) {
            const std::size_t n = 2 + trial % 4;
            std::vector<double> losses;
            for (std::size_t i = 0; i < n; ++i)
                losses.push_back(std::exp(3 * rng.normal(100 * trial + i)));
            const auto budget = static_cast<std::int64_t>(3 * n);
            const std::vector<int> found = greedyBits(losses, budget, 8);
            std::vector<double> as(found.begin(), found.end());
            double best = std::numeric_limits<double>::infinity();
            std::vector<double> bits(n);
            const auto tryAll = [&](const auto& self, std::size_t i, std::int64_t left) -> void {
                if (i == n) {
                    best = std::min(best, lossOf(losses, bits));
                    return;
                }
                for (std::int64_t b = 0; b <= std::min<std::int64_t>(8, left); ++b) {
                    bits[i] = static_cast<double>(b);
                    self(self, i + 1, left - b);
                }
            };
            tryAll(tryAll, 0, budget);
            areEqual = areEqual && std::fabs(lossOf(losses, as) - best) <= 1e-12 * best;
        }
        QL_HOLDS("A2", "(3) greedy whole bits equal brute force", areEqual);
    }

    /// Methods A2, acceptance 4.
    void columnsOfTheirOwn()
    {
        const double bitsFrom[] = {1.95, 2.98, 3.99};
        const double bitsTo[] = {2.0, 3.01, 4.01};
        std::vector<LayerCase> layers;
        for (const std::uint64_t seed : {1U, 2U, 3U, 4U})
            layers.push_back(unevenCase(128, 256, seed, 2048));
        for (int bits = 2; bits <= 4; ++bits) {
            const std::string at = ", " + std::to_string(bits) + " bits";
            double ratio = 0;
            double predicted = 0;
            double errors = 0;
            for (const LayerCase& c : layers) {
                const ColumnBits found =
                    columnBits(c.view(), c.inputs, {.bits = bits}, JobContext(sharedExecutor())).value();
                ratio += found.allocated.loss / found.uniform.loss / 4;
                predicted += found.geometricOverArithmetic / 4;
                errors += found.allocated.outputError / found.uniform.outputError / 4;
                QL_AT_LEAST("A2", ("(4) variation of losses, uniform over allocated" + at).c_str(),
                            found.uniform.variation / found.allocated.variation, 5);
                QL_NEAR("A2", ("(4) mean bits" + at).c_str(), found.meanBits,
                        (bitsFrom[bits - 2] + bitsTo[bits - 2]) / 2, (bitsTo[bits - 2] - bitsFrom[bits - 2]) / 2);
                QVERIFY(found.meanStoredBits >= found.meanBits && found.meanStoredBits <= found.meanBits + 1);
                QCOMPARE(found.sideBitsPerWeight, 16.0 / 128);
            }
            QL_NEAR("A2", ("(4) loss over that of equal bits, against GM/AM, mean of 4 layers" + at).c_str(), ratio,
                    predicted, bits == 2 ? 0.08 : 0.06); // at 2 bits levels of 1 and 2 are coarse: it falls further
            QL_AT_MOST("A2", ("(4) loss over that of equal bits, mean of 4 layers" + at).c_str(), ratio, 0.25);
            QL_AT_MOST("A2", ("(4) output error over that of equal bits, mean of 4 layers" + at).c_str(), errors, 0.25);
        }
    }

    /// Pass one is GPTQ with the rows' ranges: each row alone, the inverse of H eliminated column by column.
    void firstPassEqualsElimination()
    {
        const LayerCase c = layerCase(5, 24, 8);
        const ColumnBits found =
            columnBits(c.view(), c.inputs, {.bits = 3, .exponent = 2}, JobContext(sharedExecutor())).value();
        // ½·D_j·Σ(w − ŵ)² summed over columns is half of tr(Δ·(H + λI)·Δᵀ).
        double trace = 0;
        double energy = 0;
        for (std::size_t i = 0; i < 24; ++i)
            trace += c.inputs.gram[i * 24 + i];
        energy = outputError(c.weights, std::vector<float>(c.weights.size()), c.inputs);
        const double error = found.uniform.outputError * energy;
        QVERIFY(2 * found.uniform.loss >= error * (1 - 1e-4));
        QVERIFY(2 * found.uniform.loss <= error + 0.011 * trace / 24 * 24 * 5);
        // As good as the quantizer with the same ranges.
        const double gptq = c.error(c.quantize("int3:asym", "gptq:order=natural:scales=range").value());
        QVERIFY2(std::fabs(error / gptq - 1) < 1e-3, qPrintable(QString::number(error / gptq)));
    }

    void threadsAndErrors()
    {
        const LayerCase c = layerCase(300, 64);
        Executor one(1);
        Executor three(3);
        const ColumnBits a = columnBits(c.view(), c.inputs, {}, JobContext(one)).value();
        const ColumnBits b = columnBits(c.view(), c.inputs, {}, JobContext(three)).value();
        QCOMPARE(a.levels, b.levels);
        QCOMPARE(a.allocated.losses, b.allocated.losses);
        QCOMPARE(a.allocated.outputError, b.allocated.outputError);
        const JobContext context(sharedExecutor());
        QVERIFY(!columnBits(c.view(), {}, {}, context));
        QVERIFY(!columnBits(viewOf(c.weights, {600, 32}), c.inputs, {}, context));
        QVERIFY(!columnBits(c.view(), c.inputs, {.bits = 9}, context));
        QVERIFY(!columnBits(c.view(), c.inputs, {.exponent = 0}, context));
        LayerCase zeros = c;
        zeros.weights.assign(zeros.weights.size(), 0);
        const ColumnBits flat = columnBits(zeros.view(), zeros.inputs, {}, context).value();
        QCOMPARE(flat.uniform.loss, 0.0);
        QCOMPARE(flat.meanBits, 3.0);
        std::stop_source stop;
        stop.request_stop();
        QVERIFY(!columnBits(c.view(), c.inputs, {}, JobContext(one, stop.get_token())));
    }
};

QTEST_APPLESS_MAIN(ColumnBitsTest)
#include "column_bits_test.moc"
