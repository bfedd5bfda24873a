// SPDX-License-Identifier: GPL-3.0-or-later
// The exact probe on a tiny model, against the whole model run from the start.
#include "core/model/evaluation/evaluate.h"
#include "core/realize/planned_version.h"
#include "core/sensitivity/probed_losses.h"
#include "tests/support/language_model.h"

#include <cmath>

using namespace ql;
using test::MemorySink;

class ExactProbeTest : public QObject {
    Q_OBJECT
private:
    Executor m_executor{2};
    JobContext m_context{m_executor};
    std::shared_ptr<const Model> m_model;
    graph::Graph m_graph;
    Windows m_windows; // two groups

    LayerChange change(std::initializer_list<std::pair<const char*, const char*>> layers) const
    {
        LayerChange made;
        for (const auto& [name, candidate] : layers)
            made.emplace_back(m_model->indexOf(name), parseCandidate(candidate).value());
        return made;
    }
    ExactProbeTask task() const
    {
        return {.model = *m_model,
                .graph = m_graph,
                .windows = m_windows,
                .changes = {change({{"model.layers.0.mlp.up_proj.weight", "int4:channel@mse"}}),
                            change({{"lm_head.weight", "int4:channel"}}),
                            change({{"model.layers.1.mlp.down_proj.weight", "int3:channel"}}),
                            change({{"model.layers.0.mlp.up_proj.weight", "int4:channel@mse"},
                                    {"model.layers.1.mlp.down_proj.weight", "int3:channel"}})}};
    }
    std::vector<MeasuredChange> probed(const ExactProbeTask& task, const JobContext& context) const
    {
        std::vector<MeasuredChange> found(task.changes.size());
        const auto done = probeExactly(
            task, [&](const MeasuredChange& it) { found[it.change] = it; }, context);
        if (!done)
            qFatal("%s", describe(done.error()).c_str());
        return found;
    }

    /// [windows, tokens, vocabulary].
    graph::Array<float> logits(const ModelVersion& version, const Windows& windows) const
    {
        graph::Values<float> values;
        graph::Array<std::int64_t> tokens({windows.count(), windows.length});
        std::ranges::copy(windows.ids, tokens.write());
        values[m_graph.inputs.front()].integers = std::move(tokens);
        for (const graph::Segment& segment : m_graph.segments) {
            const auto weights = graph::loadWeights<float>(m_graph, segment, *version.weights, m_context).value();
            if (!graph::forward(m_graph, segment, weights, values, m_context, version.options(true)))
                qFatal("cannot run the model");
        }
        return values.at(m_graph.outputs.front()).real;
    }

private Q_SLOTS:
    void initTestCase()
    {
        const auto idOf = [](std::int64_t i) { return (i * i + 7 * i) % 37; };
        auto made = test::languageModel(QL_TEST_DATA "/frontends/llama", 32, 129, idOf, m_context);
        m_model = std::move(made.model);
        m_graph = std::move(made.graph);
        m_windows = std::move(made.windows);
        QCOMPARE(m_windows.perGroup(), 128);
    }

    void equalsTheWholeModelRunFromTheStart()
    {
        const ExactProbeTask its = task();
        const auto found = probed(its, m_context);
        for (std::size_t i = 0; i < its.changes.size(); ++i) {
            Plan plan = keepPlan(*m_model);
            for (const auto& [layer, candidate] : its.changes[i])
                plan.candidates[static_cast<std::size_t>(layer)] = candidate;
            const auto version = plannedVersion(*m_model, {.plan = &plan}, m_context).value();
            const EvaluationTask evaluation{.graph = m_graph,
                                            .windows = m_windows,
                                            .model = ownVersion(*m_model),
                                            .other = &version,
                                            .onScores = {},
                                            .known = {}};
            const ComparisonScore score = comparisonOf(evaluate(evaluation, m_context).value(), m_windows.count());
            QCOMPARE(found[i].kld.size(), std::size_t{129});
            const WindowMean kld = meanOf(found[i].kld);
            QVERIFY(score.kld.value > 0);
            QVERIFY(std::fabs(kld.value - score.kld.value) <= 1e-9 * score.kld.value);
            QVERIFY(std::fabs(kld.standardError - score.kld.windowError) <= 1e-6 * score.kld.windowError);
            QVERIFY(std::fabs(meanOf(found[i].nllChange).value - score.lnRatio.value) <= 1e-9);
            // The whole model's logits at the scored positions, in full.
            const Windows first{32, {m_windows.ids.begin(), m_windows.ids.begin() + 2 * 32}};
            const graph::Array<float> x = logits(ownVersion(*m_model), first);
            const graph::Array<float> y = logits(version, first);
            for (std::size_t window = 0; window < 2; ++window) {
                double squares = 0;
                double errors = 0;
                for (std::int64_t t = 16; t < 31; ++t)
                    for (std::int64_t v = 0; v < x.width(); ++v) {
                        const std::int64_t at = (static_cast<std::int64_t>(window) * 32 + t) * x.width() + v;
                        const auto one = static_cast<double>(x.data()[at]);
                        squares += one * one / 15;
                        errors += std::pow(static_cast<double>(y.data()[at]) - one, 2) / 15;
                    }
                QVERIFY(std::fabs(found[i].logitSquares[window] - squares) <= 1e-5 * squares);
                QVERIFY(std::fabs(found[i].logitErrors[window] - errors) <= 1e-3 * errors);
            }
            const WindowMean noise = noiseToSignal(found[i]);
            QVERIFY(noise.value > 0 && noise.value < 1 && noise.standardError < noise.value);
        }
        const WindowMean pair = coupling(found[3].kld, {&found[0].kld, &found[2].kld});
        const double expected = meanOf(found[3].kld).value - meanOf(found[0].kld).value - meanOf(found[2].kld).value;
        QVERIFY(std::fabs(pair.value - expected) <= 1e-9);
        QVERIFY(pair.standardError < meanOf(found[3].kld).standardError + meanOf(found[0].kld).standardError);
        QVERIFY(exactProbeBytes(its) > 0);
    }

    void continuesWhereItWasStopped()
    {
        ExactProbeTask its = task();
        MemorySink whole;
        its.sink = &whole;
        const auto expected = probed(its, m_context);
        QCOMPARE(whole.pieces.size(), std::size_t{4});
        MemorySink sink;
        sink.untilFailure = 2;
        its.sink = &sink;
        QVERIFY(!probeExactly(
            its, [](const MeasuredChange&) {}, m_context));
        QCOMPARE(sink.pieces.size(), std::size_t{2});
        sink.untilFailure = 2;
        Executor other(3, Executor::Backend::threads);
        const auto found = probed(its, JobContext(other));
        QVERIFY(sink.pieces == whole.pieces);
        for (std::size_t i = 0; i < found.size(); ++i)
            QCOMPARE(found[i].kld, expected[i].kld);
        std::stop_source source;
        source.request_stop();
        its.sink = nullptr;
        const auto stopped = probeExactly(
            its, [](const MeasuredChange&) {}, JobContext(m_executor, source.get_token()));
        QCOMPARE(stopped.error().code, Errc::cancelled);
    }

    void meansAreThoseOfWindows()
    {
        const WindowMean mean = meanOf({1, 2, 6});
        QCOMPARE(mean.value, 3.0);
        QVERIFY(std::fabs(mean.standardError - std::sqrt(7.0 / 3)) <= 1e-12); // (4 + 1 + 9)/2/3
        QVERIFY(std::isinf(meanOf({1}).standardError));
        const WindowMean ratio = ratioOf({1, 2, 6}, {2, 4, 12}); // the same in every window
        QCOMPARE(ratio.value, 0.5);
        QCOMPARE(ratio.standardError, 0.0);
        const WindowMean unlike = ratioOf({1, 3}, {2, 2}); // 1 ± the error of 2, over 2
        QCOMPARE(unlike.value, 1.0);
        QVERIFY(std::fabs(unlike.standardError - 0.5) <= 1e-12);
        QCOMPARE(ratioOf({0, 0}, {0, 0}).value, 0.0);
    }

    void groupsByRoleBlockAndPattern()
    {
        const std::vector<std::int64_t> layers = m_model->quantizableLayers();
        const auto named = [&](const char* word) {
            std::map<std::string, std::size_t> sizes;
            const std::vector<LayerGroup> groups = layerGroups(*m_model, layers, word).value();
            for (const LayerGroup& group : groups)
                sizes[group.name] = group.layers.size();
            return sizes;
        };
        const auto roles = named("role");
        QCOMPARE(roles.size(), std::size_t{9}); // seven of the blocks, embedding and head
        QCOMPARE(roles.at("down_proj"), std::size_t{2});
        const auto blocks = named("block");
        QCOMPARE(blocks.size(), std::size_t{4});
        QCOMPARE(blocks.at("block 1"), std::size_t{7});
        QCOMPARE(named("down_proj"), (std::map<std::string, std::size_t>{{"down_proj", 2}}));
        QCOMPARE(named("*self_attn*"), (std::map<std::string, std::size_t>{{"*self_attn*", 8}}));
        QVERIFY(!layerGroups(*m_model, layers, "nothing*"));
    }

    void theMostValuableCellsComeFirst()
    {
        const std::vector<std::int64_t> layers{m_model->indexOf("model.layers.0.mlp.up_proj.weight"),
                                               m_model->indexOf("model.layers.1.mlp.up_proj.weight")};
        const std::vector<Candidate> columns = parseCandidates("int4:channel int8:channel keep").value();
        const auto loss = [&](std::size_t layer, std::size_t column, double value, double error, Evidence evidence) {
            return LayerLoss{.layer = layers[layer],
                             .candidate = columns[column],
                             .loss = value,
                             .standardError = error,
                             .evidence = evidence};
        };
        const std::vector<LayerLosses> known{
            {.metric = "kfac",
             .activations = {},
             .candidates = columns,
             .cells = {loss(0, 0, 9, 0, Evidence::gradients), loss(1, 0, 2, 0, Evidence::gradients)}},
            {.metric = "gradient_probe",
             .activations = {},
             .candidates = columns,
             .cells = {loss(0, 0, 3, 1, Evidence::probed), loss(1, 1, 1, 0.5, Evidence::measured)}}};
        ExactCellsRequest request{
            .model = *m_model, .groups = singleLayers(*m_model, layers), .candidates = columns, .known = known};
        std::vector<ExactCell> cells = exactCells(request);
        QCOMPARE(cells.size(), std::size_t{3});             // one is measured; keep changes nothing
        QCOMPARE(cells[0].change.front().first, layers[1]); // 2 · 2, nothing was drawn
        QCOMPARE(cells[0].worth, 4.0);
        QCOMPARE(cells[1].change.front().first, layers[0]); // 3 · 1, by the better evidence
        QCOMPARE(cells[1].worth, 3.0);
        QCOMPARE(cells[2].worth, 0.0); // nothing is known of it
        request.skipsMeasured = false;
        cells = exactCells(request);
        QCOMPARE(cells.size(), std::size_t{4});
        QCOMPARE(cells[2].worth, 0.5);

        MeasuredChange measured;
        measured.kld = {0.5, 0.25};
        const LayerLoss exact = exactLoss(cells[0], measured, 16);
        QCOMPARE(exact.layer, layers[1]);
        QCOMPARE(exact.loss, 0.375);
        QCOMPARE(exact.standardError, 0.125); // |0.5 − 0.25| / 2
        QCOMPARE(exact.tokens, 32);
        QCOMPARE(exact.evidence, Evidence::measured);
        measured.kld = {-1e-9, -1e-9}; // rounding
        QCOMPARE(exactLoss(cells[0], measured, 16).loss, 0.0);
    }
};

QTEST_APPLESS_MAIN(ExactProbeTest)
#include "exact_probe_test.moc"
