// SPDX-License-Identifier: GPL-3.0-or-later
// Every operator of ONNX that is listed computes what the onnx package says, by its own backend node tests.
#include "core/checkpoint/onnx_graph.h"
#include "core/model/frontends/frontend.h"
#include "core/model/frontends/onnx/onnx_operator.h"
#include "tests/support/onnx_node_tests.h"
#include "tests/support/temporary_folder.h"

#include <QTest>

#include <cmath>
#include <set>

using namespace ql;

class EveryOnnxOperatorTest : public QObject {
    Q_OBJECT
private:
    Executor m_executor;
    JobContext m_context{m_executor};
    std::map<std::string, test::OnnxNodeTest> m_tests = test::onnxNodeTests(m_context);
    test::TemporaryFolder m_folder{test::TemporaryFolder::inMemory()};

    Result<std::shared_ptr<const Model>> open(const test::OnnxNodeTest& test) const
    {
        return openModel(m_folder.write("model.onnx", test.model), m_context);
    }

    /// Where an output is not what it should be; empty if all are.
    template<typename T>
    std::string difference(const test::OnnxNodeTest& test) const
    {
        const auto model = open(test);
        if (!model)
            return describe(model.error());
        const auto graph = buildGraph(**model);
        if (!graph)
            return describe(graph.error());
        auto values = test::inputsOf<T>(*graph, test.inputs);
        const auto done = graph::forwardAll<T>(*graph, graph::CheckpointWeights(**model), values, m_context);
        if (!done)
            return describe(done.error());
        if (graph->outputs.size() != test.outputs.size())
            return "other outputs";
        for (const graph::ValueId id : graph->outputs) {
            const std::string& name = graph->values[static_cast<std::size_t>(id)].name;
            const auto expected = test::valueOf<T>(test.outputs.at(name).view);
            const auto& made = values.at(id);
            if (made.shape() != expected.shape() || static_cast<bool>(made.real) != static_cast<bool>(expected.real))
                return name + " has shape " + formatShape(made.shape()) + ", not " + formatShape(expected.shape());
            for (std::int64_t i = 0; i < made.integers.numel(); ++i)
                if (made.integers.data()[i] != expected.integers.data()[i])
                    return name + "[" + std::to_string(i) + "]";
            // The tests' own tolerance is 1e-3; float16 files round to it.
            const double tolerance = test.outputs.at(name).view.dtype == Dtype::f16 ? 2e-3 : 1e-5;
            for (std::int64_t i = 0; i < made.real.numel(); ++i) {
                const auto a = static_cast<double>(made.real.data()[i]);
                const auto b = static_cast<double>(expected.real.data()[i]);
                if (a != b && !(std::isnan(a) && std::isnan(b)) &&
                    !(std::fabs(a - b) <= tolerance * (1 + std::fabs(b))))
                    return name + "[" + std::to_string(i) + "] is " + std::to_string(a) + ", not " + std::to_string(b);
            }
        }
        return {};
    }

private Q_SLOTS:
    void nodeTests_data()
    {
        QTest::addColumn<QString>("name");
        for (const auto& [name, test] : m_tests)
            QTest::newRow(name.c_str()) << QString::fromStdString(name);
        QVERIFY(m_tests.size() > 100);
    }
    void nodeTests()
    {
        QFETCH(QString, name);
        const test::OnnxNodeTest& test = m_tests.at(name.toStdString());
        for (const std::string& difference : {difference<float>(test), difference<double>(test)})
            QVERIFY2(difference.empty(), difference.c_str());
    }

    void everyOperatorHasATest()
    {
        std::set<std::string> tested{"If"}; // its tests choose by an input; see onnx_refusals_test
        for (const auto& [name, test] : m_tests) {
            const auto parsed = parseOnnx(std::as_bytes(std::span(test.model)), name);
            QVERIFY(parsed);
            for (const OnnxNode& node : parsed->main->nodes)
                tested.emplace(node.op);
        }
        std::set<std::string_view> listed;
        for (const OnnxFamily* family : allOnnxFamilies()) {
            QVERIFY(!family->title.empty() && !family->operators.empty());
            for (const OnnxOperator& op : family->operators) {
                QVERIFY2(listed.insert(op.id).second, op.id.data());
                QVERIFY2(tested.contains(std::string(op.id)), op.id.data());
                QCOMPARE(findOnnxOperator(op.id), &op);
            }
        }
    }
};

QTEST_APPLESS_MAIN(EveryOnnxOperatorTest)
#include "every_onnx_operator_test.moc"
