// SPDX-License-Identifier: GPL-3.0-or-later
// A layer into which a batch norm is folded gives the outputs of both.
#include "core/model/graph/batch_norm_folding.h"
#include "tests/support/operator_cases.h"

#include <QTest>

using namespace ql;
using namespace ql::test;

class BatchNormFoldingTest : public QObject {
    Q_OBJECT
private:
    static void equalsBoth(OperatorCase layer)
    {
        Executor executor(1);
        const JobContext context(executor);
        const std::int64_t channels = layer.inputs[1].shape[0];
        const BatchNorm norm{reals({channels}, -2, 2, 1).reals, reals({channels}, -2, 2, 2).reals,
                             reals({channels}, -2, 2, 3).reals, reals({channels}, 0.1, 2, 4).reals, 1e-3};
        const auto made = runForward<double>(nodeOf(layer), CaseValues<double>(layer.inputs), context);
        QVERIFY(made);
        CaseInput between{.shape = made->shape(), .reals = {}, .integers = {}};
        between.reals.assign(made->real.data(), made->real.data() + made->real.numel());
        const OperatorCase behind{.op = "batch_norm",
                                  .name = "norm",
                                  .attributes = {{"epsilon", norm.epsilon}},
                                  .inputs = {between, given({channels}, norm.weight), given({channels}, norm.bias),
                                             given({channels}, norm.mean), given({channels}, norm.variance)},
                                  .sequence = {},
                                  .golden = {}};
        const auto expected = runForward<double>(nodeOf(behind), CaseValues<double>(behind.inputs), context);
        QVERIFY(expected);

        const Array<double> weights = arrayOf<double>(layer.inputs[1].shape, layer.inputs[1].reals);
        const FoldedLayer folded =
            fold(norm, weights, layer.inputs.size() > 2 ? layer.inputs[2].reals : std::vector<double>());
        CaseValues<double> inputs(layer.inputs);
        inputs.values.resize(3);
        inputs.values[1].real = folded.weights;
        inputs.values[2].real = arrayOf<double>({channels}, folded.bias);
        const auto actual = runForward<double>(nodeOf(layer), inputs, context);
        QVERIFY(actual && actual->shape() == expected->shape());
        for (std::int64_t i = 0; i < actual->real.numel(); ++i)
            QVERIFY(std::fabs(actual->real.data()[i] - expected->real.data()[i]) < 1e-12);
    }

private Q_SLOTS:
    void intoConvolution()
    {
        equalsBoth({.op = "conv",
                    .name = "layer",
                    .attributes = {{"groups", std::int64_t{2}}},
                    .inputs = {reals({2, 4, 5, 6}), reals({6, 2, 3, 2}), reals({6})},
                    .sequence = {},
                    .golden = {}});
    }
    void intoLinearWithoutBias()
    {
        equalsBoth({.op = "linear",
                    .name = "layer",
                    .attributes = {},
                    .inputs = {reals({3, 4}), reals({5, 4})},
                    .sequence = {},
                    .golden = {}});
    }
    void findsItsLayer()
    {
        GraphBuilder builder;
        const ValueId x = builder.input("x");
        const auto norm = [&](const char* name, ValueId from) {
            return builder.add("batch_norm", name,
                               {from, builder.weights(1, "w"), builder.weights(2, "b"), builder.weights(3, "m"),
                                builder.weights(4, "v")});
        };
        const ValueId conv = builder.add("conv", "conv", {x, builder.weights(0, "conv.weight")});
        const ValueId a = norm("behind", conv); // node 1
        const ValueId shared = builder.add("conv", "shared", {a, builder.weights(0, "conv.weight")});
        const ValueId b = norm("beside another reader", shared);                              // node 3
        const ValueId c = norm("behind an addition", builder.add("add", "sum", {b, shared})); // node 5
        const ValueId last = builder.add("linear", "last", {c, builder.weights(5, "last.weight")});
        const ValueId d = norm("of an output", last); // node 7
        const Graph graph = std::move(builder).finish({d, last});
        QCOMPARE(foldsInto(graph, 1), std::optional<std::size_t>(0));
        for (const std::size_t node : {0U, 3U, 5U, 7U})
            QVERIFY(!foldsInto(graph, node));
    }
};

QTEST_APPLESS_MAIN(BatchNormFoldingTest)
#include "batch_norm_folding_test.moc"
