// SPDX-License-Identifier: GPL-3.0-or-later
// The Fisher diagonal of tiny models against torch's per-window gradients of labels drawn the same way; of the sample
// against itself under interruption, batches and threads; and what the metric makes of it.
#include "core/model/evaluation/loss_gradients.h"
#include "core/sensitivity/metric.h"
#include "core/tensor/half.h"
#include "tests/support/language_model.h"

#include <algorithm>
#include <cmath>

using namespace ql;
using test::MemorySink;

namespace {

std::vector<double> numbers(const Checkpoint& file, const std::string& entry, const JobContext& context)
{
    const auto data = file.load(file.indexOf(entry), context).value();
    std::vector<double> values(static_cast<std::size_t>(data.view.numel()));
    decode(data.view.dtype, data.view.data, 0, data.view.numel(), values.data());
    return values;
}

/// Σ g·gᵀ of each layer's outputs, one product after the other.
class OutputGradients final : public GradientSink<float> {
public:
    std::map<std::int64_t, std::vector<double>> products;

    bool wants(std::size_t, std::int64_t) const override { return true; }
    Result<void> enter(std::size_t) override { return {}; }
    Result<void> leave(std::size_t) override { return {}; }
    Result<void> add(std::int64_t layer, std::span<const WeightUse<float>> uses) override
    {
        for (const WeightUse<float>& use : uses) {
            if (!use.input)
                continue;
            const std::int64_t n = use.outputGradient.width();
            std::vector<double>& sums = products[layer];
            sums.resize(static_cast<std::size_t>(n * n));
            for (std::int64_t t = 0; t < use.outputGradient.rows(); ++t) {
                const float* g = use.outputGradient.data() + t * n;
                for (std::int64_t i = 0; i < n; ++i)
                    for (std::int64_t j = 0; j < n; ++j)
                        sums[static_cast<std::size_t>(i * n + j)] +=
                            static_cast<double>(g[i]) * static_cast<double>(g[j]);
            }
        }
        return {};
    }
};

} // namespace

class FisherTest : public QObject {
    Q_OBJECT
private:
    Executor m_executor{2};
    JobContext m_context{m_executor};
    test::LanguageModel m_sample; // three windows

    Result<void> run(ResultSink& sink, const FisherSettings& settings, const JobContext& context) const
    {
        const graph::CheckpointWeights weights(*m_sample.model);
        return estimateFisher({*m_sample.model, m_sample.graph, weights, m_sample.windows, settings, sink, {}},
                              context);
    }
    Result<void> run(ResultSink& sink, const FisherSettings& settings) const { return run(sink, settings, m_context); }

private Q_SLOTS:
    void initTestCase()
    {
        const std::vector<std::int64_t> ids = test::sampleTokens(m_context);
        m_sample = test::languageModel(
            test::kSampleFolder, 64, 3, [&](std::int64_t i) { return ids[static_cast<std::size_t>(i)]; }, m_context);
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
        const std::string file = name.toStdString();
        const auto golden =
            openCheckpoint(std::filesystem::path(QL_TEST_DATA "/gradients") / (file + ".npz"), m_context).value();
        const std::vector<double> tokens = numbers(*golden, "tokens", m_context);
        const auto [model, graph, windows] = test::languageModel(
            std::filesystem::path(QL_TEST_DATA "/frontends") / file, 13, std::ssize(tokens) / 13,
            [&](std::int64_t i) { return static_cast<std::int64_t>(tokens[static_cast<std::size_t>(i)]); }, m_context);
        const graph::CheckpointWeights weights(*model);
        const auto sink = std::make_shared<MemorySink>();
        const FisherSettings settings{
            .windows = 0, .seed = 7, .batchWindows = 2, .gramLimit = 1000, .outputGram = true};
        const auto activations = test::calibrated(model, windows, settings, sink, m_context);
        int linear = 0;
        OutputGradients gradients;
        QVERIFY(lossGradients<float>({graph, weights, windows, 0, windows.count(), sampledLabels<float>(settings.seed)},
                                     gradients, m_context));
        for (const std::int64_t index : model->quantizableLayers()) {
            const Layer& layer = model->layers[static_cast<std::size_t>(index)];
            const auto fisher = keptFisher(*sink, layer.name);
            QVERIFY(fisher);
            QCOMPARE(fisher->windows(), 3);
            const std::vector<double> expected = numbers(*golden, "fisher/" + layer.name, m_context);
            std::vector<double> found(expected.size());
            fisher->read(0, std::ssize(expected), found.data());
            double total = 0;
            double expectedTotal = 0;
            double largest = 0;
            for (const double value : expected)
                largest = std::max(largest, value);
            for (std::size_t i = 0; i < expected.size(); ++i) {
                // Two roundings to 8 bits; what is small beside the largest has the error of float gradients.
                const double tolerance =
                    0.0157 * expected[i] + 1e-6 * std::sqrt(largest * expected[i]) + 1e-10 * largest;
                QVERIFY2(std::fabs(found[i] - expected[i]) <= tolerance, layer.name.c_str());
                total += found[i];
                expectedTotal += expected[i];
            }
            QVERIFY(std::fabs(total - expectedTotal) <= 2e-3 * expectedTotal); // rounding is not biased
            const std::vector<double> outputs = fisher->outputMeanSquares();
            const std::string entry = "outputs/" + layer.name;
            if (golden->indexOf(entry) < 0)
                continue;
            ++linear;
            const std::vector<double> expectedOutputs = numbers(*golden, entry, m_context);
            QCOMPARE(outputs.size(), expectedOutputs.size());
            const double largestOutput = std::ranges::max(expectedOutputs);
            for (std::size_t i = 0; i < outputs.size(); ++i)
                QVERIFY2(std::fabs(outputs[i] - expectedOutputs[i]) <=
                             1e-3 * expectedOutputs[i] + 1e-6 * largestOutput, // float gradients cancel
                         entry.c_str());
            const std::vector<double> gram = numbers(*golden, "loss_gram/" + layer.name, m_context);
            const auto statistics = activations->statistics(index, m_context).value();
            QCOMPARE(statistics->lossGram.size(), gram.size());
            QCOMPARE(statistics->gram.size(), gram.size());
            // S: symmetric, its diagonal torch's squares; products of two outputs from the gradients themselves.
            const auto n = outputs.size();
            QCOMPARE(statistics->outputGram.size(), n * n);
            const std::vector<double>& products = gradients.products.at(index);
            for (std::size_t i = 0; i < n; ++i)
                QVERIFY(std::fabs(static_cast<double>(statistics->outputGram[i * (n + 1)]) /
                                      static_cast<double>(tokens.size()) -
                                  expectedOutputs[i]) <= 1e-3 * expectedOutputs[i] + 1e-6 * largestOutput);
            for (std::size_t i = 0; i < n * n; ++i)
                QVERIFY2(std::fabs(static_cast<double>(statistics->outputGram[i]) - products[i]) <=
                             1e-6 * largestOutput * static_cast<double>(tokens.size()),
                         layer.name.c_str());
            const double largestProduct = std::ranges::max(gram);
            for (std::size_t i = 0; i < gram.size(); ++i)
                QVERIFY2(std::fabs(static_cast<double>(statistics->lossGram[i]) - gram[i]) <= 1e-4 * largestProduct,
                         layer.name.c_str());
        }
        QVERIFY(linear >= 7);
    }

    void interruptionsAndThreadsGiveTheSame()
    {
        MemorySink whole;
        const FisherSettings settings{
            .windows = 0, .seed = 5, .batchWindows = 1, .gramLimit = 100'000, .outputGram = true};
        QVERIFY(run(whole, settings));
        // The embedding is the head, too, and as such has Gram matrices of its inputs and outputs.
        QCOMPARE(whole.pieces.size(), std::size_t{1 + 4 * 7 + 1 + 2 * (4 * 7 + 1)});
        for (const int kept : {0, 1, 5, 58, 59, 60, 88, 170}) {
            MemorySink sink;
            sink.untilFailure = kept;
            const auto failed = run(sink, settings);
            QVERIFY(!failed);
            QCOMPARE(failed.error().code, Errc::io);
            sink.untilFailure = -1;
            Executor other(3, Executor::Backend::threads);
            // A larger batch stops where the interrupted one would have.
            QVERIFY(run(sink, settings, JobContext(other)));
            QVERIFY2(sink.pieces == whole.pieces, qPrintable(QString::number(kept)));
        }
    }

    /// A study of an older run gets what it lacks without another run's Fisher diagonals; layers may be too wide.
    void lossGramsAreAddedToWhatIsThere()
    {
        MemorySink whole;
        const FisherSettings settings{
            .windows = 0, .seed = 5, .batchWindows = 1, .gramLimit = 100'000, .outputGram = true};
        QVERIFY(run(whole, settings));
        MemorySink sink;
        QVERIFY(run(sink, {.windows = 0, .seed = 5, .batchWindows = 1}));
        const std::string fingerprint =
            calibratedActivations(std::make_shared<MemorySink>(sink), findCalibration(sink, *m_sample.model), "here")
                ->fingerprint();
        FisherSettings ofInputs = settings; // no S unless asked for
        ofInputs.outputGram = false;
        MemorySink less = sink;
        QVERIFY(run(less, ofInputs));
        QCOMPARE(less.pieces.size(), whole.pieces.size() - (4 * 7 + 1));
        const std::string up0 = "model.layers.0.mlp.up_proj.weight";
        QVERIFY(less.pieces.contains(lossGramKey(up0, 0)) && !less.pieces.contains(outputGramKey(up0, 0)));
        QVERIFY(run(sink, settings));
        QVERIFY(sink.pieces == whole.pieces);
        const auto found =
            calibratedActivations(std::make_shared<MemorySink>(sink), findCalibration(sink, *m_sample.model), "here");
        QVERIFY(found->fingerprint() != fingerprint);
        QVERIFY(found->layers().empty());
        MemorySink copied;
        QVERIFY(copyCalibration(sink, copied, *m_sample.model));
        QVERIFY(copied.pieces == sink.pieces);

        const std::int64_t down = m_sample.model->indexOf("model.layers.2.mlp.down_proj.weight");
        const std::int64_t up = m_sample.model->indexOf("model.layers.2.mlp.up_proj.weight");
        const std::int64_t hidden = m_sample.model->layers[static_cast<std::size_t>(up)].shape[1];
        QVERIFY(m_sample.model->layers[static_cast<std::size_t>(down)].shape[1] > hidden);
        MemorySink narrow;
        QVERIFY(run(narrow, {.windows = 1, .seed = 5, .batchWindows = 1, .gramLimit = hidden, .gramOf = {down}}));
        std::int64_t wide = 0;
        for (std::int64_t layer = 0; layer < std::ssize(m_sample.model->layers); ++layer) {
            const Layer& its = m_sample.model->layers[static_cast<std::size_t>(layer)];
            if (its.shape.size() == 2 && its.shape[1] > hidden) {
                ++wide;
                QCOMPARE(narrow.pieces.contains(lossGramKey(its.name, 0)), layer == down);
            }
        }
        QVERIFY(wide > 1);
        QVERIFY(narrow.pieces.contains(lossGramKey("model.layers.2.mlp.up_proj.weight", 0)));
        const auto& bytes = narrow.pieces.at(lossGramKey("model.layers.2.mlp.up_proj.weight", 0));
        QVERIFY(LayerLossGram::decode(bytes));
        for (std::size_t size = 0; size < bytes.size(); size += 997)
            QVERIFY(!LayerLossGram::decode(std::span(bytes).first(size)));
    }

    void moreWindowsContinue()
    {
        MemorySink whole;
        QVERIFY(run(whole, {.windows = 0, .seed = 5, .batchWindows = 1}));
        MemorySink grown;
        QVERIFY(run(grown, {.windows = 1, .seed = 5, .batchWindows = 4}));
        const std::string name =
            m_sample.model->layers[static_cast<std::size_t>(m_sample.model->quantizableLayers()[2])].name;
        QCOMPARE(keptFisher(grown, name)->windows(), 1);
        QVERIFY(run(grown, {.windows = 0, .seed = 5, .batchWindows = 1}));
        QVERIFY(grown.pieces == whole.pieces);
        const auto before = grown.pieces;
        QVERIFY(run(grown, {.windows = 2, .seed = 5, .batchWindows = 1})); // nothing is left to do
        QVERIFY(grown.pieces == before);
        QVERIFY(run(grown, {.windows = 2, .seed = 6, .batchWindows = 1})); // other labels: from the start
        QCOMPARE(keptFisher(grown, name)->windows(), 2);
        // A batch that was cut short among its segments is finished as it was begun, whatever batches follow.
        MemorySink mixed;
        mixed.untilFailure = 12;
        QVERIFY(!run(mixed, {.windows = 0, .seed = 5, .batchWindows = 2}));
        mixed.untilFailure = -1;
        QVERIFY(run(mixed, {.windows = 0, .seed = 5, .batchWindows = 64}));
        for (const auto& [key, bytes] : mixed.pieces)
            QCOMPARE(LayerFisher::decode(bytes)->windows, 3);
    }

    void expertsOfAStackKeepTheirOwn()
    {
        std::shared_ptr<MemorySink> sinks[2];
        std::shared_ptr<const Model> models[2];
        std::shared_ptr<const Activations> activations[2];
        for (const std::size_t stacked : {0U, 1U}) {
            const std::filesystem::path folder = QL_TEST_DATA "/frontends/mixtral";
            const auto its = test::languageModel(
                stacked ? folder / "model.gguf" : folder, 16, 3, [](std::int64_t i) { return (i * i + 5 * i) % 37; },
                m_context);
            models[stacked] = its.model;
            sinks[stacked] = std::make_shared<MemorySink>();
            activations[stacked] = test::calibrated(
                its.model, its.windows, {.seed = 3, .gramLimit = 1000, .outputGram = true}, sinks[stacked], m_context);
        }
        for (const auto& [own, stack] : {std::pair("w1", "gate"), {"w3", "up"}, {"w2", "down"}}) {
            const auto all = keptFisher(*sinks[1], std::string("blk.1.ffn_") + stack + "_exps.weight");
            QVERIFY(all);
            const auto seen =
                activations[1]
                    ->statistics(models[1]->indexOf(std::string("blk.1.ffn_") + stack + "_exps.weight"), m_context)
                    .value();
            QCOMPARE(seen->parts.size(), std::size_t{3});
            for (std::int64_t expert = 0; expert < 3; ++expert) {
                const std::string name =
                    "model.layers.1.block_sparse_moe.experts." + std::to_string(expert) + "." + own + ".weight";
                const auto its = keptFisher(*sinks[0], name);
                QVERIFY(its);
                const auto alone = activations[0]->statistics(models[0]->indexOf(name), m_context).value();
                const std::vector<float>& part = seen->parts[static_cast<std::size_t>(expert)].lossGram;
                QCOMPARE(part.size(), alone->lossGram.size());
                QCOMPARE(part.empty(), alone->isEmpty()); // no token went there
                const float heaviest = part.empty() ? 0 : std::ranges::max(part);
                for (std::size_t i = 0; i < part.size(); ++i)
                    QVERIFY(std::fabs(part[i] - alone->lossGram[i]) <= 1e-4F * heaviest);
                const std::vector<float>& felt = seen->parts[static_cast<std::size_t>(expert)].outputGram;
                QCOMPARE(felt.size(), alone->outputGram.size());
                const float most = felt.empty() ? 0 : std::ranges::max(felt);
                for (std::size_t i = 0; i < felt.size(); ++i)
                    QVERIFY(std::fabs(felt[i] - alone->outputGram[i]) <= 1e-4F * most);
                std::vector<double> wanted(9 * 20);
                std::vector<double> found(9 * 20);
                its->read(0, 9 * 20, wanted.data());
                all->read(expert * 9 * 20, 9 * 20, found.data());
                const double largest = std::ranges::max(wanted);
                for (std::size_t i = 0; i < wanted.size(); ++i) // two roundings to 8 bits
                    QVERIFY(std::fabs(found[i] - wanted[i]) <= 0.0157 * wanted[i] + 1e-4 * largest);
            }
        }
    }

    void stopsAndSaysWhatItTakes()
    {
        MemorySink sink;
        std::stop_source stop;
        const graph::CheckpointWeights weights(*m_sample.model);
        FisherTask task{*m_sample.model,
                        m_sample.graph,
                        weights,
                        m_sample.windows,
                        {.windows = 0, .seed = 5, .batchWindows = 1, .gramLimit = 1000, .outputGram = true},
                        sink,
                        {}};
        std::vector<std::int64_t> through;
        task.onBatch = [&](std::int64_t windows) {
            through.push_back(windows);
            if (windows == 2)
                stop.request_stop();
            return Result<void>();
        };
        Progress progress;
        const auto stopped = estimateFisher(task, JobContext(m_executor, stop.get_token(), &progress));
        QVERIFY(!stopped);
        QCOMPARE(stopped.error().code, Errc::cancelled);
        QCOMPARE(through, (std::vector<std::int64_t>{1, 2}));
        QVERIFY(std::fabs(progress.fraction() - 2.0 / 3) < 1e-9);
        std::int64_t bytes = 0;
        for (const auto& [key, piece] : sink.pieces)
            bytes += std::ssize(piece);
        const auto costOf = [&](std::int64_t windows) {
            return fisherCost(*m_sample.model, m_sample.graph,
                              {.windows = windows, .gramLimit = 1000, .outputGram = true}, m_sample.windows.count(),
                              m_sample.windows.length);
        };
        QVERIFY(std::fabs(static_cast<double>(costOf(0).resultBytes) / static_cast<double>(bytes) - 1) < 0.05);
        QVERIFY(costOf(1).multiplyAdds > 0); // work is that of the windows taken
        QVERIFY(std::fabs(costOf(0).multiplyAdds / costOf(1).multiplyAdds - 3) < 1e-9);
        QCOMPARE(costOf(2).resultBytes, costOf(1).resultBytes);
    }

    void gramMatricesFollowTheCalibration()
    {
        FisherSettings settings;
        CalibrationSettings calibration;
        calibration.fullLimit = 100;
        calibration.full = {3};
        settings.keepGramsAs(calibration);
        QCOMPARE(settings.gramLimit, 100);
        QCOMPARE(settings.gramOf, std::vector<std::int64_t>{3});
        calibration.gram = GramKind::blocks; // of others than the layers named
        settings.keepGramsAs(calibration);
        QCOMPARE(settings.gramLimit, 0);
        QCOMPARE(settings.gramOf, std::vector<std::int64_t>{3});
    }

    void damagedPiecesAreNotTaken()
    {
        MemorySink sink;
        QVERIFY(run(sink, {.windows = 1, .seed = 5, .batchWindows = 1}));
        const auto bytes = sink.pieces.begin()->second;
        QVERIFY(LayerFisher::decode(bytes));
        for (std::size_t size = 0; size < bytes.size(); size += 997)
            QVERIFY(!LayerFisher::decode(std::span(bytes).first(size)));
    }

    void roundingHasNoBias()
    {
        const std::vector<float> values(100'000, 1.0F + 0x1p-7F / 5); // a fifth between two bf16
        const auto rounded = roundedByChance(values, CounterRng(1), m_context).value();
        std::int64_t up = 0;
        for (const std::uint16_t bits : rounded) {
            const float value = floatFromBf16(bits);
            QVERIFY(value == 1.0F || value == 1.0F + 0x1p-7F);
            up += value > 1 ? 1 : 0;
        }
        QVERIFY(std::fabs(static_cast<double>(up) / 1e5 - 0.2) < 4 * std::sqrt(0.2 * 0.8 / 1e5));
        const std::vector<float> exact{0.0F, -1.5F, INFINITY, 0x1p-140F, 3.0F};
        const auto kept = roundedByChance(exact, CounterRng(2), m_context).value();
        for (const std::size_t i : {0U, 1U, 2U, 4U})
            QCOMPARE(floatFromBf16(kept[i]), exact[i]);
    }

    void theMetricIsItsFormula()
    {
        const auto sink = std::make_shared<MemorySink>();
        QVERIFY(run(*sink, {.windows = 2, .seed = 5, .batchWindows = 2}));
        const auto activations = calibratedActivations(sink, findCalibration(*sink, *m_sample.model), "here");
        QVERIFY(activations);
        QVERIFY(activations->layers().empty());
        QCOMPARE(activations->fisherWindows(), 2);
        QCOMPARE(std::ssize(activations->fisherLayers()), 4 * 7 + 1);
        const Metric* metric = findMetric("fisher").value();
        QVERIFY(checkUsable(*metric, activations.get()));
        QVERIFY(!checkUsable(*findMetric("output_error").value(), activations.get()));
        QVERIFY(!checkUsable(*metric, nullptr));
        QCOMPARE(&bestMetric(activations.get()), metric);
        QCOMPARE(bestMetric(nullptr).id, std::string_view("weight_error"));

        MeasureRequest request;
        const std::int64_t embedding = m_sample.model->indexOf("model.embed_tokens.weight");
        const std::int64_t down = m_sample.model->indexOf("model.layers.2.mlp.down_proj.weight");
        request.layers = {embedding, down};
        request.candidates = parseCandidates("int4:g64,keep").value();
        request.metrics = {metric};
        request.activations = activations.get();
        int cells = 0;
        const auto check = [&](const Measurement& cell) {
            ++cells;
            if (request.candidates[cell.candidate].weights.isKeep()) {
                QCOMPARE(cell.losses[0], 0.0);
                return;
            }
            const std::vector<double> delta =
                test::changeOf(*m_sample.model, cell.layer, request.candidates[cell.candidate], nullptr, m_context);
            std::vector<double> f(delta.size());
            keptFisher(*sink, m_sample.model->layers[static_cast<std::size_t>(cell.layer)].name)
                ->read(0, std::ssize(f), f.data());
            double sum = 0;
            for (std::size_t i = 0; i < f.size(); ++i)
                sum += f[i] * delta[i] * delta[i];
            QVERIFY(sum > 0);
            QVERIFY(std::fabs(cell.losses[0] - sum / 2) <= 1e-12 * sum);
        };
        QVERIFY(measure(*m_sample.model, request, check, m_context));
        QCOMPARE(cells, 4);
        const std::string before = activations->fingerprint();
        QVERIFY(run(*sink, {.windows = 3, .seed = 5, .batchWindows = 2}));
        QVERIFY(calibratedActivations(sink, findCalibration(*sink, *m_sample.model), "here")->fingerprint() != before);
    }
};

QTEST_APPLESS_MAIN(FisherTest)
#include "fisher_test.moc"
