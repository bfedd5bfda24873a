// SPDX-License-Identifier: GPL-3.0-or-later
// Layers of ONNX models are those of the graph: their inputs are seen by hooks, other weights can take their place, and
// gradients come for them.
#include "core/base/rng.h"
#include "core/model/evaluation/output_places.h"
#include "core/model/frontends/frontend.h"
#include "core/model/graph/run.h"
#include "tests/support/onnx_builder.h"
#include "tests/support/onnx_node_tests.h"
#include "tests/support/temporary_folder.h"

#include <QTest>

#include <cmath>
#include <set>

using namespace ql;

namespace {

/// The weights of a model, one layer of them moved by step·direction.
class MovedWeights final : public graph::WeightSource {
public:
    MovedWeights(const Model& model, std::int64_t layer, double step) : m_model(model), m_layer(layer), m_step(step) {}

    static double direction(std::int64_t i) { return CounterRng(5, 0).uniform(static_cast<std::uint64_t>(i)) - 0.5; }

    Result<TensorData> weights(std::int64_t layer, const JobContext& context) const override
    {
        QL_TRY(data, m_model.loadWeights(layer, context));
        if (layer != m_layer)
            return data;
        const auto moved = std::make_shared<std::vector<double>>(static_cast<std::size_t>(data.view.numel()));
        decode(data.view.dtype, data.view.data, 0, data.view.numel(), moved->data());
        for (std::size_t i = 0; i < moved->size(); ++i)
            (*moved)[i] += m_step * direction(static_cast<std::int64_t>(i));
        return TensorData{{Dtype::f64, data.view.shape, reinterpret_cast<const std::byte*>(moved->data())}, moved};
    }

private:
    const Model& m_model;
    std::int64_t m_layer;
    double m_step;
};

} // namespace

class OnnxLayersTest : public QObject {
    Q_OBJECT
private:
    Executor m_executor;
    JobContext m_context{m_executor};

    struct Opened {
        std::shared_ptr<const Model> model;
        graph::Graph graph;
        std::map<std::string, TensorData> inputs;
    };
    Opened open(const QString& name)
    {
        const std::filesystem::path folder = QL_TEST_DATA "/frontends/" + name.toStdString();
        Opened opened{openModel(folder / "model.onnx", m_context).value(), {}, {}};
        opened.graph = buildGraph(*opened.model).value();
        const auto golden = openCheckpoint(folder / "golden.npz", m_context).value();
        for (std::int64_t i = 0; i < std::ssize(golden->tensors()); ++i) {
            const std::string& key = golden->tensors()[static_cast<std::size_t>(i)].name;
            if (key.ends_with(".0"))
                opened.inputs[key.substr(0, key.size() - 2)] = golden->load(i, m_context).value();
        }
        return opened;
    }
    /// Σ weight·output of the first output.
    static double weight(std::int64_t i) { return CounterRng(9, 0).uniform(static_cast<std::uint64_t>(i)) - 0.5; }
    double loss(const Opened& opened, const graph::WeightSource& weights)
    {
        auto values = test::inputsOf<double>(opened.graph, opened.inputs);
        const auto done = graph::forwardAll<double>(opened.graph, weights, values, m_context);
        double sum = 0;
        const auto& output = values.at(opened.graph.outputs[0]).real;
        for (std::int64_t i = 0; done && i < output.numel(); ++i)
            sum += weight(i) * output.data()[i];
        return sum;
    }

    void rows()
    {
        QTest::addColumn<QString>("name");
        QTest::addColumn<int>("layers");
        QTest::newRow("cnn") << "onnx_cnn" << 5;
        QTest::newRow("vit") << "onnx_vit" << 10;
        QTest::newRow("bert") << "onnx_bert" << 16; // 12 in two blocks, the pooler, three embeddings
    }

private Q_SLOTS:
    void hooksSeeInputs_data() { rows(); }
    void hooksSeeInputs()
    {
        QFETCH(QString, name);
        QFETCH(int, layers);
        const Opened opened = open(name);
        std::set<std::int64_t> seen;
        graph::ForwardOptions<float> options;
        options.layerInput = [&](const graph::Node&, std::int64_t index, graph::Array<float>& input) -> Result<void> {
            const Layer& layer = opened.model->layers[static_cast<std::size_t>(index)];
            const bool isConvolution = layer.op == ql::Operator::convolution;
            if (!layer.quantizable || (!isConvolution && input.width() != layer.shape[1]))
                return badInput("layer " + layer.name + " sees " + formatShape(input.shape()));
            seen.insert(index);
            return {};
        };
        auto values = test::inputsOf<float>(opened.graph, opened.inputs);
        const auto done =
            graph::forwardAll<float>(opened.graph, graph::CheckpointWeights(*opened.model), values, m_context, options);
        QVERIFY2(done, done ? "" : describe(done.error()).c_str());
        int expected = 0;
        for (const std::int64_t index : opened.model->quantizableLayers()) {
            const Layer& layer = opened.model->layers[static_cast<std::size_t>(index)];
            QVERIFY2(layer.op == ql::Operator::embedding || seen.contains(index), layer.name.c_str());
            ++expected;
        }
        QCOMPARE(expected, layers);
    }

    /// (L(W + hD) − L(W − hD)) / 2h against Σ dW·D, for every layer that can be quantized.
    void gradientsAreDifferenceQuotients_data() { rows(); }
    void gradientsAreDifferenceQuotients()
    {
        QFETCH(QString, name);
        const Opened opened = open(name);
        const graph::CheckpointWeights own(*opened.model);
        auto values = test::inputsOf<double>(opened.graph, opened.inputs);
        std::vector<graph::Values<double>> weights;
        for (const graph::Segment& segment : opened.graph.segments) {
            weights.push_back(graph::loadWeights<double>(opened.graph, segment, own, m_context).value());
            graph::ForwardOptions<double> options;
            options.keepAll = true;
            QVERIFY(graph::forward(opened.graph, segment, weights.back(), values, m_context, options));
        }
        const Shape shape = values.at(opened.graph.outputs[0]).real.shape();
        graph::Gradients<double> gradients;
        auto& start = gradients[opened.graph.outputs[0]] = graph::Array<double>(shape);
        for (std::int64_t i = 0; i < start.numel(); ++i)
            start.write()[i] = weight(i);
        std::map<std::int64_t, double> slopes;
        graph::BackwardOptions<double> options;
        options.wantsWeights = [&](std::int64_t layer) {
            return opened.model->layers[static_cast<std::size_t>(layer)].quantizable;
        };
        options.weightGradient = [&](const graph::Node&, std::int64_t layer, graph::Array<double> gradient) {
            for (std::int64_t i = 0; i < gradient.numel(); ++i)
                slopes[layer] += gradient.data()[i] * MovedWeights::direction(i);
            return Result<void>();
        };
        for (std::size_t s = opened.graph.segments.size(); s-- > 0;)
            QVERIFY(graph::backward(opened.graph, opened.graph.segments[s], weights[s], values, gradients, m_context,
                                    options));
        int moved = 0;
        for (const std::int64_t layer : opened.model->quantizableLayers()) {
            if (!slopes.contains(layer)) // the pooler makes the second output
                continue;
            constexpr double kStep = 1e-6;
            const double quotient = (loss(opened, MovedWeights(*opened.model, layer, kStep)) -
                                     loss(opened, MovedWeights(*opened.model, layer, -kStep))) /
                                    (2 * kStep);
            QVERIFY2(std::fabs(quotient - slopes[layer]) <= 1e-6 * (1 + std::fabs(quotient)),
                     opened.model->layers[static_cast<std::size_t>(layer)].name.c_str());
            moved += std::fabs(quotient) > 1e-9 ? 1 : 0;
        }
        QVERIFY(moved + 1 >= std::ssize(opened.model->quantizableLayers()));
    }

    /// A convolution multiplies by its weights once for every place of its output, a product once for every row.
    void placesOfOutputs()
    {
        test::TemporaryFolder folder{test::TemporaryFolder::inMemory()};
        const std::string parts =
            test::onnxTensor("kernel", {4, 3, 3, 3}, std::vector<float>(108, 0.5F)) +
            test::onnxTensor("depthwise", {4, 1, 2, 2}, std::vector<float>(16, 0.5F)) +
            test::onnxTensor("head", {36, 5}, std::vector<float>(180, 0.5F)) +
            test::onnxNode("Conv", {"x", "kernel"}, {"a"},
                           test::onnxInts("strides", {2, 2}) + test::onnxInts("pads", {1, 1, 1, 1})) +
            test::onnxNode("Conv", {"a", "depthwise"}, {"b"}, test::onnxInt("group", 4)) +
            test::onnxNode("Flatten", {"b"}, {"c"}) + test::onnxNode("MatMul", {"c", "head"}, {"y"});
        const auto opened = [&](const std::vector<std::int64_t>& shape) {
            return openModel(folder.write("model.onnx", test::onnxModel(test::onnxGraph(
                                                            parts + test::onnxShapedInput("x", shape), {}, {"y"}))),
                             m_context)
                .value();
        };
        const auto model = opened({-1, 3, 7, 8}); // 4 × 4 places, then 3 × 3
        const auto graph = buildGraph(*model);
        QVERIFY2(graph, graph ? "" : describe(graph.error()).c_str());
        const auto picture = pictureShapeOf(*model, *graph);
        QCOMPARE(picture.value(), (Shape{1, 3, 7, 8}));
        const auto places = outputPlaces(*model, *graph, *picture, m_context);
        QVERIFY2(places, places ? "" : describe(places.error()).c_str());
        for (const auto& [name, expected] : {std::pair("kernel", 16.0), {"depthwise", 9.0}, {"head", 1.0}})
            QCOMPARE(places->at(static_cast<std::size_t>(model->indexOf(name))), expected);

        const auto open = opened({1, 3, -1, 8});
        QVERIFY(!pictureShapeOf(*open, *buildGraph(*open)));
    }
};

QTEST_APPLESS_MAIN(OnnxLayersTest)
#include "onnx_layers_test.moc"
