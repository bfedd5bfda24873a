// SPDX-License-Identifier: GPL-3.0-or-later
// What an ONNX file asks for and cannot have is refused by name; its weights can be analysed nonetheless.
#include "core/model/frontends/frontend.h"
#include "core/model/graph/run.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/temporary_folder.h"

#include <QTest>

using namespace ql;
using namespace ql::test;

class OnnxRefusalsTest : public QObject {
    Q_OBJECT
private:
    Executor m_executor;
    JobContext m_context{m_executor, {}, nullptr, std::int64_t{64} << 20U};
    TemporaryFolder m_folder{TemporaryFolder::inMemory()};
    std::shared_ptr<const Model> m_model;

    Result<graph::Graph> import(const std::string& file)
    {
        QL_TRY(model, openModel(m_folder.write("model.onnx", file), m_context));
        m_model = model;
        return buildGraph(*m_model);
    }
    /// From "x", full of ones of that shape, to the first output.
    Result<graph::Value<float>> run(const std::string& file, const Shape& shape)
    {
        QL_TRY(graph, import(file));
        graph::Values<float> values;
        values[graph.inputs.at(0)].real = graph::Array<float>::filled(shape, 1);
        QL_CHECK(graph::forwardAll<float>(graph, graph::CheckpointWeights(*m_model), values, m_context));
        return values.at(graph.outputs.at(0));
    }

private Q_SLOTS:
    void importsAreRefused_data()
    {
        QTest::addColumn<QByteArray>("file");
        QTest::addColumn<QByteArray>("says");
        const auto row = [](const char* says, const std::string& parts, std::int64_t opset = 18) {
            const std::string file = onnxModel(onnxGraph(parts, {"x"}, {"y"}), opset);
            QTest::newRow(says) << QByteArray::fromStdString(file) << QByteArray(says);
        };
        const auto one = [&](const char* says, const char* op, const std::string& attributes = {},
                             const Texts& outputs = {"y"}) { row(says, onnxNode(op, {"x"}, outputs, attributes)); };
        one("the node 'the Unique' (Unique, opset 18), which is an operator that is not known", "Unique");
        one("is an operator of com.microsoft", "Gelu", onnxField(7, "com.microsoft"));
        one("resizes by 'cubic'", "Resize", onnxText("mode", "cubic"));
        one("antialias", "Resize", onnxInt("antialias", 1));
        one("coordinates of the kind 'tf_crop_and_resize'", "Resize",
            onnxText("coordinate_transformation_mode", "tf_crop_and_resize"));
        one("pads by 'reflect'", "Pad", onnxText("mode", "reflect"));
        one("a window of 3 dimensions", "MaxPool", onnxInts("kernel_shape", {1, 1, 1}));
        one("the places of what it chose", "MaxPool", onnxInts("kernel_shape", {1}), {"y", "indices"});
        one("training mode", "BatchNormalization", onnxInt("training_mode", 1));
        one("which only training needs", "Dropout", {}, {"y", "mask"});
        one("of type 17, which are not computed with", "Cast", onnxInt("to", 17));
        one("sums by 'ii->i'", "Einsum", onnxText("equation", "ii->i"));
        one("sums by '...i->...'", "Einsum", onnxText("equation", "...i->..."));
        one("sums by 'i,i'", "Einsum", onnxText("equation", "i,i"));
        one("sums by 'i->ij'", "Einsum", onnxText("equation", "i->ij"));
        one("approximates by 'odd'", "Gelu", onnxText("approximate", "odd"));
        one("reduces along no axes", "ReduceSum", onnxInt("noop_with_empty_axes", 1));
        one("has a value of a type", "ConstantOfShape", onnxField(5, onnxField(1, "value")));
        one("by what is not known before it runs", "If");
        row("reads 'z', which nothing before it makes", onnxNode("Add", {"x", "z"}, {"y"}));
        row("reads 'b', which nothing before it makes", // a cycle
            onnxNode("Add", {"x", "b"}, {"a"}) + onnxNode("Relu", {"a"}, {"b"}) + onnxNode("Relu", {"b"}, {"y"}));
        row("reads 'y', which nothing before it makes", onnxNode("Relu", {"y"}, {"y"}));
        row("makes 'y' twice", onnxNode("Relu", {"x"}, {"y"}) + onnxNode("Tanh", {"x"}, {"y"}));
        row("makes 'x' twice", onnxNode("Relu", {"x"}, {"x"}));
        row("makes 'w' twice", onnxNode("Relu", {"x"}, {"w"}) + onnxTensor("w", {1}, {1}));
        row("opset 12, where 13 to 28", onnxNode("Relu", {"x"}, {"y"}), 12);
        row("opset 29", onnxNode("Relu", {"x"}, {"y"}), 29);
        row("makes more than its graphs do",
            onnxIntegers("yes", {1}) +
                onnxNode("If", {"yes"}, {"y"}, onnxGraphAttribute("then_branch", onnxGraph("", {}, {}))));
    }
    void importsAreRefused()
    {
        QFETCH(QByteArray, file);
        QFETCH(QByteArray, says);
        const auto graph = import(file.toStdString());
        QVERIFY(!graph);
        QVERIFY2(graph.error().what.find(says.toStdString()) != std::string::npos, describe(graph.error()).c_str());
        QVERIFY(graph.error().what.ends_with("its weights can be analysed"));
        QCOMPARE(graph.error().where, m_model->checkpoint->path().string());
    }

    void runsAreRefused_data()
    {
        QTest::addColumn<QByteArray>("file");
        QTest::addColumn<QByteArray>("says");
        const auto row = [](const char* says, const std::string& parts) {
            QTest::newRow(says) << QByteArray::fromStdString(onnxModel(onnxGraph(parts, {"x"}, {"y"})))
                                << QByteArray(says);
        };
        const auto with = [&](const char* says, const char* op, const std::vector<std::int64_t>& numbers,
                              const std::string& attributes = {}) {
            row(says, onnxNode(op, {"x", "n"}, {"y"}, attributes) + onnxIntegers("n", numbers));
        };
        const auto one = [&](const char* says, const char* op, const std::string& attributes = {}) {
            row(says, onnxNode(op, {"x"}, {"y"}, attributes));
        };
        constexpr std::int64_t kHuge = std::int64_t{1} << 40U;
        one("lacks input 1", "Add");
        one("no axis -3 in [2, 3]", "Softmax", onnxInt("axis", -3));
        one("no order of those of [2, 3]", "Transpose", onnxInts("perm", {1, 1}));
        one("asks for", "Flatten", onnxInt("axis", INT64_MIN));
        with("cannot give [2, 3] the shape it asks for", "Reshape", {kHuge, kHuge});
        with("asks for", "Unsqueeze", std::vector<std::int64_t>(1000, 0));
        with("asks for", "Squeeze", {INT64_MIN});
        with("cannot expand", "Expand", {kHuge, kHuge, 2, 3});
        with("more memory than", "Expand", {kHuge, 2, 3});
        with("at least 0 for each axis", "Pad", {0, 0, 0, -1});
        with("at least 0 for each axis", "Pad", {kHuge, 0, 0, 0});
        with("more memory than", "Pad", {0, 1 << 30, 0, 0});
        with("no element -9", "Gather", {-9});
        with("are not all of 2", "Split", {1, INT64_MAX});
        with("no axis 7", "ReduceSum", {7});
        row("more memory than", // doubled 40 times
            [] {
                std::string parts;
                for (int i = 0; i < 40; ++i)
                    parts += onnxNode("Concat", Texts(2, i == 0 ? "x" : "x" + std::to_string(i)),
                                      {i == 39 ? "y" : "x" + std::to_string(i + 1)});
                return parts;
            }());
        row("cannot multiply [2, 3] by [2, 3]", onnxNode("MatMul", {"x", "x"}, {"y"}));
        row("inputs of width 3 meet weights [2, 4]",
            onnxNode("MatMul", {"x", "w"}, {"y"}) + onnxTensor("w", {4, 2}, std::vector<float>(8)));
        row("cannot make an array", onnxNode("ConstantOfShape", {"n"}, {"y"}) + onnxIntegers("n", {-1}));
    }
    void runsAreRefused()
    {
        QFETCH(QByteArray, file);
        QFETCH(QByteArray, says);
        const auto made = run(file.toStdString(), {2, 3});
        QVERIFY(!made);
        QVERIFY2(made.error().what.find(says.toStdString()) != std::string::npos, describe(made.error()).c_str());
        QVERIFY2(made.error().where.starts_with("the "), describe(made.error()).c_str()); // the node
    }

    /// A branch of an If that is known is taken; its names are its own, and it sees those around it.
    void knownBranchesAreTaken()
    {
        const auto branch = [](const char* op) { return onnxGraph(onnxNode(op, {"x"}, {"inner"}), {}, {"inner"}); };
        for (const std::int64_t yes : {0, 1}) {
            const auto made =
                run(onnxModel(onnxGraph(onnxNode("If", {"yes"}, {"inner"},
                                                 onnxGraphAttribute("then_branch", branch("Neg")) +
                                                     onnxGraphAttribute("else_branch", branch("Abs"))) +
                                            onnxNode("Identity", {"inner"}, {"y"}) + onnxIntegers("yes", {yes}),
                                        {"x"}, {"y"})),
                    {1});
            QVERIFY2(made, made ? "" : describe(made.error()).c_str());
            QCOMPARE(made->real.data()[0], yes != 0 ? -1.0F : 1.0F);
        }
    }
    /// Writers of proto3 leave out zeros: an attribute without a value is not one that is not there.
    void zerosMayBeLeftOut()
    {
        const std::string zero = onnxField(5, onnxField(1, "axis"));
        const auto made = run(onnxModel(onnxGraph(onnxNode("Flatten", {"x"}, {"y"}, zero), {"x"}, {"y"})), {2, 3});
        QVERIFY2(made, made ? "" : describe(made.error()).c_str());
        QCOMPARE(made->shape(), (Shape{1, 6}));
    }
    /// Inputs, constants and one value under two names can be outputs.
    void outputsNeedNoNode()
    {
        const auto graph =
            import(onnxModel(onnxGraph(onnxNode("Relu", {"x"}, {"y"}) + onnxNode("Identity", {"y"}, {"z"}) +
                                           onnxIntegers("n", {7}) + onnxTensor("w", {1}, {3}),
                                       {"x"}, {"x", "y", "z", "n", "w"})));
        QVERIFY2(graph, graph ? "" : describe(graph.error()).c_str());
        graph::Values<float> values;
        values[graph->inputs.at(0)].real = graph::Array<float>::filled({1}, -2);
        QVERIFY(graph::forwardAll<float>(*graph, graph::CheckpointWeights(*m_model), values, m_context));
        const std::vector<double> expected{-2, 0, 0, 7, 3};
        for (std::size_t i = 0; i < expected.size(); ++i) {
            const auto& value = values.at(graph->outputs.at(i));
            QCOMPARE(value.real ? static_cast<double>(value.real.data()[0])
                                : static_cast<double>(value.integers.data()[0]),
                     expected[i]);
        }
    }
    void weightsOfARefusedGraphAreThere()
    {
        QVERIFY(!import(onnxModel(onnxGraph(onnxNode("MatMul", {"x", "w"}, {"a"}) + onnxNode("NonZero", {"a"}, {"y"}) +
                                                onnxTensor("w", {4, 2}, std::vector<float>(8, 1)),
                                            {"x"}, {"y"}))));
        QCOMPARE(m_model->layers.size(), std::size_t{1});
        QCOMPARE(m_model->layers[0].shape, (Shape{2, 4}));
        QVERIFY(m_model->layers[0].quantizable && m_model->loadWeights(0, m_context));
    }
};

QTEST_APPLESS_MAIN(OnnxRefusalsTest)
#include "onnx_refusals_test.moc"
