// SPDX-License-Identifier: GPL-3.0-or-later
// The gradient probe on the sample: its products against gradients written out in full, its losses against the
// divergence of the model run with the codes, and itself when it is stopped, batched and run on other threads.
#include "core/model/evaluation/evaluate.h"
#include "core/model/evaluation/loss_gradients.h"
#include "core/realize/planned_version.h"
#include "core/sensitivity/gradient_probe.h"
#include "tests/support/fused_target.h"
#include "tests/support/language_model.h"

#include <cmath>

using namespace ql;
using test::MemorySink;

namespace {

/// Gradients of whole windows, [window][weight] by layer, added up in double.
class WholeGradients final : public GradientSink<float> {
public:
    WholeGradients(const Model& model, std::vector<std::int64_t> layers, std::size_t windows)
        : m_model(model), m_layers(std::move(layers)), m_windows(windows)
    {}
    bool wants(std::size_t, std::int64_t layer) const override
    {
        return std::ranges::find(m_layers, layer) != m_layers.end();
    }
    Result<void> enter(std::size_t) override { return {}; }
    void turnTo(std::int64_t window) override { m_window = static_cast<std::size_t>(window); }
    Result<void> add(std::int64_t layer, std::span<const WeightUse<float>> uses) override
    {
        auto& all = of[layer];
        all.resize(m_windows);
        std::vector<double>& sum = all[m_window];
        const Layer& its = m_model.layers[static_cast<std::size_t>(layer)];
        sum.resize(static_cast<std::size_t>(its.numel()));
        const std::int64_t cols = its.shape.back();
        for (const WeightUse<float>& use : uses)
            for (std::int64_t t = 0; t < use.right.rows(); ++t)
                for (std::int64_t r = 0; r < (use.left ? use.left.width() : 1); ++r) {
                    const std::int64_t row = use.left ? r : use.ids.data()[t];
                    const double left = use.left ? static_cast<double>(use.left.data()[t * use.left.width() + r]) : 1;
                    for (std::int64_t c = 0; c < cols; ++c)
                        sum[static_cast<std::size_t>(row * cols + c)] +=
                            left * static_cast<double>(use.right.data()[t * cols + c]);
                }
        return {};
    }
    Result<void> leave(std::size_t) override { return {}; }

    std::map<std::int64_t, std::vector<std::vector<double>>> of;

private:
    const Model& m_model;
    std::vector<std::int64_t> m_layers;
    std::size_t m_windows;
    std::size_t m_window = 0;
};

} // namespace

class GradientProbeTest : public QObject {
    Q_OBJECT
private:
    Executor m_executor{2};
    JobContext m_context{m_executor};
    std::shared_ptr<const Model> m_model;
    graph::Graph m_graph;
    Windows m_windows; // 24

    using Cells = std::map<std::pair<std::int64_t, std::size_t>, ProbedCell>;

    GradientProbeTask task(const graph::WeightSource& weights, std::vector<std::int64_t> layers,
                           std::string_view candidates) const
    {
        return {.model = *m_model,
                .graph = m_graph,
                .weights = weights,
                .windows = m_windows,
                .layers = std::move(layers),
                .candidates = parseCandidates(candidates).value()};
    }
    Cells probed(const GradientProbeTask& task, const JobContext& context) const
    {
        Cells cells;
        const auto done = probeGradients(
            task,
            [&](const ProbedCell& cell) {
                cells[{cell.layer, cell.candidate}] = cell;
            },
            context);
        if (!done)
            qFatal("%s", describe(done.error()).c_str());
        return cells;
    }
    std::int64_t layer(const char* name) const { return m_model->indexOf(name); }

private Q_SLOTS:
    void initTestCase()
    {
        const std::vector<std::int64_t> ids = test::sampleTokens(m_context);
        const auto idOf = [&](std::int64_t i) { return ids[static_cast<std::size_t>(i) % ids.size()]; };
        auto made = test::languageModel(test::kSampleFolder, 16, 24, idOf, m_context);
        m_model = std::move(made.model);
        m_graph = std::move(made.graph);
        m_windows = std::move(made.windows);
    }

    void productsAreThoseOfWholeGradients()
    {
        const graph::CheckpointWeights weights(*m_model);
        const std::vector<std::int64_t> layers{layer("model.embed_tokens.weight"), // table and head
                                               layer("model.layers.1.self_attn.k_proj.weight"),
                                               layer("model.layers.3.mlp.down_proj.weight")};
        GradientProbeTask its = task(weights, layers, "int3:g64 int8:channel keep");
        its.settings = {.windows = 3, .scored = Scored::all, .seed = 4, .batchWindows = 2};
        const Cells cells = probed(its, m_context);
        QCOMPARE(cells.size(), std::size_t{9});
        WholeGradients whole(*m_model, layers, 3);
        QVERIFY(lossGradients<float>({m_graph, weights, m_windows, 0, 3, sampledLabels<float>(4)}, whole, m_context));
        for (const auto& [where, cell] : cells) {
            QVERIFY(cell.allowed);
            QCOMPARE(cell.tokens, 16);
            const Candidate& candidate = its.candidates[cell.candidate];
            if (candidate.weights.isKeep()) {
                QCOMPARE(cell.loss(), 0.0);
                QCOMPARE(cell.standardError(), 0.0);
                continue;
            }
            const std::vector<double> delta = test::changeOf(*m_model, cell.layer, candidate, nullptr, m_context);
            QCOMPARE(cell.products.size(), std::size_t{3});
            double squares = 0;
            for (std::size_t s = 0; s < 3; ++s) {
                double product = 0;
                double noise = 0; // what the rounding of each element may add
                for (std::size_t i = 0; i < delta.size(); ++i) {
                    const double term = whole.of.at(cell.layer)[s][i] * delta[i];
                    product += term;
                    noise += term * term;
                }
                QVERIFY(product != 0);
                QVERIFY2(std::fabs(cell.products[s] - product) <=
                             4 * std::sqrt(noise) / 512 + 1e-5 * std::fabs(product),
                         qPrintable(QStringLiteral("%1 %2").arg(cell.products[s]).arg(product)));
                squares += cell.products[s] * cell.products[s];
            }
            QVERIFY(std::fabs(cell.loss() - squares / (2 * 3 * 16)) <= 1e-12 * squares);
        }
    }

    /// With the text's labels: the same sum of whole gradients, and, of a small change, what is added to −ln p.
    void slopesAreThoseOfTheText()
    {
        const graph::CheckpointWeights weights(*m_model);
        const std::int64_t down = layer("model.layers.3.mlp.down_proj.weight");
        MemorySink sink;
        GradientProbeTask its = task(weights, {down}, "int5:channel");
        its.settings = {.windows = 6, .labels = ProbeLabels::text, .batchWindows = 4};
        its.sink = &sink;
        const ProbedCell cell = probed(its, m_context).begin()->second;
        QCOMPARE(cell.tokens, 7); // the last of a window has nothing behind it
        QCOMPARE(cell.products.size(), std::size_t{6});
        const std::vector<double> delta = test::changeOf(*m_model, down, its.candidates[0], nullptr, m_context);
        WholeGradients whole(*m_model, {down}, 6);
        const auto second = [&](std::int64_t window, std::int64_t position, std::span<const float> p) {
            return position < 8 ? -1 : nextTokens<float>(m_windows)(window, position, p);
        };
        QVERIFY(lossGradients<float>({m_graph, weights, m_windows, 0, 6, second}, whole, m_context));
        double sum = 0;
        double size = 0;
        for (std::size_t s = 0; s < 6; ++s)
            for (std::size_t i = 0; i < delta.size(); ++i) {
                sum += whole.of.at(down)[s][i] * delta[i] / (6 * 7);
                size += std::fabs(whole.of.at(down)[s][i] * delta[i]) / (6 * 7);
            }
        QVERIFY2(std::fabs(cell.slope() - sum) <= 1e-3 * size,
                 qPrintable(QStringLiteral("%1 %2").arg(cell.slope()).arg(sum)));
        QVERIFY(std::fabs(sum) > 1e-6 * size && cell.slopeError() > 0);
        const ProbedCell two{.tokens = 4, .products = {-3, 1}};
        QCOMPARE(two.slope(), -0.25);
        QCOMPARE(two.slopeError(), 0.5); // spread 2√2, over √2 and 4 tokens
        // Other labels are other results: both are kept.
        its.settings.labels = ProbeLabels::drawn;
        QCOMPARE(probed(its, m_context).begin()->second.tokens, 8);
        QCOMPARE(sink.pieces.size(), std::size_t{2});
    }

    /// Of a small change, KLD is the loss: factor, tokens and scoring.
    void predictsTheMeasuredDivergence()
    {
        const graph::CheckpointWeights weights(*m_model);
        const std::int64_t down = layer("model.layers.3.mlp.down_proj.weight");
        GradientProbeTask its = task(weights, {down}, "int5:channel");
        const Cells cells = probed(its, m_context);
        const ProbedCell& cell = cells.begin()->second;
        QCOMPARE(cell.products.size(), std::size_t{24});
        QCOMPARE(cell.tokens, 8);
        Plan plan = keepPlan(*m_model);
        plan.candidates[static_cast<std::size_t>(down)] = its.candidates[0];
        const auto version = plannedVersion(*m_model, {.plan = &plan}, m_context).value();
        const EvaluationTask evaluation{.graph = m_graph,
                                        .windows = m_windows,
                                        .model = ownVersion(*m_model),
                                        .other = &version,
                                        .onScores = {},
                                        .known = {}};
        const auto scores = evaluate(evaluation, m_context).value();
        const double kld = comparisonOf(scores, m_windows.count()).kld.value;
        QVERIFY(kld > 0);
        QVERIFY2(
            std::fabs(cell.loss() - kld) <= 3 * cell.standardError(),
            qPrintable(QStringLiteral("%1 ± %2, measured %3").arg(cell.loss()).arg(cell.standardError()).arg(kld)));
        QVERIFY(cell.standardError() < 0.5 * cell.loss());
    }

    /// Rounding the layer's inputs alone, run.
    void predictsTheMeasuredRoundingOfInputs()
    {
        const graph::CheckpointWeights weights(*m_model);
        const std::int64_t down = layer("model.layers.3.mlp.down_proj.weight");
        GradientProbeTask its = task(weights, {down}, "gguf:q4_0 gguf:q8_0 int8:channel");
        MemorySink sink;
        its.sink = &sink;
        its.runtime = findRuntime("llama.cpp").value();
        const Cells cells = probed(its, m_context);
        const ProbedCell& cell = cells.at({down, 0});
        QCOMPARE(cell.rounding.size(), std::size_t{24});
        QCOMPARE(cells.at({down, 1}).rounding, cell.rounding); // both are multiplied with Q8_0
        QCOMPARE(cells.at({down, 2}).roundingLoss(), 0.0);     // no type of the runtime's
        const Plan plan = [&] {
            Plan all = keepPlan(*m_model);
            all.candidates[static_cast<std::size_t>(down)] = its.candidates[0];
            return all;
        }();
        ModelVersion version = ownVersion(*m_model);
        const auto round = runtimeActivations(*its.runtime, *m_model, &plan, m_context);
        version.layerInput = [&](const graph::Node& node, std::int64_t at, graph::Array<float>& input) {
            return at == down ? round(node, at, input) : Result<void>();
        };
        const auto scores = evaluate({.graph = m_graph,
                                      .windows = m_windows,
                                      .model = ownVersion(*m_model),
                                      .other = &version,
                                      .onScores = {},
                                      .known = {}},
                                     m_context)
                                .value();
        const double kld = comparisonOf(scores, m_windows.count()).kld.value;
        QVERIFY(kld > 0 && cell.roundingError() < 0.6 * cell.roundingLoss());
        QVERIFY2(
            std::fabs(cell.roundingLoss() - kld) <= 3 * cell.roundingError(),
            qPrintable(
                QStringLiteral("%1 ± %2, measured %3").arg(cell.roundingLoss()).arg(cell.roundingError()).arg(kld)));
        // What is kept is found again, and is not that of the weights alone.
        int batches = 0;
        its.onBatch = [&](std::int64_t) {
            ++batches;
            return Result<void>();
        };
        QCOMPARE(probed(its, m_context).at({down, 0}).rounding, cell.rounding);
        QCOMPARE(batches, 0);
        its.runtime = nullptr;
        const ProbedCell alone = probed(its, m_context).at({down, 0});
        QCOMPARE(batches, 1);
        QCOMPARE(alone.products, cell.products);
        QVERIFY(alone.rounding.empty());
    }

    void interruptionsBatchesAndThreadsGiveTheSame()
    {
        const graph::CheckpointWeights weights(*m_model);
        const std::vector<std::int64_t> layers{layer("model.embed_tokens.weight"),
                                               layer("model.layers.0.self_attn.q_proj.weight"),
                                               layer("model.layers.2.mlp.up_proj.weight")};
        MemorySink whole;
        GradientProbeTask its = task(weights, layers, "int4:g64@mse int3:channel");
        its.settings.windows = 5;
        its.sink = &whole;
        const Cells expected = probed(its, m_context);
        QCOMPARE(whole.pieces.size(), std::size_t{6});
        for (const int kept : {0, 2, 6, 9}) {
            MemorySink sink;
            sink.untilFailure = kept;
            its.sink = &sink;
            its.settings.batchWindows = 2;
            const auto failed = probeGradients(
                its, [](const ProbedCell&) {}, m_context);
            QVERIFY(!failed);
            QCOMPARE(failed.error().code, Errc::io);
            sink.untilFailure = -1;
            its.settings.batchWindows = 3;
            its.settings.codesLimitBytes = kept == 6 ? 0 : 1 << 30;
            Executor other(3, Executor::Backend::threads);
            const Cells cells = probed(its, JobContext(other));
            QVERIFY2(sink.pieces == whole.pieces, qPrintable(QString::number(kept)));
            for (const auto& [where, cell] : cells)
                QCOMPARE(cell.products, expected.at(where).products);
        }
        // What is known is delivered at once; more windows add to it.
        int batches = 0;
        its.sink = &whole;
        its.onBatch = [&](std::int64_t) {
            ++batches;
            return Result<void>();
        };
        QCOMPARE(probed(its, m_context).size(), expected.size());
        QCOMPARE(batches, 0);
        its.settings.windows = 6;
        const Cells more = probed(its, m_context);
        QCOMPARE(batches, 1);
        for (const auto& [where, cell] : more) {
            QCOMPARE(cell.products.size(), std::size_t{6});
            QVERIFY(std::ranges::equal(std::span(cell.products).first(5), expected.at(where).products));
        }
    }

    void targetsRefuseAndStopsAreSeen()
    {
        const graph::CheckpointWeights weights(*m_model);
        GradientProbeTask its = task(weights, {layer("model.embed_tokens.weight")}, "int4:g64 int8:g64 int8:g64@gptq");
        its.target = &test::kFusedTarget;
        its.settings.windows = 2;
        const Cells cells = probed(its, m_context);
        QCOMPARE(cells.size(), std::size_t{3});
        QVERIFY(!cells.at({its.layers[0], 0}).allowed);
        QVERIFY(cells.at({its.layers[0], 1}).allowed);
        QVERIFY(!cells.at({its.layers[0], 2}).allowed); // needs activations
        QCOMPARE(cells.at({its.layers[0], 1}).products.size(), std::size_t{2});
        const CalibrationCost cost = gradientProbeCost(its);
        QVERIFY(cost.memoryBytes > 0 && cost.resultBytes > 0 && cost.multiplyAdds > 0);
        std::stop_source source;
        source.request_stop();
        const auto stopped = probeGradients(
            its, [](const ProbedCell&) {}, JobContext(m_executor, source.get_token()));
        QVERIFY(!stopped);
        QCOMPARE(stopped.error().code, Errc::cancelled);
        QVERIFY(std::isinf(ProbedCell{.tokens = 1, .products = {1.0}}.standardError()));
    }
};

QTEST_APPLESS_MAIN(GradientProbeTest)
#include "gradient_probe_test.moc"
