// SPDX-License-Identifier: GPL-3.0-or-later
// Figures along the depth: entropies of known vectors, and the sample's against a whole run whose every value is kept.
#include "core/calibration/calibrated_activations.h"
#include "core/calibration/depth_figures.h"
#include "core/model/evaluation/row_difference.h"
#include "core/model/evaluation/text_tokens.h"
#include "core/model/frontends/frontend.h"
#include "tests/support/acceptance.h"
#include "tests/support/memory_sink.h"

#include <cmath>

using namespace ql;
using namespace ql::tests;
using ql::test::MemorySink;

namespace {
const std::filesystem::path kSample = std::filesystem::path(QL_SOURCE_DIR) / "resources/sample";

ChannelEntropy entropyOf(const std::vector<double>& values)
{
    ChannelEntropy entropy;
    for (const double value : values)
        entropy.add(value);
    return entropy;
}

/// LIM of h and what becomes of it.
double limOf(const std::vector<float>& before, const std::vector<float>& after)
{
    graph::Array<float> x({2, std::ssize(before) / 2});
    graph::Array<float> y({2, std::ssize(after) / 2});
    std::ranges::copy(before, x.write());
    std::ranges::copy(after, y.write());
    Executor executor(1);
    const RowDifference sums = rowDifference(x, y, JobContext(executor)).value();
    return -sums.cosines / static_cast<double>(sums.rows);
}
} // namespace

class DepthFiguresTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};

private Q_SLOTS:
    /// Methods A16.
    void entropiesOfKnownVectors()
    {
        for (const std::size_t n : {2U, 64U, 1000U}) {
            const auto count = static_cast<double>(n);
            const ChannelEntropy alike = entropyOf(std::vector<double>(n, -0.7));
            QL_NEAR("A16", "L1 entropy of " + std::to_string(n) + " alike, over ln n", alike.l1() / std::log(count), 1,
                    1e-12);
            QL_NEAR("A16", "released L2 entropy of " + std::to_string(n) + " alike, over ½√n·ln n",
                    alike.l2() / (0.5 * std::sqrt(count) * std::log(count)), 1, 1e-12);
            std::vector<double> single(n);
            single[n / 2] = -3.5;
            const ChannelEntropy hot = entropyOf(single);
            QL_NEAR("A16", "L1 entropy of one of " + std::to_string(n), hot.l1(), 0, 1e-15);
            QL_NEAR("A16", "L2 entropy of one of " + std::to_string(n), hot.l2(), 0, 1e-15);
        }
        QCOMPARE(entropyOf({0, 0}).l1(), 0.0);
        const ChannelEntropy uneven = entropyOf({1, 2, -1});
        QVERIFY(std::fabs(uneven.l1() - (2 * 0.25 * std::log(4.0) + 0.5 * std::log(2.0))) < 1e-15);
    }

    /// Methods C5.
    void importanceOfKnownBlocks()
    {
        const std::vector<float> h{1, -2, 3, 0.5F, 0, 4, -1, 2};
        std::vector<float> negative(h);
        std::vector<float> scaled(h);
        for (float& x : negative)
            x = -x;
        for (float& x : scaled)
            x *= 4;
        QL_NEAR("C5", "LIM of a block that changes nothing", limOf(h, h), -1, 1e-15);
        QL_NEAR("C5", "LIM of x → −x", limOf(h, negative), 1, 1e-15);
        QL_NEAR("C5", "LIM of an output orthogonal to its input", limOf(h, {2, 1, -0.5F, 3, 1, 0, 0, 0}), 0, 1e-15);
        QL_NEAR("C5", "LIM of a scaled output", limOf(h, scaled), -1, 1e-15);
    }

    void theSampleAgainstAWholeRun()
    {
        const auto model = openModel(kSample, m_context).value();
        const graph::Graph graph = buildGraph(*model).value();
        const auto tokens = readTokens(*model, {kSample / "test.txt", {}}, m_context).value();
        const Windows windows = tokens.windows(64, 3).value();
        const graph::CheckpointWeights weights(*model);
        MemorySink sink;
        QVERIFY(measureDepth({*model, graph, weights, windows, sink}, m_context));

        graph::Values<float> values;
        graph::Array<std::int64_t> ids({windows.count(), windows.length});
        std::ranges::copy(windows.ids, ids.write());
        values[graph.inputs[0]].integers = ids;
        graph::ForwardOptions<float> options;
        options.keepAll = true;
        QVERIFY(graph::forwardAll(graph, weights, values, m_context, options));
        std::size_t compared = 0;
        graph::ValueId hidden = graph::kLeftOut;
        for (const graph::Segment& segment : graph.segments) {
            graph::ValueId left = graph::kLeftOut;
            for (std::size_t n = segment.begin; n < segment.end; ++n)
                for (const graph::ValueId id : graph.nodes[n].outputs)
                    if (graph.lastUse[static_cast<std::size_t>(id)] >= segment.end)
                        left = id;
            for (std::size_t n = segment.begin; n < segment.end && segment.block >= 0; ++n) {
                const graph::Node& node = graph.nodes[n];
                const std::int64_t layer = graph.productLayerOf(node);
                if (layer < 0)
                    continue;
                const auto bytes =
                    sink.find(figuresKey(FigureKind::depth, model->layers[static_cast<std::size_t>(layer)].name));
                QVERIFY(bytes);
                const LayerFigures figures = LayerFigures::decode(*bytes).value();
                const auto& x = values.at(node.inputs[static_cast<std::size_t>(node.op->activations)]).real;
                double l1 = 0;
                double l2 = 0;
                for (std::int64_t c = 0; c < x.width(); ++c) { // by the definition
                    double sum = 0;
                    double squares = 0;
                    for (std::int64_t r = 0; r < x.rows(); ++r) {
                        const auto value = static_cast<double>(x.data()[r * x.width() + c]);
                        sum += std::fabs(value);
                        squares += value * value;
                    }
                    for (std::int64_t r = 0; r < x.rows(); ++r) {
                        const double size = std::fabs(static_cast<double>(x.data()[r * x.width() + c]));
                        if (size > 0) {
                            l1 -= size / sum * std::log(size / sum);
                            l2 -= size / std::sqrt(squares) * std::log(size / std::sqrt(squares));
                        }
                    }
                }
                const auto width = static_cast<double>(x.width());
                QVERIFY(std::fabs(figures.values.at("entropy_l1") - l1 / width) < 1e-5 * l1 / width);
                QVERIFY(std::fabs(figures.values.at("entropy_l2") - l2 / width) < 1e-5 * std::fabs(l2 / width));
                const auto& before = values.at(hidden).real;
                const auto& after = values.at(left).real;
                double cosines = 0;
                for (std::int64_t r = 0; r < before.rows(); ++r) {
                    double xx = 0;
                    double yy = 0;
                    double xy = 0;
                    for (std::int64_t i = r * before.width(); i < (r + 1) * before.width(); ++i) {
                        const auto a = static_cast<double>(before.data()[i]);
                        const auto b = static_cast<double>(after.data()[i]);
                        xx += a * a;
                        yy += b * b;
                        xy += a * b;
                    }
                    cosines += xy / std::sqrt(xx * yy);
                }
                QVERIFY(std::fabs(figures.values.at("lim") + cosines / static_cast<double>(before.rows())) < 1e-5);
                ++compared;
            }
            hidden = left;
        }
        QVERIFY(compared >= 14);

        // Activations tell them, and a second run finds them.
        const auto shared = std::make_shared<MemorySink>(sink);
        const auto activations = calibratedActivations(shared, findCalibration(*shared, *model), "memory");
        QVERIFY(activations && knowsFigure(activations.get(), "lim") && !knowsFigure(activations.get(), "trace"));
        QVERIFY(!figureOf(activations.get(), "lim", model->indexOf("model.embed_tokens.weight")));
        const Windows fewer = tokens.windows(64, 2).value();
        MemorySink other;
        QVERIFY(measureDepth({*model, graph, weights, fewer, other}, m_context));
        const auto again =
            calibratedActivations(std::make_shared<MemorySink>(other), findCalibration(other, *model), "m");
        QVERIFY(again->fingerprint() != activations->fingerprint());
        std::stop_source stopped;
        stopped.request_stop();
        QVERIFY(measureDepth({*model, graph, weights, fewer, other}, JobContext(m_executor, stopped.get_token())));
        QVERIFY(!measureDepth({*model, graph, weights, windows, other}, JobContext(m_executor, stopped.get_token())));
    }
};

QTEST_APPLESS_MAIN(DepthFiguresTest)
#include "depth_figures_test.moc"
