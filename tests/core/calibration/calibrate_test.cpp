// SPDX-License-Identifier: GPL-3.0-or-later
// The sample calibrated over its golden windows: against plain sums of what the layers see, and against itself under
// interruption, batches and threads. Layers that several nodes read: experts of a stack, shared weights.
#include "core/calibration/calibrate.h"
#include "core/calibration/calibrated_activations.h"
#include "core/checkpoint/reader.h"
#include "core/model/evaluation/run_cost.h"
#include "core/model/frontends/frontend.h"
#include "tests/support/damaged_weights.h"
#include "tests/support/memory_model.h"
#include "tests/support/memory_sink.h"

#include <QTest>

#include <cmath>

using namespace ql;
using test::MemorySink;

namespace {

const std::filesystem::path kSample = std::filesystem::path(QL_SOURCE_DIR) / "resources/sample";
const std::filesystem::path kMixtral = QL_TEST_DATA "/frontends/mixtral";

/// The model's own weights, and how often each was asked for.
class CountedWeights final : public graph::WeightSource {
public:
    explicit CountedWeights(const Model& model) : m_weights(model) {}
    Result<TensorData> weights(std::int64_t layer, const JobContext& context) const override
    {
        ++loads[layer];
        return m_weights.weights(layer, context);
    }
    mutable std::map<std::int64_t, int> loads; // by layer

private:
    graph::CheckpointWeights m_weights;
};

bool isClose(double a, double b, double tolerance = 1e-4)
{
    return std::fabs(a - b) <= tolerance * (std::fabs(a) + std::fabs(b)) + 1e-9;
}

} // namespace

class CalibrateTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};
    std::shared_ptr<const Model> m_model;
    graph::Graph m_graph;
    Windows m_windows;

    Result<void> run(ResultSink& sink, const CalibrationSettings& settings, const JobContext& context) const
    {
        const graph::CheckpointWeights weights(*m_model);
        return calibrate({*m_model, m_graph, weights, windowCases(m_graph, m_windows).value(), settings, sink, {}},
                         context);
    }
    std::int64_t layer(const char* name) const { return m_model->indexOf(name); }
    SiteStatistics site(const MemorySink& sink, const char* name) const
    {
        return SiteStatistics::decode(sink.pieces.at(siteKey(*m_model, layer(name)))).value();
    }

private Q_SLOTS:
    void initTestCase()
    {
        m_model = openModel(kSample, m_context).value();
        m_graph = buildGraph(*m_model).value();
        const auto file = openCheckpoint(kSample / "golden/tokens.npy", m_context).value();
        const auto data = file->load(0, m_context).value();
        std::vector<double> ids(static_cast<std::size_t>(data.view.numel()));
        decode(data.view.dtype, data.view.data, 0, data.view.numel(), ids.data());
        m_windows = {data.view.shape[1], {ids.begin(), ids.begin() + 3 * data.view.shape[1]}};
    }

    void againstPlainSums()
    {
        MemorySink sink;
        QVERIFY(run(sink, {}, m_context));
        QCOMPARE(sink.pieces.size(), std::size_t{4 * 4 + 1}); // q k v, o, gate up, down; the head
        // The inputs of one layer, collected by a hook, summed in double.
        const char* name = "model.layers.2.mlp.down_proj.weight";
        std::vector<float> inputs;
        graph::ForwardOptions<float> options;
        options.layerInput = [&](const graph::Node&, std::int64_t seen, graph::Array<float>& x) {
            if (seen == layer(name))
                inputs.insert(inputs.end(), x.data(), x.data() + x.numel());
            return Result<void>();
        };
        graph::Values<float> values;
        graph::Array<std::int64_t> tokens({3, 256});
        std::copy(m_windows.ids.begin(), m_windows.ids.end(), tokens.write());
        values[m_graph.inputs[0]].integers = tokens;
        const graph::CheckpointWeights weights(*m_model);
        QVERIFY(graph::forwardAll<float>(m_graph, weights, values, m_context, options));
        const SiteStatistics found = site(sink, name);
        const std::int64_t in = found.in;
        QCOMPARE(in, 512);
        QCOMPARE(found.tokens, 3 * 256);
        QCOMPARE(found.windows, 3);
        QCOMPARE(std::ssize(inputs), 3 * 256 * in);
        for (std::int64_t r = 0; r < in; r += 37) {
            double sum = 0;
            float min = inputs[static_cast<std::size_t>(r)];
            for (std::int64_t t = 0; t < 768; ++t) {
                sum += static_cast<double>(inputs[static_cast<std::size_t>(t * in + r)]);
                min = std::min(min, inputs[static_cast<std::size_t>(t * in + r)]);
            }
            QVERIFY(std::fabs(found.sum[static_cast<std::size_t>(r)] - sum) < 1e-9 * (1 + std::fabs(sum)));
            QCOMPARE(found.min[static_cast<std::size_t>(r)], min);
            for (std::int64_t c = 0; c <= r; ++c) {
                double product = 0;
                double magnitude = 0;
                for (std::int64_t t = 0; t < 768; ++t) {
                    const double p = static_cast<double>(inputs[static_cast<std::size_t>(t * in + r)]) *
                                     static_cast<double>(inputs[static_cast<std::size_t>(t * in + c)]);
                    product += p;
                    magnitude += std::fabs(p);
                }
                const double difference = found.gram[static_cast<std::size_t>(r * (r + 1) / 2 + c)] - product;
                QVERIFY(std::fabs(difference) <= 256 * 6e-8 * magnitude + 1e-12);
            }
        }
        std::int64_t counted = 0;
        for (const std::int64_t count : found.histogram.counts())
            counted += count;
        QCOMPARE(counted, 768 * in);
        QCOMPARE(found.tokenAbsmax.size(), std::size_t{768});
        float largest = 0;
        for (std::int64_t c = 0; c < in; ++c)
            largest = std::max(largest, std::fabs(inputs[static_cast<std::size_t>(5 * in + c)]));
        QCOMPARE(found.tokenAbsmax[5], largest);
    }

    void batchesThreadsAndInterruptionsGiveTheSame()
    {
        MemorySink whole;
        CalibrationSettings settings;
        settings.batchWindows = 1;
        QVERIFY(run(whole, settings, m_context));
        for (int kept : {0, 1, 7, 17, 20, 40, 50}) {
            MemorySink sink;
            sink.untilFailure = kept;
            const auto failed = run(sink, settings, m_context);
            QVERIFY(!failed);
            QVERIFY(failed.error().code == Errc::io);
            sink.untilFailure = -1;
            Executor one(1);
            QVERIFY(run(sink, settings, JobContext(one)));
            QVERIFY2(sink.pieces == whole.pieces, qPrintable(QString::number(kept)));
        }
    }

    void inputsThatAreNotFiniteAreRefused()
    {
        const test::DamagedWeights damaged(*m_model, layer("model.layers.2.mlp.down_proj.weight"));
        MemorySink sink;
        const Cases cases = windowCases(m_graph, m_windows).value();
        const auto refused = calibrate({*m_model, m_graph, damaged, cases, {}, sink, {}}, m_context);
        QVERIFY(!refused);
        QVERIFY2(refused.error().what.starts_with(
                     "the inputs of layer 'model.layers.3.self_attn.q_proj.weight' are not finite"),
                 refused.error().what.c_str());
        QVERIFY(sink.pieces.contains(siteKey(*m_model, layer("model.layers.2.mlp.down_proj.weight"))));
        QVERIFY(!sink.pieces.contains(siteKey(*m_model, layer("model.layers.3.self_attn.q_proj.weight"))));
    }

    void finishedBatchesAreNotRunAgain()
    {
        CalibrationSettings settings;
        settings.batchWindows = 1;
        const auto calibrated = [&](ResultSink& sink, const CalibrationSettings& its) {
            CountedWeights weights(*m_model);
            Progress progress;
            const JobContext context(m_executor, {}, &progress);
            const auto done = calibrate(
                {*m_model, m_graph, weights, windowCases(m_graph, m_windows).value(), its, sink, {}}, context);
            progress.finish();
            return done ? weights.loads : std::map<std::int64_t, int>{{-1, -1}};
        };
        const std::int64_t embedding = layer("model.embed_tokens.weight"); // the head, too
        const std::int64_t first = layer("model.layers.0.self_attn.q_proj.weight");
        const std::int64_t last = layer("model.layers.3.mlp.down_proj.weight");
        MemorySink whole;
        auto loads = calibrated(whole, settings);
        QCOMPARE(loads[first], 3);
        QCOMPARE(loads[last], 3);
        QVERIFY(calibrated(whole, settings).empty()); // all is there
        MemorySink sink;
        sink.untilFailure = 2 * (4 * 4 + 1) + 9; // two batches, and two blocks and a bit of the third
        QVERIFY(!run(sink, settings, m_context));
        sink.untilFailure = -1;
        loads = calibrated(sink, settings);
        QCOMPARE(loads[embedding], 1);
        QCOMPARE(loads[first], 1);
        QCOMPARE(loads[last], 1);
        QVERIFY(sink.pieces == whole.pieces);
        // A batch that was begun ends where it would have, whatever batches follow.
        MemorySink mixed;
        settings.batchWindows = 2;
        mixed.untilFailure = 9;
        QVERIFY(!run(mixed, settings, m_context));
        mixed.untilFailure = -1;
        settings.batchWindows = 64;
        QCOMPARE(calibrated(mixed, settings)[last], 2);
        for (const auto& [key, bytes] : mixed.pieces)
            QCOMPARE(SiteStatistics::decodeHead(bytes)->windows, 3);
    }

    void allOfSomeLayersOnDemand()
    {
        CalibrationSettings settings;
        settings.gram = GramKind::diag;
        MemorySink sink;
        QVERIFY(run(sink, settings, m_context));
        const auto before = sink.pieces;
        settings.full = {layer("model.layers.1.mlp.up_proj.weight"), layer("model.layers.1.mlp.down_proj.weight")};
        CountedWeights weights(*m_model);
        QVERIFY(calibrate({*m_model, m_graph, weights, windowCases(m_graph, m_windows).value(), settings, sink, {}},
                          m_context));
        QVERIFY(weights.loads.contains(layer("model.layers.1.mlp.up_proj.weight")));
        QVERIFY(!weights.loads.contains(layer("model.layers.2.mlp.up_proj.weight"))); // nothing behind is needed
        std::set<std::string> changed;
        for (const auto& [key, bytes] : sink.pieces)
            if (before.at(key) != bytes)
                changed.insert(key);
        const std::string gate = siteKey(*m_model, layer("model.layers.1.mlp.gate_proj.weight")); // up reads it, too
        const std::string down = siteKey(*m_model, layer("model.layers.1.mlp.down_proj.weight"));
        QCOMPARE(changed, (std::set{gate, down}));
        settings.gram = GramKind::full;
        MemorySink full;
        QVERIFY(run(full, settings, m_context));
        QVERIFY(sink.pieces.at(gate) == full.pieces.at(gate));
        // What holds more than is asked for stays.
        settings = {};
        settings.gram = GramKind::diag;
        const auto kept = sink.pieces;
        QVERIFY(run(sink, settings, m_context));
        QVERIFY(sink.pieces == kept);
        const auto activations =
            calibratedActivations(std::make_shared<MemorySink>(sink), findCalibration(sink, *m_model), "here");
        QVERIFY(!activations->isDiagonal());
        const auto up = activations->statistics(layer("model.layers.1.mlp.up_proj.weight"), m_context).value();
        QCOMPARE(up->gram.size(), std::size_t{256 * 256});
    }

    void expertsOfAStackKeepTheirOwn()
    {
        std::vector<std::int64_t> ids;
        for (std::int64_t i = 0; i < 4 * 16; ++i)
            ids.push_back((i * i + 5 * i) % 37);
        const Windows windows{16, ids};
        struct Calibrated {
            std::shared_ptr<const Model> model;
            std::shared_ptr<const Activations> activations;
            double multiplyAdds = 0;
        };
        const auto calibrated = [&](const std::filesystem::path& path) {
            const auto model = openModel(path, m_context).value();
            const auto graph = buildGraph(*model).value();
            const graph::CheckpointWeights weights(*model);
            const auto sink = std::make_shared<MemorySink>();
            const auto done =
                calibrate({*model, graph, weights, windowCases(graph, windows).value(), {}, *sink, {}}, m_context);
            return Calibrated{model, done ? calibratedActivations(sink, findCalibration(*sink, *model), path) : nullptr,
                              multiplyAddsPerToken(*model, graph)};
        };
        const Calibrated separate = calibrated(kMixtral);
        const Calibrated stacked = calibrated(kMixtral / "model.gguf");
        QVERIFY(separate.activations && stacked.activations);
        QCOMPARE(separate.multiplyAdds, stacked.multiplyAdds);
        for (int block = 0; block < 2; ++block)
            for (const auto& [own, stack] : {std::pair("w1", "gate"), {"w3", "up"}, {"w2", "down"}}) {
                const std::string prefix = "blk." + std::to_string(block) + ".ffn_";
                const auto all =
                    stacked.activations->statistics(stacked.model->indexOf(prefix + stack + "_exps.weight"), m_context)
                        .value();
                QVERIFY(all);
                QCOMPARE(all->parts.size(), std::size_t{3});
                QCOMPARE(all->tokens, 2 * 4 * 16); // each token goes to two experts
                QVERIFY(all->gram.empty());
                for (std::size_t expert = 0; expert < 3; ++expert) {
                    const std::string name = "model.layers." + std::to_string(block) + ".block_sparse_moe.experts." +
                                             std::to_string(expert) + "." + own + ".weight";
                    const auto wanted =
                        separate.activations->statistics(separate.model->indexOf(name), m_context).value();
                    const ActivationStatistics& part = all->parts[expert];
                    QCOMPARE(part.tokens, wanted->tokens);
                    QCOMPARE(part.gram.size(), wanted->gram.size());
                    const auto n = static_cast<std::size_t>(part.in);
                    const auto size = [&](std::size_t i) { return wanted->gram[i * n + i]; };
                    for (std::size_t i = 0; i < part.gram.size(); ++i) // sums may cancel
                        QVERIFY(std::fabs(part.gram[i] - wanted->gram[i]) <=
                                1e-4 * std::sqrt(size(i / n) * size(i % n)) + 1e-9);
                    for (std::size_t c = 0; c < part.channelMax.size(); ++c) {
                        QVERIFY(isClose(part.channelMax[c], wanted->channelMax[c], 1e-3));
                        QVERIFY(all->channelMax[c] >= part.channelMax[c]);
                    }
                }
            }
        // The first that reads what the router does: found under its name, though routers are not quantized.
        QVERIFY(separate.activations
                    ->statistics(separate.model->indexOf("model.layers.0.block_sparse_moe.gate.weight"), m_context)
                    .value());
    }

    void sharedWeightsSumTheirUses()
    {
        Model model;
        const auto checkpoint =
            test::addLayers(model, {{"embedding", {11, 8}, Operator::embedding}, {"shared", {8, 8}}});
        graph::GraphBuilder builder;
        const graph::ValueId tokens = builder.input("tokens");
        const graph::ValueId shared = builder.weights(1, "shared");
        const graph::ValueId x = builder.add("embedding", "embedding", {tokens, builder.weights(0, "embedding")});
        const graph::ValueId y = builder.add("linear", "once", {x, shared});
        const graph::Graph graph = std::move(builder).finish({builder.add("linear", "twice", {y, shared})});
        const Windows windows{4, {1, 2, 3, 10, 4, 4, 0, 7}};
        const auto sink = std::make_shared<MemorySink>();
        const graph::CheckpointWeights weights(model);
        QVERIFY(calibrate({model, graph, weights, windowCases(graph, windows).value(), {}, *sink, {}}, m_context));
        QCOMPARE(sink->pieces.size(), std::size_t{2});
        const auto statistics =
            calibratedActivations(sink, findCalibration(*sink, model), "here")->statistics(1, m_context).value();
        QCOMPARE(statistics->tokens, 2 * 8);
        std::vector<double> gram(64);
        const auto weightsOf = [&](std::int64_t layer) {
            const auto data = checkpoint->load(layer, m_context).value();
            const auto* floats = reinterpret_cast<const float*>(data.view.data);
            return std::vector<float>(floats, floats + data.view.numel());
        };
        const std::vector<float> table = weightsOf(0);
        const std::vector<float> w = weightsOf(1);
        double largest = 0;
        for (const std::int64_t id : windows.ids) {
            std::vector<double> in(table.begin() + id * 8, table.begin() + (id + 1) * 8);
            for (int use = 0; use < 2; ++use) {
                for (std::size_t i = 0; i < 64; ++i)
                    gram[i] += in[i / 8] * in[i % 8];
                largest = std::max(largest, std::ranges::max(in));
                std::vector<double> out(8);
                for (std::size_t i = 0; i < 64; ++i)
                    out[i / 8] += static_cast<double>(w[i]) * in[i % 8];
                in = out;
            }
        }
        for (std::size_t i = 0; i < 64; ++i)
            QVERIFY(isClose(statistics->gram[i], gram[i]));
        for (std::size_t c = 0; c < 8; ++c)
            QVERIFY(isClose(statistics->channelRms[c], std::sqrt(gram[9 * c] / 16)));
        QVERIFY(isClose(std::ranges::max(statistics->channelMax), largest));
        std::int64_t counted = 0;
        for (const std::int64_t count : statistics->histogram)
            counted += count;
        QCOMPARE(counted, 2 * 8 * 8);
    }

    void anotherTextStartsAnew()
    {
        MemorySink sink;
        QVERIFY(run(sink, {}, m_context));
        const auto before = sink.pieces;
        Windows other = m_windows;
        other.ids[3] = other.ids[3] == 5 ? 6 : 5;
        const graph::CheckpointWeights weights(*m_model);
        QVERIFY(calibrate({*m_model, m_graph, weights, windowCases(m_graph, other).value(), {}, sink, {}}, m_context));
        QCOMPARE(site(sink, "model.layers.0.self_attn.q_proj.weight").tokens, 768);
        QVERIFY(sink.pieces != before);
    }

    void kindsOfGramMatrices()
    {
        const char* name = "model.layers.1.self_attn.o_proj.weight";
        MemorySink full;
        QVERIFY(run(full, {}, m_context));
        const SiteStatistics wanted = site(full, name);
        const auto at = [&](std::int64_t r, std::int64_t c) {
            return wanted.gram[static_cast<std::size_t>(std::max(r, c) * (std::max(r, c) + 1) / 2 + std::min(r, c))];
        };
        CalibrationSettings settings;
        settings.gram = GramKind::blocks;
        settings.blockSize = 96; // 256 = 96 + 96 + 64
        MemorySink blocks;
        QVERIFY(run(blocks, settings, m_context));
        const SiteStatistics cut = site(blocks, name);
        QCOMPARE(std::ssize(cut.gram), std::int64_t{2 * 96 * 96 + 64 * 64});
        const auto close = [](double a, double b) { return std::fabs(a - b) <= 1e-5 * (std::fabs(a) + 1); };
        QVERIFY(close(cut.gram[96 * 96 + 3 * 96 + 7], at(96 + 3, 96 + 7)));
        QVERIFY(close(cut.gram[2 * 96 * 96 + 63 * 64 + 1], at(192 + 63, 192 + 1)));
        settings.gram = GramKind::diag;
        MemorySink diag;
        QVERIFY(run(diag, settings, m_context));
        for (std::int64_t c = 0; c < 256; ++c) {
            QVERIFY(close(site(diag, name).squareSum(c), at(c, c)));
            QVERIFY(close(cut.squareSum(c), at(c, c)));
        }
        settings.gram = GramKind::full;
        settings.fullLimit = 300; // down_proj's inputs are wider
        MemorySink mixed;
        QVERIFY(run(mixed, settings, m_context));
        QVERIFY(site(mixed, name).gramKind == GramKind::full);
        std::int64_t kept = 0;
        for (const auto& [key, bytes] : mixed.pieces)
            kept += std::ssize(bytes);
        const auto announced = calibrationCost(*m_model, m_graph, settings, 3, 256).resultBytes;
        QVERIFY(std::fabs(static_cast<double>(announced) / static_cast<double>(kept) - 1) < 0.05);
        QVERIFY(site(mixed, "model.layers.1.mlp.down_proj.weight").gramKind == GramKind::blocks);
    }

    void asActivations()
    {
        const auto sink = std::make_shared<MemorySink>();
        QVERIFY(calibratedActivations(sink, findCalibration(*sink, *m_model), "here") == nullptr);
        QVERIFY(run(*sink, {}, m_context));
        const auto activations = calibratedActivations(sink, findCalibration(*sink, *m_model), "here");
        QVERIFY(activations);
        QCOMPARE(std::ssize(activations->layers()), 4 * 7 + 1);
        const auto k = activations->statistics(layer("model.layers.3.self_attn.k_proj.weight"), m_context).value();
        QCOMPARE(k->in, 256);
        QCOMPARE(k->tokens, 768);
        QCOMPARE(k->gram.size(), std::size_t{256 * 256});
        QCOMPARE(k->gram[5], k->gram[5 * 256]);
        QVERIFY(std::fabs(k->channelRms[9] - std::sqrt(k->gram[9 * 257] / 768)) < 1e-12);
    }

    void damagedPiecesAreNotTaken()
    {
        MemorySink sink;
        QVERIFY(run(sink, {}, m_context));
        const auto bytes = sink.pieces.begin()->second;
        for (std::size_t size = 0; size < bytes.size(); size += 997)
            QVERIFY(!SiteStatistics::decode(std::span(bytes).first(size)));
        QVERIFY(SiteStatistics::decode(bytes));
        QVERIFY(!SiteStatistics::decodeHead(std::span(bytes).first(60)));
        QCOMPARE(SiteStatistics::decodeHead(std::span(bytes).first(1000))->tokens, 768);
    }

    void histogramGrowsWithoutLoss()
    {
        GrowingHistogram histogram;
        const std::vector<float> small{-0.9F, 0.1F, 0.99F};
        histogram.add(small.data(), 3);
        QCOMPARE(histogram.range(), 1.0);
        const std::vector<float> large{-7.5F, 1.0F};
        histogram.add(large.data(), 2);
        QCOMPARE(histogram.range(), 8.0);
        const auto bin = [&](double x) {
            return histogram.counts()[static_cast<std::size_t>(std::floor((x + 8) / 16 * GrowingHistogram::kBins))];
        };
        for (const double x : {-0.9, 0.1, 0.99, -7.5, 1.0})
            QCOMPARE(bin(x), 1);
    }
};

QTEST_APPLESS_MAIN(CalibrateTest)
#include "calibrate_test.moc"
