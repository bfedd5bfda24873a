// SPDX-License-Identifier: GPL-3.0-or-later
// A layer is W[out, in…] whatever the checkpoint stores: the same weights in the order of Keras, ONNX operators and
// GPT-2 give the codes, scales and restored values of W itself, bit for bit, and go back as they came. The files were
// written by tests/data/checkpoints/make_{numpy,hdf5,onnx,safetensors}.py.
#include "core/base/npz.h"
#include "core/checkpoint/reader.h"
#include "core/export/export.h"
#include "core/model/stored_order.h"
#include "core/realize/realize.h"
#include "tests/support/export_support.h"
#include "tests/support/quantize_support.h"

#include <map>

using namespace ql;

namespace {

const std::string kFolder = QL_TEST_DATA "/checkpoints/";

/// Which W of oriented.npz each layer is.
using Weights = std::map<std::string, std::string>;
const std::map<std::string, Weights> kFiles{
    {"oriented_keras.h5",
     {{"model_weights/dense/dense/kernel", "dense"},
      {"model_weights/embed_dense/embed_dense/kernel", "dense"},
      {"model_weights/lstm/lstm/lstm_cell/recurrent_kernel", "recurrent"},
      {"model_weights/my_conv/my_conv/kernel", "conv"},
      {"model_weights/conv1d/conv1d/kernel", "conv1d"},
      {"model_weights/block_dw/block_dw/kernel", "depthwise"},
      {"model_weights/separable/separable/depthwise_kernel", "depthwise"},
      {"model_weights/separable/separable/pointwise_kernel", "pointwise"},
      {"model_weights/upsample/upsample/kernel", "transposed"},
      {"model_weights/mha/mha/query/kernel", "query"},
      {"model_weights/mha/mha/attention_output/kernel", "output"},
      {"model_weights/embedding/embedding/embeddings", "embedding"}}},
    {"oriented_keras.weights.h5",
     {{"layers/dense/vars/0", "dense"},
      {"layers/lstm/cell/vars/1", "recurrent"},
      {"layers/conv2d/vars/0", "conv"},
      {"layers/conv1d/vars/0", "conv1d"},
      {"layers/depthwise_conv2d/vars/0", "depthwise"},
      {"layers/separable_conv2d/vars/0", "depthwise"},
      {"layers/separable_conv2d/vars/1", "pointwise"},
      {"layers/conv2d_transpose_1/vars/0", "transposed"},
      {"layers/multi_head_attention/query_dense/vars/0", "query"},
      {"layers/multi_head_attention/output_dense/vars/0", "output"},
      {"layers/embedding/vars/0", "embedding"}}},
    {"oriented.onnx",
     {{"a.right", "dense"},
      {"b.left", "dense"},
      {"c.gemm", "dense"},
      {"d.gemm_b", "dense"},
      {"e.gemm_a", "dense"},
      {"f.turned", "dense"},
      {"g.stack", "stack"},
      {"h.conv", "conv"},
      {"i.deconv", "transposed"},
      {"j.deconv_2", "transposed"},
      {"k.table", "embedding"},
      {"l.lstm", "stack"},
      {"m.outer", "dense"},
      {"n.unused", "dense"}}},
    {"oriented_gpt2",
     {{"transformer.h.0.attn.c_attn.weight", "c_attn"},
      {"transformer.h.0.attn.c_proj.weight", "attn_proj"},
      {"transformer.h.0.mlp.c_fc.weight", "c_fc"},
      {"transformer.h.0.mlp.c_proj.weight", "mlp_proj"},
      {"transformer.wte.weight", "embedding"}}},
};

bool sameBytes(const TensorView& a, const TensorView& b)
{
    return a.dtype == b.dtype && a.shape == b.shape &&
           std::memcmp(a.data, b.data, static_cast<std::size_t>(storedBytes(a.dtype, a.numel()).value())) == 0;
}

} // namespace

class StoredOrderTest : public QObject {
    Q_OBJECT

    Executor m_executor{2};
    JobContext m_context{m_executor};
    std::shared_ptr<const Model> m_model;
    std::shared_ptr<const Checkpoint> m_weights;

    /// W in the layer's shape: that of the file but for stacks of matrices.
    TensorData weightsOf(const Layer& layer, const std::string& name)
    {
        const std::int64_t tensor = m_weights->indexOf(name);
        if (tensor < 0)
            qFatal("no %s", name.c_str());
        TensorData data = m_weights->load(tensor, m_context).value();
        if (data.view.shape != layer.shape && name == "stack")
            data.view.shape = {data.view.shape[0] * data.view.shape[1], data.view.shape[2]};
        return data;
    }

    static void everyFile()
    {
        QTest::addColumn<QString>("file");
        for (const auto& [file, weights] : kFiles)
            QTest::newRow(file.c_str()) << QString::fromStdString(file);
    }
    void open(const std::string& file)
    {
        m_model = openModel(kFolder + file, m_context).value();
        m_weights = openCheckpoint(kFolder + "oriented.npz", m_context).value();
    }

private Q_SLOTS:
    void layersAreOutIn_data() { everyFile(); }
    void layersAreOutIn()
    {
        QFETCH(QString, file);
        open(file.toStdString());
        const Weights& weights = kFiles.at(file.toStdString());
        QCOMPARE(m_model->quantizableLayers().size(), weights.size()); // no bias, no moment of the optimizer
        for (const std::int64_t index : m_model->quantizableLayers()) {
            const Layer& layer = m_model->layers[static_cast<std::size_t>(index)];
            const TensorData expected = weightsOf(layer, weights.at(layer.name));
            const TensorData stored = m_model->checkpoint->load(layer.tensor, m_context).value();
            const TensorData loaded = m_model->loadWeights(index, m_context).value();
            QVERIFY2(sameBytes(loaded.view, expected.view), layer.name.c_str());
            QCOMPARE(loaded.view.shape, layer.shape);
            if (!layer.stored.moves())
                QVERIFY(m_model->checkpoint->tensors()[static_cast<std::size_t>(layer.tensor)].offset < 0 ||
                        loaded.view.data == stored.view.data); // no copy
            Buffer copy(4 * layer.numel());
            std::memcpy(copy.data(), loaded.view.data, static_cast<std::size_t>(copy.sizeBytes()));
            const Buffer back = toStoredOrder(layer, std::move(copy), m_context).value();
            QVERIFY2(sameBytes({Dtype::f32, stored.view.shape, back.data()}, stored.view), layer.name.c_str());
        }
    }

    void codesDoNotDependOnTheFile_data() { everyFile(); }
    void codesDoNotDependOnTheFile()
    {
        QFETCH(QString, file);
        open(file.toStdString());
        for (const std::string& scheme : exampleSchemes()) {
            const Candidate candidate{parseScheme(scheme).value(), {}, {}};
            if (candidate.weights.isKeep())
                continue;
            for (const auto& [name, weights] : kFiles.at(file.toStdString())) {
                const std::int64_t index = m_model->indexOf(name);
                const Layer& layer = m_model->layers[static_cast<std::size_t>(index)];
                const TensorData expected = weightsOf(layer, weights);
                const auto ofLayer = realize(*m_model, index, candidate, nullptr, m_context);
                const auto ofWeights = realize(expected.view, candidate, nullptr, m_context);
                QCOMPARE(ofLayer.has_value(), ofWeights.has_value());
                if (!ofLayer)
                    continue;
                QVERIFY2(tests::sameBits(*ofLayer, *ofWeights), (name + " " + scheme).c_str());
                QVERIFY(tests::sameBits(restore(*ofLayer, m_context).value(), restore(*ofWeights, m_context).value()));
            }
        }
    }

    void exportsVerify_data() { everyFile(); }
    void exportsVerify()
    {
        QFETCH(QString, file);
        open(file.toStdString());
        const Target& target = *findTarget("hdf5").value();
        for (const char* choice : {"*=int4:g16:asym", "*=mxfp4", "*=f16", "*=int8:channel"}) {
            const Plan plan = test::planOf(*m_model, {choice});
            const test::TemporaryFolder folder;
            const auto path = folder / "export.h5";
            QVERIFY(exportPlan(target, {*m_model, plan, nullptr}, path, m_context));
            QCOMPARE(test::bytesOnDisk(path), target.profile.fileBytes(*m_model, plan).value());
            const auto report = verifyExport(*m_model, path, nullptr, m_context);
            QVERIFY2(report && report->ok(), report ? test::problemsOf(*report).c_str() : "");
            // The restored weights lie in the order of the checkpoint.
            const auto written = openCheckpoint(path, m_context).value();
            for (const std::int64_t index : m_model->quantizableLayers()) {
                const Layer& layer = m_model->layers[static_cast<std::size_t>(index)];
                std::string group = layer.name;
                for (std::size_t at = 0; (at = group.find('/', at)) != std::string::npos;)
                    group.replace(at, 1, "%2F");
                const std::int64_t weights = written->indexOf("tensors/" + group + "/weights");
                QVERIFY2(weights >= 0, layer.name.c_str());
                const auto quantized =
                    realize(*m_model, index, plan.candidates[static_cast<std::size_t>(index)], nullptr, m_context);
                const Buffer restored = toStoredOrder(layer, restore(*quantized, m_context).value(), m_context).value();
                const Shape& shape = m_model->checkpoint->tensors()[static_cast<std::size_t>(layer.tensor)].shape;
                QVERIFY2(sameBytes(written->load(weights, m_context)->view, {Dtype::f32, shape, restored.data()}),
                         layer.name.c_str());
            }
        }
    }

    /// X[tokens, in] must have the layer's inputs, not those of the stored array.
    void activationsHaveInputs()
    {
        open("oriented.onnx");
        const test::TemporaryFolder folder;
        const auto write = [&](const char* name, std::int64_t width) {
            const std::vector<float> x = tests::normalSamples(3 * width);
            NpzWriter npz = NpzWriter::create(folder / name).value();
            return npz.add("a.right", "f4", Shape{3, width}, std::as_bytes(std::span(x))) && npz.commit();
        };
        QVERIFY(write("in.npz", 37) && write("out.npz", 24));
        const auto activations = openActivations(folder / "in.npz", *m_model, m_context);
        QVERIFY(activations);
        QCOMPARE((*activations)->statistics(m_model->indexOf("a.right"), m_context).value()->in, 37);
        QVERIFY(!openActivations(folder / "out.npz", *m_model, m_context));
    }

    /// An attribute that says another order is seen.
    void verifyReadsTheOrder()
    {
        open("oriented_gpt2");
        const Target& target = *findTarget("hdf5").value();
        const Plan plan = test::planOf(*m_model, {"*=int8:channel"});
        const test::TemporaryFolder folder;
        const auto path = folder / "export.h5";
        QVERIFY(exportPlan(target, {*m_model, plan, nullptr}, path, m_context));
        const std::string content = test::contentOf(path);
        const auto at = content.find("[1, 0]");
        QVERIFY(at != std::string::npos);
        test::flipBit(path, static_cast<std::int64_t>(at) + 1, 0);
        const auto report = verifyExport(*m_model, path, nullptr, m_context);
        QVERIFY(report && !report->ok());
        QVERIFY(test::problemsOf(*report).find("axes") != std::string::npos);
    }
};

QTEST_APPLESS_MAIN(StoredOrderTest)
#include "stored_order_test.moc"
