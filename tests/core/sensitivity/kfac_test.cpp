// SPDX-License-Identifier: GPL-3.0-or-later
// The metric kfac against its sum written out token by token, from the gradients and inputs of each.
#include "core/model/evaluation/loss_gradients.h"
#include "core/sensitivity/cell.h"
#include "core/transforms/variant.h"
#include "tests/support/language_model.h"

#include <cmath>

using namespace ql;
using test::MemorySink;

namespace {

/// A layer's inputs and the gradients of its outputs where it is multiplied by, all tokens of all windows.
struct Seen {
    std::vector<float> inputs, gradients;
};

class Watch final : public GradientSink<float> {
public:
    explicit Watch(std::vector<std::int64_t> layers) : m_layers(std::move(layers)) {}
    bool wants(std::size_t, std::int64_t layer) const override
    {
        return std::ranges::find(m_layers, layer) != m_layers.end();
    }
    Result<void> enter(std::size_t) override { return {}; }
    Result<void> add(std::int64_t layer, std::span<const WeightUse<float>> uses) override
    {
        for (const WeightUse<float>& use : uses)
            if (use.input) {
                Seen& its = seen[layer];
                its.inputs.insert(its.inputs.end(), use.input.data(), use.input.data() + use.input.numel());
                its.gradients.insert(its.gradients.end(), use.outputGradient.data(),
                                     use.outputGradient.data() + use.outputGradient.numel());
            }
        return {};
    }
    Result<void> leave(std::size_t) override { return {}; }

    std::map<std::int64_t, Seen> seen;

private:
    std::vector<std::int64_t> m_layers;
};

} // namespace

class KfacTest : public QObject {
    Q_OBJECT
private:
    Executor m_executor{2};
    JobContext m_context{m_executor};
    std::shared_ptr<const Model> m_model;
    graph::Graph m_graph;
    Windows m_windows;

private Q_SLOTS:
    void initTestCase()
    {
        const auto idOf = [](std::int64_t i) { return (i * i + 7 * i) % 97; };
        auto made = test::languageModel(test::kSampleFolder, 32, 2, idOf, m_context);
        m_model = std::move(made.model);
        m_graph = std::move(made.graph);
        m_windows = std::move(made.windows);
    }

    /// Before a probe begins, not in its middle.
    void quantizersAreRefusedWhereTheirSumsAreNotKnown()
    {
        const std::int64_t key = m_model->indexOf("model.layers.1.self_attn.k_proj.weight");
        const auto admittedBy = [&](const char* candidate, const FisherSettings& settings) {
            const auto activations =
                test::calibrated(m_model, m_windows, settings, std::make_shared<MemorySink>(), m_context);
            return admitted(*m_model, key, parseCandidate(candidate).value(), nullptr, activations.get());
        };
        const FisherSettings usual{.seed = 3, .gramLimit = 8192};
        const auto refusedFor = [&](const char* candidate, const FisherSettings& settings, const char* what) {
            const auto done = admittedBy(candidate, settings);
            return !done && done.error().code == Errc::refused && done.error().what.find(what) != std::string::npos;
        };
        QVERIFY(refusedFor("int4:g64@gptq:rows=together", usual, "--output-gram"));
        QVERIFY(admittedBy("int4:g64@gptq:rows=together", {.seed = 3, .gramLimit = 8192, .outputGram = true}));
        QVERIFY(admittedBy("int4:g64@gptq:hessian=loss", usual));
        QVERIFY(refusedFor("int4:g64@gptq:hessian=loss", {.seed = 3, .gramLimit = 0}, "--fisher"));
    }

    void isItsFormulaTokenByToken()
    {
        const auto sink = std::make_shared<MemorySink>();
        const graph::CheckpointWeights weights(*m_model);
        const auto activations = test::calibrated(m_model, m_windows, {.seed = 3, .gramLimit = 8192}, sink, m_context);
        const Metric* metric = findMetric("kfac").value();
        QVERIFY(activations->knowsLossGrams());
        QVERIFY(checkUsable(*metric, activations.get()));
        QCOMPARE(&bestMetric(activations.get()), metric);

        const std::int64_t embedding = m_model->indexOf("model.embed_tokens.weight"); // and head
        const std::int64_t down = m_model->indexOf("model.layers.2.mlp.down_proj.weight");
        const std::int64_t key = m_model->indexOf("model.layers.1.self_attn.k_proj.weight");
        Watch watch({embedding, down, key});
        QVERIFY(lossGradients<float>({m_graph, weights, m_windows, 0, 2, sampledLabels<float>(3)}, watch, m_context));

        MeasureRequest request;
        request.layers = {embedding, down, key};
        request.candidates = parseCandidates("int3:g64,int4:g64@gptq,keep").value();
        request.metrics = {metric};
        request.activations = activations.get();
        int cells = 0;
        const auto check = [&](const Measurement& cell) {
            ++cells;
            const Candidate& candidate = request.candidates[cell.candidate];
            if (candidate.weights.isKeep()) {
                QCOMPARE(cell.losses[0], 0.0);
                return;
            }
            const std::vector<double> delta =
                test::changeOf(*m_model, cell.layer, candidate, activations.get(), m_context);
            const auto [rows, cols] = matrixShape(m_model->layers[static_cast<std::size_t>(cell.layer)].shape);
            const Seen& seen = watch.seen.at(cell.layer);
            constexpr std::int64_t kTokens = 64;
            QCOMPARE(std::ssize(seen.inputs), kTokens * cols);
            std::vector<double> s(static_cast<std::size_t>(rows));
            std::vector<double> c(kTokens);
            double mean = 0;
            for (std::int64_t t = 0; t < kTokens; ++t)
                for (std::int64_t r = 0; r < rows; ++r) {
                    const auto g = static_cast<double>(seen.gradients[static_cast<std::size_t>(t * rows + r)]);
                    s[static_cast<std::size_t>(r)] += g * g;
                    c[static_cast<std::size_t>(t)] += g * g / static_cast<double>(rows);
                    mean += g * g / static_cast<double>(rows);
                }
            double expected = 0;
            for (std::int64_t r = 0; r < rows; ++r)
                for (std::int64_t t = 0; t < kTokens; ++t) {
                    double dot = 0;
                    for (std::int64_t i = 0; i < cols; ++i)
                        dot += delta[static_cast<std::size_t>(r * cols + i)] *
                               static_cast<double>(seen.inputs[static_cast<std::size_t>(t * cols + i)]);
                    expected += s[static_cast<std::size_t>(r)] / mean * c[static_cast<std::size_t>(t)] * dot * dot;
                }
            if (cell.layer == embedding) { // the rows that tokens look up: the first use, not multiplied by
                const auto fisher = keptFisher(*sink, "model.embed_tokens.weight");
                QCOMPARE(std::ssize(fisher->uses), 2);
                std::vector<double> f(delta.size());
                for (const LayerFisher& use : fisher->uses)
                    if (use.outputSquares.empty())
                        use.addPerToken(0, std::ssize(f), f.data());
                double table = 0;
                for (std::size_t i = 0; i < f.size(); ++i)
                    table += f[i] * delta[i] * delta[i];
                QVERIFY(table > 0);
                expected += table * kTokens;
            }
            expected /= 2 * kTokens;
            QVERIFY2(std::fabs(cell.losses[0] - expected) <= 1e-5 * expected,
                     qPrintable(QStringLiteral("%1 %2").arg(cell.losses[0]).arg(expected)));
        };
        QVERIFY(measure(*m_model, request, check, m_context));
        QCOMPARE(cells, 9);
    }

    void followsTransforms_data()
    {
        QTest::addColumn<QString>("transforms");
        QTest::newRow("hadamard") << QStringLiteral("hadamard");
        QTest::newRow("smooth") << QStringLiteral("smooth:alpha=0.5");
    }
    /// What the model's statistics say of a variant is what calibrating the variant itself says.
    void followsTransforms()
    {
        QFETCH(QString, transforms);
        const auto calibrated = [&](const std::shared_ptr<const Model>& model) {
            return test::calibrated(model, m_windows, {.seed = 3, .gramLimit = 8192, .outputGram = true},
                                    std::make_shared<MemorySink>(), m_context);
        };
        const auto known = calibrated(m_model);
        const Variant variant =
            makeVariant(m_model, parseTransforms(transforms.toStdString()).value(), known, m_context).value();
        const auto own = calibrated(variant.model);
        const Metric* metric = findMetric("kfac").value();
        QVERIFY(checkUsable(*metric, variant.activations.get()));
        QCOMPARE(&bestMetric(variant.activations.get()), metric);
        const auto lossOf = [&](const Activations* activations) {
            MeasureRequest request;
            request.layers = variant.model->quantizableLayers();
            request.candidates = parseCandidates("int3:g64").value();
            request.metrics = {metric};
            request.activations = activations;
            std::map<std::int64_t, double> losses;
            const auto done = measure(
                *variant.model, request, [&](const Measurement& cell) { losses[cell.layer] = cell.losses[0]; },
                m_context);
            return done ? losses : std::map<std::int64_t, double>();
        };
        const auto said = lossOf(variant.activations.get());
        const auto measured = lossOf(own.get());
        const bool isRotated = transforms == QLatin1String("hadamard");
        QCOMPARE(std::ssize(said), 4 * 7 + (isRotated ? 2 : 1)); // the rotated head is a layer of its own
        for (const auto& [layer, loss] : said) {
            const Layer& its = variant.model->layers[static_cast<std::size_t>(layer)];
            // Where outputs are scaled, tokens are as heavy as before but for the mean; of rows that are looked up the
            // diagonal is known, not what a rotation makes of it.
            const bool isScaled = !isRotated && (its.role == "v_proj" || its.role == "up_proj");
            const double tolerance = (isRotated && its.role == "embedding") || isScaled ? 0.5 : 5e-3;
            QVERIFY2(std::fabs(loss / measured.at(layer) - 1) <= tolerance,
                     qPrintable(QStringLiteral("%1: %2 measured %3")
                                    .arg(QString::fromStdString(its.name))
                                    .arg(loss)
                                    .arg(measured.at(layer))));
        }
    }

    void withoutGramMatricesItIsTheDiagonal()
    {
        const graph::CheckpointWeights weights(*m_model);
        const std::int64_t down = m_model->indexOf("model.layers.2.mlp.down_proj.weight");
        const std::int64_t up = m_model->indexOf("model.layers.2.mlp.up_proj.weight");
        const auto activations = test::calibrated(m_model, m_windows, {.seed = 3, .gramOf = {down}},
                                                  std::make_shared<MemorySink>(), m_context);
        MeasureRequest request;
        request.layers = {down, up};
        request.candidates = parseCandidates("int3:g64").value();
        request.metrics = {findMetric("kfac").value(), findMetric("fisher").value()};
        request.activations = activations.get();
        const auto check = [&](const Measurement& cell) {
            QVERIFY(cell.losses[0] > 0);
            QCOMPARE(cell.losses[0] == cell.losses[1], cell.layer == up);
        };
        QVERIFY(measure(*m_model, request, check, m_context));

        const auto bare = std::make_shared<MemorySink>();
        QVERIFY(
            estimateFisher({*m_model, m_graph, weights, m_windows, {.windows = 0, .seed = 3}, *bare, {}}, m_context));
        const auto diagonal = calibratedActivations(bare, findCalibration(*bare, *m_model), "here");
        const auto refused = checkUsable(*request.metrics[0], diagonal.get());
        QVERIFY(!refused);
        QVERIFY(refused.error().what.find("--gram full") != std::string::npos);
        QCOMPARE(bestMetric(diagonal.get()).id, std::string_view("fisher"));
    }
};

QTEST_APPLESS_MAIN(KfacTest)
#include "kfac_test.moc"
