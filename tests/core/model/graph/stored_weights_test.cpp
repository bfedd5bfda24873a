// SPDX-License-Identifier: GPL-3.0-or-later
// Products with weights of 16 bits as they are stored, against sums in double; and the sample run with its weights
// stored and decoded.
#include "core/base/rng.h"
#include "core/model/frontends/frontend.h"
#include "core/model/graph/run.h"
#include "core/model/graph/stored_weights.h"
#include "core/tensor/half.h"

#include <QTest>

#include <cmath>
#include <cstring>

using namespace ql;
using namespace ql::graph;

class StoredWeightsTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};

private Q_SLOTS:
    void products_data()
    {
        QTest::addColumn<bool>("isBf16");
        QTest::addColumn<int>("out");
        QTest::addColumn<int>("in");
        for (const bool isBf16 : {true, false})
            for (const auto& [out, in] : {std::pair(1, 1), {3, 7}, {70, 64}, {5, 581}, {900, 300}}) // tasks: 1 … 3
                QTest::addRow("%s %d×%d", isBf16 ? "bf16" : "f16", out, in) << isBf16 << out << in;
    }
    void products()
    {
        QFETCH(bool, isBf16);
        QFETCH(int, out);
        QFETCH(int, in);
        const CounterRng rng(2);
        std::vector<std::uint16_t> w(static_cast<std::size_t>(out * in));
        std::vector<float> x(static_cast<std::size_t>(in));
        for (std::size_t i = 0; i < w.size(); ++i) {
            const auto value = static_cast<float>(2 * rng.uniform(i) - 1);
            w[i] = isBf16 ? bf16FromFloat(value) : f16FromFloat(value);
        }
        for (std::size_t i = 0; i < x.size(); ++i)
            x[i] = static_cast<float>(2 * rng.uniform(w.size() + i) - 1);
        const TensorView view{
            isBf16 ? Dtype::bf16 : Dtype::f16, {out, in}, reinterpret_cast<const std::byte*>(w.data())};
        QVERIFY(canMultiplyStored(view));
        std::vector<float> y(static_cast<std::size_t>(out), 0.25F);
        QVERIFY(addProduct(view, x.data(), y.data(), m_context));
        for (std::size_t o = 0; o < y.size(); ++o) {
            double expected = 0.25;
            for (std::size_t i = 0; i < x.size(); ++i) {
                const std::uint16_t bits = w[o * x.size() + i];
                expected +=
                    static_cast<double>(isBf16 ? floatFromBf16(bits) : floatFromF16(bits)) * static_cast<double>(x[i]);
            }
            QVERIFY(std::fabs(static_cast<double>(y[o]) - expected) < 1.2e-7 * (in + 1));
            if (isBf16)
                QVERIFY(std::fabs(productWithBf16(w.data() + o * x.size(), x.data(), in) + 0.25 - expected) <
                        1.2e-7 * (std::min(in, 512) + 1));
        }
        std::vector<float> again(y.size(), 0.25F);
        Executor other(3);
        QVERIFY(addProduct(view, x.data(), again.data(), JobContext(other)));
        QVERIFY(std::memcmp(again.data(), y.data(), y.size() * sizeof(float)) == 0);
    }

    void theSampleRunsWithThem()
    {
        const auto model = openModel(std::filesystem::path(QL_SOURCE_DIR) / "resources/sample", m_context).value();
        const Graph graph = buildGraph(*model).value();
        const Segment all{.name = "model", .begin = 0, .end = graph.nodes.size()};
        const CheckpointWeights source(*model);
        const auto run = [&](std::int64_t tokens, WeightForm form) {
            const auto weights = loadWeights<float>(graph, all, source, m_context, form).value();
            for (const auto& [id, value] : weights) {
                const ValueInfo& info = graph.values[static_cast<std::size_t>(id)];
                const bool isMatrix = info.layer >= 0 && value.shape().size() == 2;
                if ((value.stored.view.data != nullptr) != (form == WeightForm::stored && isMatrix))
                    qFatal("%s is in the wrong form", info.name.c_str());
            }
            Values<float> values;
            Array<std::int64_t> ids({1, tokens});
            for (std::int64_t i = 0; i < tokens; ++i)
                ids.write()[i] = 40 + i;
            values[graph.inputs.front()].integers = ids;
            if (const auto done = forward(graph, all, weights, values, m_context); !done)
                qFatal("%s", describe(done.error()).c_str());
            return values.at(graph.outputs.front()).real;
        };
        for (const std::int64_t tokens : {1, 3}) {
            const Array<float> expected = run(tokens, WeightForm::decoded);
            const Array<float> logits = run(tokens, WeightForm::stored);
            QCOMPARE(logits.shape(), expected.shape());
            for (std::int64_t i = 0; i < logits.numel(); ++i)
                QVERIFY(std::fabs(logits.data()[i] - expected.data()[i]) < 1e-4F);
        }
    }
};

QTEST_APPLESS_MAIN(StoredWeightsTest)
#include "stored_weights_test.moc"
