// SPDX-License-Identifier: GPL-3.0-or-later
// Curvature layer by layer on a tiny model: what is kept is what the estimators say, subset by subset; runs continue.
#include "core/model/frontends/frontend.h"
#include "core/sensitivity/layer_curvature.h"
#include "tests/support/acceptance.h"
#include "tests/support/memory_sink.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_llama.h"

#include <cmath>

using namespace ql;
using ql::test::MemorySink;

class LayerCurvatureTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};

    /// A tiny model with text to run it on.
    struct Tiny {
        test::TemporaryFolder folder;
        std::shared_ptr<const Model> model;
        std::optional<graph::Graph> graph;
        std::optional<graph::CheckpointWeights> weights;
        Windows windows{.length = 8, .ids = {}};

        explicit Tiny(const JobContext& context)
        {
            test::TinyLlama shape;
            shape.hidden = 32;
            shape.inner = 48;
            shape.heads = 4;
            shape.keyValueHeads = 2;
            shape.blocks = 1;
            shape.dtype = "F32";
            shape.writeFolder(folder.path() / "model");
            model = openModel(folder.path() / "model", context).value();
            graph = buildGraph(*model).value();
            weights.emplace(*model);
            for (std::int64_t i = 0; i < 32; ++i)
                windows.ids.push_back((7 * i + i * i) % shape.vocabulary);
        }
    };

private Q_SLOTS:
    /// Methods A6, acceptance 1: the population's deviation.
    void spreadOfEigenvalues()
    {
        QL_NEAR("A6", "|mean| + deviation of eigenvalues 1 and 3", eigenvalueSpread(std::vector<double>{1, 3}), 3,
                1e-15);
        QL_NEAR("A6", "the same of -1 and -3", eigenvalueSpread(std::vector<double>{-1, -3}), 3, 1e-15);
        QL_NEAR("A6", "the same of one", eigenvalueSpread(std::vector<double>{-2}), 2, 0);
    }

    void figuresAreTheEstimators()
    {
        const Tiny tiny(m_context);
        const auto& [folder, model, graph, weights, windows] = tiny;
        const std::int64_t layer = model->indexOf("model.layers.0.self_attn.q_proj.weight");
        QVERIFY(layer >= 0);
        const CurvatureSettings settings{.probes = 3, .tolerance = 0, .iterations = 3, .subsets = 2, .seed = 4};
        MemorySink sink;
        std::vector<LayerCurvature> found;
        CurvatureTask task{.model = *model,
                           .graph = *graph,
                           .weights = *weights,
                           .windows = windows,
                           .layers = {layer},
                           .settings = settings,
                           .sink = &sink,
                           .onLayer = [&](const LayerCurvature& its) { found.push_back(its); }};
        QVERIFY(measureCurvature(task, m_context));
        QCOMPARE(found.size(), std::size_t{1});
        const auto figures = found.front().figures.values; // found grows below
        QCOMPARE(found.front().weights, 32 * 32);

        const auto spread = [&](std::span<const double> v) {
            return hessianVectorProduct<float>({*tiny.graph, *tiny.weights, tiny.windows, {layer}}, v, m_context);
        };
        const TraceEstimate trace = hutchinsonTrace(spread, 32 * 32, 3, 0, 4, m_context).value();
        QCOMPARE(figures.at("trace"), trace.trace);
        QCOMPARE(figures.at("trace_error"), trace.standardError);
        QCOMPARE(figures.at("mean_curvature"), trace.trace / (32 * 32));
        std::vector<double> values;
        for (std::size_t half = 0; half < 2; ++half) {
            const auto begin = windows.ids.begin() + static_cast<std::ptrdiff_t>(half) * 16;
            const Windows its{.length = 8, .ids = {begin, begin + 16}};
            const auto sharp = [&](std::span<const double> v) {
                return hessianVectorProduct<double>({*tiny.graph, *tiny.weights, its, {layer}}, v, m_context);
            };
            values.push_back(topEigenvalue(sharp, 32 * 32, 3, 0, 4, m_context).value().value);
        }
        QCOMPARE(figures.at("eigenvalue_mean"), (values[0] + values[1]) / 2);
        QVERIFY(std::fabs(figures.at("eigenvalue_std") - std::fabs(values[0] - values[1]) / 2) <
                1e-12 * std::fabs(values[0]));
        QCOMPARE(figures.at("eigenvalue_spread"), eigenvalueSpread(values));
        QVERIFY(!figures.contains("top_eigenvalue")); // of all windows it was not asked for

        // What is there is found, other settings are measured anew, and a stop passes.
        QVERIFY(measureCurvature(task, m_context));
        QVERIFY(found.back().isKept && found.back().figures.values == figures);
        task.settings.subsets = 1;
        std::stop_source stop;
        stop.request_stop();
        const auto stopped = measureCurvature(task, JobContext(m_executor, stop.get_token()));
        QVERIFY(!stopped && stopped.error().code == Errc::cancelled);
        QVERIFY(measureCurvature(task, m_context));
        QVERIFY(!found.back().isKept && found.back().figures.values.contains("top_eigenvalue"));
    }

    /// The same probes say the traces of all layers; what was stopped goes on with the probes that are left.
    void tracesTogether()
    {
        const Tiny tiny(m_context);
        const std::vector<std::int64_t> layers = tiny.model->quantizableLayers();
        QVERIFY(layers.size() > 6);
        constexpr int kProbes = 5;
        MemorySink sink;
        std::vector<LayerCurvature> found;
        std::vector<std::int64_t> begun;
        const CurvatureTask task{.model = *tiny.model,
                                 .graph = *tiny.graph,
                                 .weights = *tiny.weights,
                                 .windows = tiny.windows,
                                 .layers = layers,
                                 .settings = {.probes = kProbes, .tolerance = 0, .seed = 4, .together = true},
                                 .sink = &sink,
                                 .onLayer = [&](const LayerCurvature& its) { found.push_back(its); },
                                 .onProbe = [&](std::int64_t probe) { begun.push_back(probe); }};
        QCOMPARE(curvaturePasses(task.settings), 2 * kProbes);
        sink.untilFailure = 3;
        QVERIFY(!measureCurvature(task, m_context) && found.empty());
        QCOMPARE(begun.size(), std::size_t{4});
        sink.untilFailure = -1;
        const auto before = sink.pieces.size();
        QVERIFY(measureCurvature(task, m_context));
        QCOMPARE(before, std::size_t{3});
        QCOMPARE(sink.pieces.size(), kProbes + layers.size());
        QCOMPARE(found.size(), layers.size());

        const LossFunction loss{*tiny.graph, *tiny.weights, tiny.windows, layers};
        std::vector<TraceSamples> samples(layers.size());
        for (std::uint64_t probe = 0; probe < kProbes; ++probe) {
            const auto made = signedCurvature(loss, CounterRng(4, probe), m_context).value();
            for (std::size_t i = 0; i < layers.size(); ++i)
                samples[i].add(made[i]);
        }
        for (std::size_t i = 0; i < layers.size(); ++i) {
            QCOMPARE(found[i].layer, layers[i]);
            const auto& figures = found[i].figures.values;
            QCOMPARE(figures.at("trace"), samples[i].estimate().trace);
            QCOMPARE(figures.at("trace_error"), samples[i].estimate().standardError);
            QCOMPARE(figures.at("mean_curvature"),
                     figures.at("trace") /
                         static_cast<double>(tiny.model->layers[static_cast<std::size_t>(layers[i])].numel()));
            QVERIFY(!figures.contains("eigenvalue_spread"));
        }

        // By many probes what each layer says alone.
        std::vector<LayerCurvature> many;
        std::vector<LayerCurvature> alone;
        CurvatureTask more = task;
        more.settings.probes = 60;
        more.sink = nullptr;
        more.onLayer = [&](const LayerCurvature& its) { many.push_back(its); };
        QVERIFY(measureCurvature(more, m_context));
        more.settings.together = false;
        more.settings.iterations = 1;
        more.onLayer = [&](const LayerCurvature& its) { alone.push_back(its); };
        QVERIFY(measureCurvature(more, m_context));
        for (std::size_t i = 0; i < layers.size(); ++i) {
            const double error = std::hypot(many[i].trace.standardError, alone[i].trace.standardError);
            QVERIFY2(std::fabs(many[i].trace.trace - alone[i].trace.trace) <= 4 * error,
                     tiny.model->layers[static_cast<std::size_t>(layers[i])].name.c_str());
        }

        QVERIFY(measureCurvature(task, m_context));
        QVERIFY(found.back().isKept && found.back().figures.values == found[layers.size() - 1].figures.values);
    }
};

QTEST_APPLESS_MAIN(LayerCurvatureTest)
#include "layer_curvature_test.moc"
