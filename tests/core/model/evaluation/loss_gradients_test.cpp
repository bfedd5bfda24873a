// SPDX-License-Identifier: GPL-3.0-or-later
// Gradients of the loss of tiny models of every kind: against differences of the loss itself, and against torch
// autograd.
#include "core/base/rng.h"
#include "core/checkpoint/reader.h"
#include "core/model/evaluation/hessian.h"
#include "core/model/evaluation/loss_gradients.h"
#include "core/model/frontends/frontend.h"
#include "tests/support/damaged_weights.h"

#include <QTest>

#include <cmath>

using namespace ql;

namespace {

const std::filesystem::path kModels = QL_TEST_DATA "/frontends";

/// The model's weights, one of them changed.
class Changed final : public graph::WeightSource {
public:
    Changed(const Model& model, std::int64_t layer, std::int64_t element, double by)
        : m_model(model), m_layer(layer), m_element(element), m_by(by)
    {}
    Result<TensorData> weights(std::int64_t layer, const JobContext& context) const override
    {
        QL_TRY(data, m_model.loadWeights(layer, context));
        const auto values = std::make_shared<std::vector<double>>(static_cast<std::size_t>(data.view.numel()));
        decode(data.view.dtype, data.view.data, 0, data.view.numel(), values->data());
        if (layer == m_layer)
            (*values)[static_cast<std::size_t>(m_element)] += m_by;
        return TensorData{.view = {.dtype = Dtype::f64,
                                   .shape = data.view.shape,
                                   .data = reinterpret_cast<const std::byte*>(values->data())},
                          .owner = values};
    }

private:
    const Model& m_model;
    std::int64_t m_layer, m_element;
    double m_by;
};

/// Mean of −ln p(next token), from whole logits.
double lossOf(const graph::Graph& graph, const graph::WeightSource& weights, const Windows& windows,
              const JobContext& context)
{
    graph::Values<double> values;
    graph::Array<std::int64_t> tokens({windows.count(), windows.length});
    std::ranges::copy(windows.ids, tokens.write());
    values[graph.inputs.front()].integers = tokens;
    if (const auto done = graph::forwardAll<double>(graph, weights, values, context); !done)
        qFatal("%s", describe(done.error()).c_str());
    const graph::Array<double>& logits = values.at(graph.outputs.front()).real;
    double sum = 0;
    for (std::int64_t i = 0; i < logits.rows(); ++i) {
        if (i % windows.length == windows.length - 1)
            continue;
        const double* row = logits.data() + i * logits.width();
        double total = 0;
        for (std::int64_t v = 0; v < logits.width(); ++v)
            total += std::exp(row[v]);
        sum += std::log(total) - row[windows.ids[static_cast<std::size_t>(i + 1)]];
    }
    return sum / static_cast<double>(windows.count() * (windows.length - 1));
}

Windows randomWindows(std::int64_t count, std::int64_t length, std::int64_t vocabulary)
{
    Windows windows{length, {}};
    const CounterRng rng(3);
    for (std::int64_t i = 0; i < count * length; ++i)
        windows.ids.push_back(
            static_cast<std::int64_t>(rng.uniform(static_cast<std::uint64_t>(i)) * static_cast<double>(vocabulary)));
    return windows;
}

} // namespace

class LossGradientsTest : public QObject {
    Q_OBJECT
private:
    Executor m_executor{2};
    JobContext m_context{m_executor};

private Q_SLOTS:
    void againstDifferenceQuotients_data()
    {
        QTest::addColumn<QString>("name");
        QTest::addColumn<int>("length");
        for (const char* name : {"llama", "llama_biases", "gemma2", "phi3_longrope", "granite", "mixtral", "qwen2_moe",
                                 "gpt2_options", "opt", "mamba", "mamba_biases"})
            QTest::newRow(name) << name << 13;
        QTest::newRow("three slices of the head") << "llama" << 300;
    }
    void againstDifferenceQuotients()
    {
        QFETCH(QString, name);
        QFETCH(int, length);
        const auto model = openModel(kModels / name.toStdString(), m_context).value();
        const graph::Graph graph = buildGraph(*model).value();
        const Windows windows = randomWindows(2, length, 37);
        const graph::CheckpointWeights weights(*model);
        const LossFunction loss{graph, weights, windows, model->quantizableLayers()};
        const std::vector<double> gradient = lossGradient<double>(loss, m_context).value();
        QCOMPARE(std::ssize(gradient), weightCount(loss, m_context).value());
        double largest = 0;
        for (const double value : gradient)
            largest = std::max(largest, std::fabs(value));
        constexpr double kStep = 1e-4;
        std::int64_t offset = 0;
        std::uint64_t chosen = 0;
        for (const std::int64_t layer : loss.layers) {
            const std::int64_t n = model->layers[static_cast<std::size_t>(layer)].numel();
            for (int i = 0; i < (length > 100 ? 1 : 4); ++i) {
                const auto element =
                    static_cast<std::int64_t>(CounterRng(5).bits(++chosen) % static_cast<std::uint64_t>(n));
                const double ahead = lossOf(graph, Changed(*model, layer, element, kStep), windows, m_context);
                const double behind = lossOf(graph, Changed(*model, layer, element, -kStep), windows, m_context);
                const double difference =
                    (ahead - behind) / (2 * kStep) - gradient[static_cast<std::size_t>(offset + element)];
                QVERIFY2(std::fabs(difference) <= 1e-5 * largest,
                         qPrintable(QString::fromStdString(model->layers[static_cast<std::size_t>(layer)].name) +
                                    QStringLiteral(" %1 of %2").arg(difference).arg(largest)));
            }
            offset += n;
        }
    }

    void againstTorch_data()
    {
        QTest::addColumn<QString>("name");
        for (const char* name : {"llama", "qwen2", "gemma2", "gpt2", "opt_350m", "mamba"})
            QTest::newRow(name) << name;
    }
    void againstTorch()
    {
        QFETCH(QString, name);
        const auto model = openModel(kModels / name.toStdString(), m_context).value();
        const graph::Graph graph = buildGraph(*model).value();
        const auto golden =
            openCheckpoint(std::filesystem::path(QL_TEST_DATA "/gradients") / (name.toStdString() + ".npz"), m_context)
                .value();
        const auto read = [&](const std::string& entry) {
            const auto data = golden->load(golden->indexOf(entry), m_context).value();
            std::vector<double> values(static_cast<std::size_t>(data.view.numel()));
            decode(data.view.dtype, data.view.data, 0, data.view.numel(), values.data());
            return values;
        };
        const std::vector<double> tokens = read("tokens");
        const Windows first{13, {tokens.begin(), tokens.begin() + 13}};
        const graph::CheckpointWeights weights(*model);
        for (const std::int64_t layer : model->quantizableLayers()) {
            const std::string entry = "gradient/" + model->layers[static_cast<std::size_t>(layer)].name;
            QVERIFY2(golden->indexOf(entry) >= 0, entry.c_str());
            const std::vector<double> expected = read(entry);
            const LossFunction loss{graph, weights, first, {layer}};
            const std::vector<double> exact = lossGradient<double>(loss, m_context).value();
            const std::vector<double> inFloat = lossGradient<float>(loss, m_context).value();
            QCOMPARE(exact.size(), expected.size());
            double largest = 0;
            for (const double value : expected)
                largest = std::max(largest, std::fabs(value));
            for (std::size_t i = 0; i < expected.size(); ++i) {
                QVERIFY2(std::fabs(12 * exact[i] - expected[i]) <= 1e-7 * largest, entry.c_str());
                QVERIFY2(std::fabs(12 * inFloat[i] - expected[i]) <= 2e-5 * largest, entry.c_str());
            }
        }
    }

    void equalBitsForAnyThreadCount()
    {
        const auto model = openModel(std::filesystem::path(QL_SOURCE_DIR) / "resources/sample", m_context).value();
        const graph::Graph graph = buildGraph(*model).value();
        const Windows windows = randomWindows(1, 150, 1024);
        const graph::CheckpointWeights weights(*model);
        const LossFunction loss{graph, weights, windows, model->quantizableLayers()};
        const std::vector<double> gradient = lossGradient<float>(loss, m_context).value();
        for (const Executor::Backend backend : {Executor::Backend::tbb, Executor::Backend::threads})
            for (const int threads : {1, 3}) {
                Executor executor(threads, backend);
                QVERIFY(lossGradient<float>(loss, JobContext(executor)).value() == gradient);
            }
    }

    void stops()
    {
        const auto model = openModel(kModels / "llama", m_context).value();
        const graph::Graph graph = buildGraph(*model).value();
        const Windows windows = randomWindows(1, 13, 37);
        const graph::CheckpointWeights weights(*model);
        std::stop_source stop;
        stop.request_stop();
        const auto stopped = lossGradient<double>({graph, weights, windows, model->quantizableLayers()},
                                                  JobContext(m_executor, stop.get_token()));
        QVERIFY(!stopped);
        QCOMPARE(stopped.error().code, Errc::cancelled);
    }

    void modelsWithoutHeadAreRefused()
    {
        const auto model = openModel(kModels / "llama_headless", m_context).value();
        const graph::Graph graph = buildGraph(*model).value();
        const Windows windows = randomWindows(1, 13, 37);
        const graph::CheckpointWeights weights(*model);
        const auto refusal = lossGradient<float>({graph, weights, windows, model->quantizableLayers()}, m_context);
        QVERIFY(!refusal);
        QCOMPARE(refusal.error().code, Errc::refused);
    }

    void logitsThatAreNotFiniteAreRefused()
    {
        const auto model = openModel(kModels / "llama", m_context).value();
        const graph::Graph graph = buildGraph(*model).value();
        const Windows windows = randomWindows(1, 13, 37);
        const test::DamagedWeights weights(*model, model->quantizableLayers().back());
        const auto refusal = lossGradient<float>({graph, weights, windows, model->quantizableLayers()}, m_context);
        QVERIFY(!refusal);
        QVERIFY2(refusal.error().what.find("are not finite") != std::string::npos, refusal.error().what.c_str());
    }

    void labelsFollowTheProbabilities()
    {
        const std::vector<float> p{0.5F, 0.0F, 0.3F, 0.2F, 0.0F};
        const Labels<float> labels = sampledLabels<float>(11);
        std::vector<int> counts(5);
        constexpr int kDraws = 20000;
        for (int i = 0; i < kDraws; ++i)
            ++counts[static_cast<std::size_t>(labels(i / 100, i % 100, p))];
        for (std::size_t k = 0; k < 5; ++k) {
            const double mean = static_cast<double>(p[k]) * kDraws;
            QVERIFY(std::fabs(counts[k] - mean) <= 4 * std::sqrt(mean));
        }
        QCOMPARE(labels(3, 4, p), sampledLabels<float>(11)(3, 4, p));
    }
};

QTEST_APPLESS_MAIN(LossGradientsTest)
#include "loss_gradients_test.moc"
