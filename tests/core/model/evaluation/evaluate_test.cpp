// SPDX-License-Identifier: GPL-3.0-or-later
// The sample model scored over its test text: PyTorch's perplexity, window by window and quantized, is reproduced.
#include "core/calibration/activations.h"
#include "core/checkpoint/reader.h"
#include "core/model/evaluation/kept_scores.h"
#include "core/model/frontends/frontend.h"
#include "core/realize/plan_weights.h"
#include "tests/support/acceptance.h"
#include "tests/support/damaged_weights.h"
#include "tests/support/memory_sink.h"
#include "tests/support/refer_to.h"

#include <nlohmann/json.hpp>

#include <fstream>

using namespace ql;
using namespace ql::tests;

namespace {

const std::filesystem::path kSample = std::filesystem::path(QL_SOURCE_DIR) / "resources/sample";

nlohmann::json golden()
{
    std::ifstream stream(kSample / "golden/perplexity.json");
    return nlohmann::json::parse(stream);
}

/// The first 8 windows of the test text.
Windows goldenWindows(const JobContext& context)
{
    const auto file = openCheckpoint(kSample / "golden/tokens.npy", context).value();
    const auto data = file->load(0, context).value();
    std::vector<double> ids(static_cast<std::size_t>(data.view.numel()));
    decode(data.view.dtype, data.view.data, 0, data.view.numel(), ids.data());
    return {data.view.shape[1], {ids.begin(), ids.end()}};
}

/// All weights 0, so that all logits are.
class NoWeights final : public graph::WeightSource {
public:
    explicit NoWeights(const Model& model) : m_model(model) {}
    Result<TensorData> weights(std::int64_t layer, const JobContext& context) const override
    {
        QL_TRY(data, m_model.loadWeights(layer, context));
        const auto zeros = std::make_shared<std::vector<float>>(static_cast<std::size_t>(data.view.numel()));
        return TensorData{.view = {.dtype = Dtype::f32,
                                   .shape = data.view.shape,
                                   .data = reinterpret_cast<const std::byte*>(zeros->data())},
                          .owner = zeros};
    }

private:
    const Model& m_model;
};

} // namespace

class EvaluateTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};
    std::shared_ptr<const Model> m_model;
    graph::Graph m_graph;
    Windows m_windows;

    EvaluationTask task(const graph::WeightSource& weights) const
    {
        return {.graph = m_graph,
                .windows = m_windows,
                .scored = Scored::all,
                .model = {.weights = test::referTo(weights)},
                .onScores = {},
                .known = {}};
    }

    /// Perplexity of the model with all layers of its blocks by one candidate.
    double perplexity(const std::string& candidate, const Activations* activations = nullptr)
    {
        Plan plan = keepPlan(*m_model);
        for (std::size_t i = 0; i < m_model->layers.size(); ++i)
            if (m_model->layers[i].block >= 0 && m_model->layers[i].quantizable)
                plan.candidates[i] = parseCandidate(candidate).value();
        const PlanWeights planned(*m_model, plan, nullptr, activations);
        return perplexityOf(evaluate(task(planned), m_context).value(), m_windows.count()).perplexity.value;
    }

private Q_SLOTS:
    void initTestCase()
    {
        m_model = openModel(kSample, m_context).value();
        m_graph = buildGraph(*m_model).value();
        m_windows = goldenWindows(m_context);
        QCOMPARE(m_windows.count(), 8);
    }

    void negativeLogLikelihoodOfEachWindow()
    {
        const graph::CheckpointWeights own(*m_model);
        const auto scores = evaluate(task(own), m_context).value();
        QCOMPARE(std::ssize(scores), 8 * 255);
        const auto expected = golden()["window_nll"];
        for (std::size_t w = 0; w < 8; ++w) {
            double sum = 0;
            for (std::size_t i = 0; i < 255; ++i)
                sum += scores[w * 255 + i].nll;
            const double wanted = expected[w];
            QVERIFY2(std::fabs(sum - wanted) <= 1e-5 * wanted, qPrintable(QString::number(sum - wanted)));
        }
    }

    void windowsWithoutAScoredTokenAreRefused()
    {
        const graph::CheckpointWeights own(*m_model);
        const Windows pairs{2, {1, 2, 3, 4}};
        EvaluationTask task{
            .graph = m_graph, .windows = pairs, .model = {.weights = test::referTo(own)}, .onScores = {}, .known = {}};
        const auto none = evaluate(task, m_context);
        QVERIFY(!none);
        QVERIFY(none.error().code == Errc::usage);
        test::MemorySink sink;
        QVERIFY(!evaluateKept(task, "", sink, m_context));
        task.scored = Scored::all;
        QCOMPARE(evaluate(task, m_context).value().size(), std::size_t{2});
    }

    void logitsThatAreNotFiniteAreRefused()
    {
        const std::int64_t layer = m_model->indexOf("model.layers.2.mlp.down_proj.weight");
        const test::DamagedWeights damaged(*m_model, layer);
        const graph::CheckpointWeights own(*m_model);
        const ModelVersion other{.weights = test::referTo(damaged)};
        EvaluationTask beside = task(own);
        beside.other = &other;
        for (const EvaluationTask& each : {task(damaged), beside}) {
            const auto scores = evaluate(each, m_context);
            QVERIFY(!scores);
            QVERIFY2(scores.error().what.starts_with("the logits behind token 1 of window 1 are not finite"),
                     scores.error().what.c_str());
        }
    }

    void secondHalvesAreTheEndOfAll()
    {
        const graph::CheckpointWeights own(*m_model);
        const auto all = evaluate(task(own), m_context).value();
        EvaluationTask halves = task(own);
        halves.scored = Scored::secondHalf;
        const auto scores = evaluate(halves, m_context).value();
        QCOMPARE(std::ssize(scores), 8 * 127); // positions 129 … 255
        for (std::size_t w = 0; w < 8; ++w)
            for (std::size_t i = 0; i < 127; ++i)
                QCOMPARE(scores[w * 127 + i].nll, all[w * 255 + 128 + i].nll);
    }

    void quantizedPlans_data()
    {
        QTest::addColumn<QString>("candidate");
        for (const char* candidate : {"int8:channel", "int4:channel", "int4:g64", "int3:channel"})
            QTest::newRow(candidate) << candidate;
    }
    void quantizedPlans()
    {
        QFETCH(QString, candidate);
        const auto parsed = parseCandidate(candidate.toStdString() + ":restricted").value();
        Plan plan = keepPlan(*m_model);
        for (std::size_t i = 0; i < m_model->layers.size(); ++i)
            if (m_model->layers[i].block >= 0 && m_model->layers[i].quantizable)
                plan.candidates[i] = parsed;
        const graph::CheckpointWeights own(*m_model);
        const PlanWeights planned(*m_model, plan, nullptr, nullptr);
        const ModelVersion other{.weights = test::referTo(planned)};
        EvaluationTask both = task(own);
        both.other = &other;
        const auto scores = evaluate(both, m_context).value();
        const ComparisonScore result = comparisonOf(scores, m_windows.count());
        // The golden figure is over all 62 windows, this one over 8: their ratios to the model agree within its error.
        const auto file = golden();
        const double wanted = std::log(file["quantized"][candidate.toStdString()]["perplexity"].get<double>() /
                                       file["perplexity"].get<double>());
        QVERIFY2(
            std::fabs(result.lnRatio.value - wanted) <= 4 * result.lnRatio.windowError + 1e-6,
            qPrintable(QString::number(result.lnRatio.value) + QStringLiteral(" against ") + QString::number(wanted)));
        QVERIFY(result.kld.value > 0);
        QVERIFY(result.kld.value >= result.medianKld);
    }

    /// Methods B7: what holds of any small transformer.
    void fewerBitsCostMore()
    {
        const NoWeights none(*m_model);
        const double vocabulary =
            perplexityOf(evaluate(task(none), m_context).value(), m_windows.count()).perplexity.value;
        const std::int64_t tokens =
            m_model->layers[static_cast<std::size_t>(m_model->indexOf("model.embed_tokens.weight"))].shape[0];
        QL_NEAR("B7", "perplexity of equal logits over the size of the vocabulary",
                vocabulary / static_cast<double>(tokens), 1, 1e-6);
        const auto activations = openActivations(kSample / "activations.npz", *m_model, m_context).value();
        const double own = perplexity("keep");
        const double int8 = perplexity("int8");
        const double int4 = perplexity("int4");
        const double int3 = perplexity("int3");
        const double int2 = perplexity("int2");
        QL_AT_MOST("B7", "sample model, perplexity at int8 over its own", int8 / own, 1.01);
        QL_HOLDS("B7", "sample model, perplexity rises from int8 to int4, int3 and int2 by rtn",
                 int8 < int4 && int4 < int3 && int3 < int2);
        QL_AT_MOST("B7", "sample model, perplexity at int3@gptq over int3@rtn",
                   perplexity("int3@gptq", activations.get()) / int3, 1);
        QL_AT_MOST("B7", "sample model, perplexity at int4:g64 over int4", perplexity("int4:g64") / int4, 1);
        QL_AT_MOST("B7", "sample model, perplexity at int3:g64 over int3", perplexity("int3:g64") / int3, 1);
        QL_AT_LEAST("B7", "sample model, perplexity at int2 by rtn over its own: collapsed", int2 / own, 10);
    }

    void theModelItselfHasNoDivergence()
    {
        const graph::CheckpointWeights own(*m_model);
        const ModelVersion other{.weights = test::referTo(own)};
        EvaluationTask both = task(own);
        both.other = &other;
        const auto scores = evaluate(both, m_context).value();
        for (const TokenScore& score : scores) {
            QCOMPARE(score.otherNll, score.nll);
            QVERIFY(score.kld < 1e-12);
            QVERIFY(score.sameTop);
        }
    }

    void equalBitsForAnyThreadCount()
    {
        const graph::CheckpointWeights own(*m_model);
        const auto scores = evaluate(task(own), m_context).value();
        for (const Executor::Backend backend : {Executor::Backend::tbb, Executor::Backend::threads})
            for (const int threads : {1, 3}) {
                Executor executor(threads, backend);
                const auto others = evaluate(task(own), JobContext(executor)).value();
                for (std::size_t i = 0; i < scores.size(); ++i)
                    QCOMPARE(others[i].nll, scores[i].nll);
            }
    }

    void goesOnFromKnownScores()
    {
        const graph::CheckpointWeights own(*m_model);
        const auto scores = evaluate(task(own), m_context).value();
        EvaluationTask rest = task(own);
        rest.known.assign(scores.begin(), scores.begin() + 3 * 255);
        std::int64_t windows = 0;
        rest.onScores = [&](const std::vector<TokenScore>&, std::int64_t done) {
            windows = done;
            return Result<void>();
        };
        const auto others = evaluate(rest, m_context).value();
        QCOMPARE(windows, 8);
        QCOMPARE(others.size(), scores.size());
        // Five windows are products of other sizes than eight: BLAS may round their rows otherwise.
        for (std::size_t i = 0; i < scores.size(); ++i)
            QVERIFY(std::fabs(others[i].nll - scores[i].nll) <= (i < 3 * 255 ? 0 : 1e-5 * (1 + scores[i].nll)));
    }

    /// Killed after any group of windows, the same text goes on there and ends with equal scores.
    void keptScoresGoOn()
    {
        const graph::CheckpointWeights own(*m_model);
        const ModelVersion other{.weights = test::referTo(own)};
        Windows many = m_windows; // more than go through the model together
        for (int i = 0; i < 4; ++i)
            many.ids.insert(many.ids.end(), m_windows.ids.begin(), m_windows.ids.end());
        EvaluationTask both{.graph = m_graph,
                            .windows = many,
                            .model = {.weights = test::referTo(own)},
                            .other = &other,
                            .onScores = {},
                            .known = {}};
        const auto expected = evaluate(both, m_context).value();
        test::MemorySink sink;
        for (int killed = 0; killed < 2; ++killed) {
            sink.untilFailure = 1;
            QVERIFY(!evaluateKept(both, "a plan", sink, m_context));
        }
        QCOMPARE(sink.pieces.size(), std::size_t{2});
        std::int64_t first = 0;
        both.onScores = [&](const std::vector<TokenScore>&, std::int64_t windows) {
            first = first == 0 ? windows : first;
            return Result<void>();
        };
        sink.untilFailure = -1;
        const auto scores = evaluateKept(both, "a plan", sink, m_context).value();
        QCOMPARE(first, 40); // of three groups the last alone is computed
        QCOMPARE(scores.size(), expected.size());
        for (std::size_t i = 0; i < scores.size(); ++i) {
            QCOMPARE(scores[i].nll, expected[i].nll);
            QCOMPARE(scores[i].kld, expected[i].kld);
            QCOMPARE(scores[i].sameTop, expected[i].sameTop);
        }
        first = 0;
        QCOMPARE(evaluateKept(both, "a plan", sink, m_context).value().size(), scores.size());
        QCOMPARE(first, 0); // all is there
        QVERIFY(evaluateKept(both, "another plan", sink, m_context));
        QCOMPARE(first, 16); // nothing is taken over
        for (auto& [key, bytes] : sink.pieces)
            bytes.pop_back();
        first = 0;
        QVERIFY(evaluateKept(both, "a plan", sink, m_context));
        QCOMPARE(first, 16); // damaged pieces are not taken
    }

    void stops()
    {
        std::stop_source stop;
        stop.request_stop();
        const graph::CheckpointWeights own(*m_model);
        const auto result = evaluate(task(own), JobContext(m_executor, stop.get_token()));
        QVERIFY(!result);
        QVERIFY(result.error().code == Errc::cancelled);
    }

    void tokensOutsideTheVocabulary()
    {
        const graph::CheckpointWeights own(*m_model);
        Windows wrong = m_windows;
        wrong.ids[5] = 1024;
        EvaluationTask bad{
            .graph = m_graph, .windows = wrong, .model = {.weights = test::referTo(own)}, .onScores = {}, .known = {}};
        const auto result = evaluate(bad, m_context);
        QVERIFY(!result);
        QVERIFY2(result.error().what.find("1024") != std::string::npos, result.error().what.c_str());
    }

    void windowsOfAText()
    {
        const std::vector<std::int64_t> ids{1, 2, 3, 4, 5, 6, 7};
        const auto windows = cutWindows(ids, 3, 0, 9).value();
        QCOMPARE(windows.ids, (std::vector<std::int64_t>{9, 2, 3, 9, 5, 6}));
        QCOMPARE(cutWindows(ids, 3, 1).value().ids, (std::vector<std::int64_t>{1, 2, 3}));
        QVERIFY(!cutWindows(ids, 8, 0));
        QVERIFY(!cutWindows(ids, 1, 0));
        QCOMPARE(firstScored(512, Scored::secondHalf), 257);
        QCOMPARE(firstScored(512, Scored::all), 1);
    }
};

QTEST_APPLESS_MAIN(EvaluateTest)
#include "evaluate_test.moc"
