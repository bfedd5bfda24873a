// SPDX-License-Identifier: GPL-3.0-or-later
// The divergence of a version from a model and its gradient: against differences of a divergence that is computed from
// whole logits.
#include "core/base/rng.h"
#include "core/model/evaluation/divergence_gradients.h"
#include "core/model/frontends/frontend.h"
#include "tests/support/damaged_weights.h"

#include <QTest>

#include <cmath>

using namespace ql;

namespace {

const std::filesystem::path kModels = QL_TEST_DATA "/frontends";

/// The model's weights, all a little off, and one element more so.
class Off final : public graph::WeightSource {
public:
    explicit Off(const Model& model, std::int64_t layer = -1, std::int64_t element = 0, double by = 0)
        : m_model(model), m_layer(layer), m_element(element), m_by(by)
    {}
    Result<TensorData> weights(std::int64_t layer, const JobContext& context) const override
    {
        QL_TRY(data, m_model.loadWeights(layer, context));
        const auto values = std::make_shared<std::vector<double>>(static_cast<std::size_t>(data.view.numel()));
        decode(data.view.dtype, data.view.data, 0, data.view.numel(), values->data());
        const CounterRng rng(9, static_cast<std::uint64_t>(layer));
        for (std::size_t i = 0; i < values->size(); ++i)
            (*values)[i] *= 1 + 0.2 * rng.normal(i);
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

graph::Array<double> logitsOf(const graph::Graph& graph, const graph::WeightSource& weights, const Windows& windows,
                              const JobContext& context)
{
    graph::Values<double> values;
    graph::Array<std::int64_t> tokens({windows.count(), windows.length});
    std::ranges::copy(windows.ids, tokens.write());
    values[graph.inputs.front()].integers = tokens;
    if (const auto done = graph::forwardAll<double>(graph, weights, values, context); !done)
        qFatal("%s", describe(done.error()).c_str());
    return values.at(graph.outputs.front()).real;
}

std::vector<double> probabilities(const double* row, std::int64_t n)
{
    std::vector<double> p(row, row + n);
    double total = 0;
    for (double& value : p)
        total += value = std::exp(value);
    for (double& value : p)
        value /= total;
    return p;
}

/// One row of a layer's weights times e^by.
class RowTimes final : public graph::WeightSource {
public:
    RowTimes(const graph::WeightSource& base, std::int64_t layer, std::int64_t row, double by)
        : m_base(base), m_layer(layer), m_row(row), m_by(by)
    {}
    Result<TensorData> weights(std::int64_t layer, const JobContext& context) const override
    {
        QL_TRY(data, m_base.weights(layer, context));
        if (layer != m_layer)
            return data;
        const auto* const begin = reinterpret_cast<const double*>(data.view.data);
        const auto values = std::make_shared<std::vector<double>>(begin, begin + data.view.numel());
        const std::int64_t cols = data.view.numel() / data.view.shape.front();
        for (std::int64_t i = m_row * cols; i < (m_row + 1) * cols; ++i)
            (*values)[static_cast<std::size_t>(i)] *= std::exp(m_by);
        return TensorData{.view = {.dtype = Dtype::f64,
                                   .shape = data.view.shape,
                                   .data = reinterpret_cast<const std::byte*>(values->data())},
                          .owner = values};
    }

private:
    const graph::WeightSource& m_base;
    std::int64_t m_layer, m_row;
    double m_by;
};

/// Mean over all positions of some windows.
double divergenceOf(const graph::Graph& graph, const graph::WeightSource& model, const graph::WeightSource& version,
                    const Windows& windows, const std::vector<std::int64_t>& chosen, const JobContext& context)
{
    const auto own = logitsOf(graph, model, windows, context);
    const auto its = logitsOf(graph, version, windows, context);
    double sum = 0;
    for (const std::int64_t window : chosen)
        for (std::int64_t r = window * windows.length; r < (window + 1) * windows.length; ++r) {
            const auto p = probabilities(own.data() + r * own.width(), own.width());
            const auto q = probabilities(its.data() + r * own.width(), own.width());
            for (std::size_t v = 0; v < p.size(); ++v)
                sum += p[v] * std::log(p[v] / q[v]);
        }
    return sum / static_cast<double>(std::ssize(chosen) * windows.length);
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

class DivergenceGradientsTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};

private Q_SLOTS:
    void againstDifferenceQuotients_data()
    {
        QTest::addColumn<QString>("name");
        QTest::addColumn<int>("length");
        for (const char* name : {"llama", "qwen3", "gemma2", "gpt2", "opt", "mamba"})
            QTest::newRow(name) << name << 13;
        QTest::newRow("three slices of the head") << "llama" << 300;
    }
    /// Of all norms and biases, and of a layer's weights.
    void againstDifferenceQuotients()
    {
        QFETCH(QString, name);
        QFETCH(int, length);
        if (!std::filesystem::exists(kModels / name.toStdString()))
            QSKIP("there is no such model");
        const auto model = openModel(kModels / name.toStdString(), m_context).value();
        const graph::Graph graph = buildGraph(*model).value();
        const Windows windows = randomWindows(3, length, 37);
        const graph::CheckpointWeights own(*model);
        const Off version(*model);
        const auto states = HeadStates<double>::of(graph, own, windows, m_context).value();
        const std::vector<std::int64_t> chosen{2, 0};
        std::vector<std::int64_t> layers{model->quantizableLayers().back()};
        for (std::size_t i = 0; i < model->layers.size(); ++i)
            if (model->layers[i].op == Operator::norm || model->layers[i].op == Operator::bias)
                layers.push_back(static_cast<std::int64_t>(i));
        const DivergenceGradient found =
            divergenceGradient<double>({graph, version, states, windows, chosen, layers}, m_context).value();
        const double kld = divergenceOf(graph, own, version, windows, chosen, m_context);
        QVERIFY(kld > 1e-4);
        QVERIFY2(std::fabs(found.kld - kld) <= 1e-10 * kld, qPrintable(QString::number(found.kld / kld - 1)));
        double largest = 0;
        for (const double value : found.gradient)
            largest = std::max(largest, std::fabs(value));
        constexpr double kStep = 1e-4;
        std::int64_t offset = 0;
        std::uint64_t drawn = 0;
        for (const std::int64_t layer : layers) {
            const std::int64_t n = model->layers[static_cast<std::size_t>(layer)].numel();
            const auto element = static_cast<std::int64_t>(CounterRng(5).bits(++drawn) % static_cast<std::uint64_t>(n));
            const auto at = [&](double by) {
                return divergenceOf(graph, own, Off(*model, layer, element, by), windows, chosen, m_context);
            };
            const double difference =
                (at(kStep) - at(-kStep)) / (2 * kStep) - found.gradient[static_cast<std::size_t>(offset + element)];
            QVERIFY2(std::fabs(difference) <= 1e-5 * largest,
                     qPrintable(QString::fromStdString(model->layers[static_cast<std::size_t>(layer)].name) +
                                QStringLiteral(" %1 of %2").arg(difference).arg(largest)));
            offset += n;
            if (length > 100 && drawn == 3)
                break;
        }
    }

    void rowFactorsAgainstDifferenceQuotients_data()
    {
        QTest::addColumn<QString>("name");
        for (const char* name : {"llama", "qwen2", "gpt2", "mixtral"})
            QTest::newRow(name) << name;
    }
    /// Of linear layers with and without biases, and of experts; beside those of a norm.
    void rowFactorsAgainstDifferenceQuotients()
    {
        QFETCH(QString, name);
        if (!std::filesystem::exists(kModels / name.toStdString()))
            QSKIP("there is no such model");
        const auto model = openModel(kModels / name.toStdString(), m_context).value();
        const graph::Graph graph = buildGraph(*model).value();
        const Windows windows = randomWindows(2, 11, 37);
        const graph::CheckpointWeights own(*model);
        const Off version(*model);
        const auto states = HeadStates<double>::of(graph, own, windows, m_context).value();
        std::vector<std::int64_t> norms;
        std::vector<LayerRows> factored;
        for (std::size_t i = 0; i < model->layers.size(); ++i) {
            const Layer& layer = model->layers[i];
            if (layer.op == Operator::norm && norms.empty())
                norms.push_back(static_cast<std::int64_t>(i));
            if (layer.op == Operator::linear && layer.quantizable && layer.block == 0)
                factored.push_back({static_cast<std::int64_t>(i), layer.shape.front()});
        }
        QVERIFY(factored.size() >= 4);
        const DivergenceGradient found =
            divergenceGradient<double>({graph, version, states, windows, {0, 1}, norms, factored}, m_context).value();
        const auto count = static_cast<std::size_t>(model->layers[static_cast<std::size_t>(norms.front())].numel());
        const DivergenceGradient ofNorm =
            divergenceGradient<double>({graph, version, states, windows, {0, 1}, norms}, m_context).value();
        QCOMPARE(std::vector(found.gradient.begin(), found.gradient.begin() + static_cast<std::ptrdiff_t>(count)),
                 ofNorm.gradient);
        double largest = 0;
        for (std::size_t i = count; i < found.gradient.size(); ++i)
            largest = std::max(largest, std::fabs(found.gradient[i]));
        QVERIFY(largest > 1e-4);
        constexpr double kStep = 1e-4;
        std::size_t offset = count;
        std::uint64_t drawn = 0;
        for (const LayerRows& its : factored) {
            const auto row =
                static_cast<std::int64_t>(CounterRng(6).bits(++drawn) % static_cast<std::uint64_t>(its.rows));
            const auto at = [&](double by) {
                return divergenceOf(graph, own, RowTimes(version, its.layer, row, by), windows, {0, 1}, m_context);
            };
            const double difference =
                (at(kStep) - at(-kStep)) / (2 * kStep) - found.gradient[offset + static_cast<std::size_t>(row)];
            QVERIFY2(std::fabs(difference) <= 1e-5 * largest,
                     qPrintable(QString::fromStdString(model->layers[static_cast<std::size_t>(its.layer)].name) +
                                QStringLiteral(" %1 of %2").arg(difference).arg(largest)));
            offset += static_cast<std::size_t>(its.rows);
        }
        QCOMPARE(offset, found.gradient.size());
        // The table of tokens is no linear node.
        std::int64_t embedding = -1;
        for (std::size_t i = 0; i < model->layers.size(); ++i)
            if (model->layers[i].op == Operator::embedding)
                embedding = static_cast<std::int64_t>(i);
        const auto refused = divergenceGradient<double>(
            {graph,
             version,
             states,
             windows,
             {0, 1},
             {},
             {{embedding, model->layers[static_cast<std::size_t>(embedding)].shape.front()}}},
            m_context);
        QVERIFY(!refused && refused.error().code == Errc::refused);
    }

    void floatsAgreeAndThreadsDoNotMatter()
    {
        const auto model = openModel(kModels / "llama", m_context).value();
        const graph::Graph graph = buildGraph(*model).value();
        const Windows windows = randomWindows(2, 40, 37);
        const graph::CheckpointWeights own(*model);
        const Off version(*model);
        std::vector<std::int64_t> layers;
        for (std::size_t i = 0; i < model->layers.size(); ++i)
            if (model->layers[i].op == Operator::norm)
                layers.push_back(static_cast<std::int64_t>(i));
        const auto exactStates = HeadStates<double>::of(graph, own, windows, m_context).value();
        const auto exact =
            divergenceGradient<double>({graph, version, exactStates, windows, {0, 1}, layers}, m_context).value();
        const auto versionStates = HeadStates<double>::of(graph, version, windows, m_context).value();
        const double mean = meanDivergence(exactStates, versionStates, m_context).value();
        QVERIFY(std::fabs(mean - exact.kld) <= 1e-12 * exact.kld);
        double largest = 0;
        for (const double value : exact.gradient)
            largest = std::max(largest, std::fabs(value));
        std::vector<double> first;
        for (const int threads : {1, 3}) {
            Executor executor(threads);
            const JobContext context(executor);
            const auto states = HeadStates<float>::of(graph, own, windows, context).value();
            const auto found =
                divergenceGradient<float>({graph, version, states, windows, {0, 1}, layers}, context).value();
            QVERIFY(std::fabs(found.kld - exact.kld) <= 1e-5 * exact.kld);
            for (std::size_t i = 0; i < exact.gradient.size(); ++i)
                QVERIFY(std::fabs(found.gradient[i] - exact.gradient[i]) <= 1e-4 * largest);
            if (first.empty())
                first = found.gradient;
            QVERIFY(first == found.gradient);
        }
    }

    void saysWhatIsNotFinite()
    {
        const auto model = openModel(kModels / "llama", m_context).value();
        const graph::Graph graph = buildGraph(*model).value();
        const Windows windows = randomWindows(2, 5, 37);
        const graph::CheckpointWeights own(*model);
        const auto states = HeadStates<float>::of(graph, own, windows, m_context).value();
        const test::DamagedWeights damaged(*model, model->indexOf("model.norm.weight"));
        const auto failed = divergenceGradient<float>(
            {graph, damaged, states, windows, {1}, {model->indexOf("model.norm.weight")}}, m_context);
        QVERIFY(!failed);
        QVERIFY2(failed.error().what.find("window 2") != std::string::npos, failed.error().what.c_str());
    }
};

QTEST_APPLESS_MAIN(DivergenceGradientsTest)
#include "divergence_gradients_test.moc"
