// SPDX-License-Identifier: GPL-3.0-or-later
// The sample traced under a plan, against whole runs whose every value is kept; and what a run will cost.
#include "core/model/evaluation/run_cost.h"
#include "core/model/evaluation/text_tokens.h"
#include "core/model/evaluation/trace.h"
#include "core/model/frontends/frontend.h"
#include "core/realize/plan_weights.h"
#include "tests/support/refer_to.h"

#include <QTest>

#include <cmath>
#include <set>

using namespace ql;

namespace {

const std::filesystem::path kSample = std::filesystem::path(QL_SOURCE_DIR) / "resources/sample";

/// The plan's weights for some layers, the model's for the others.
class SomePlanned final : public graph::WeightSource {
public:
    SomePlanned(const graph::WeightSource& model, const graph::WeightSource& planned, std::set<std::int64_t> layers)
        : m_model(model), m_planned(planned), m_layers(std::move(layers))
    {}
    Result<TensorData> weights(std::int64_t layer, const JobContext& context) const override
    {
        return (m_layers.contains(layer) ? m_planned : m_model).weights(layer, context);
    }

private:
    const graph::WeightSource& m_model;
    const graph::WeightSource& m_planned;
    std::set<std::int64_t> m_layers;
};

} // namespace

class TraceTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};
    std::shared_ptr<const Model> m_model;
    graph::Graph m_graph;
    Windows m_windows;

    /// The one value that segment s makes and a later one reads.
    graph::ValueId hiddenOf(std::size_t s) const
    {
        graph::ValueId found = graph::kLeftOut;
        const graph::Segment& segment = m_graph.segments[s];
        for (std::size_t n = segment.begin; n < segment.end; ++n)
            for (const graph::ValueId id : m_graph.nodes[n].outputs)
                if (m_graph.lastUse[static_cast<std::size_t>(id)] >= segment.end) {
                    if (found != graph::kLeftOut)
                        qFatal("two values leave the segment");
                    found = id;
                }
        return found;
    }

    graph::Values<float> everything(const graph::WeightSource& weights) const
    {
        graph::Values<float> values;
        graph::Array<std::int64_t> tokens({m_windows.count(), m_windows.length});
        std::copy(m_windows.ids.begin(), m_windows.ids.end(), tokens.write());
        values[m_graph.inputs[0]].integers = tokens;
        graph::ForwardOptions<float> options;
        options.keepAll = true;
        if (const auto done = graph::forwardAll(m_graph, weights, values, m_context, options); !done)
            qFatal("%s", describe(done.error()).c_str());
        return values;
    }

    static HiddenError plainError(const graph::Array<float>& h, const graph::Array<float>& o)
    {
        double difference = 0;
        double square = 0;
        double cosines = 0;
        for (std::int64_t row = 0; row < h.rows(); ++row) {
            double hh = 0;
            double oo = 0;
            double ho = 0;
            for (std::int64_t i = row * h.width(); i < (row + 1) * h.width(); ++i) {
                const double a = static_cast<double>(h.data()[i]);
                const double b = static_cast<double>(o.data()[i]);
                difference += (a - b) * (a - b);
                hh += a * a;
                oo += b * b;
                ho += a * b;
            }
            square += hh;
            cosines += ho / std::sqrt(hh) / std::sqrt(oo);
        }
        return {std::sqrt(difference / square), cosines / static_cast<double>(h.rows())};
    }

    static void compare(const HiddenError& found, const HiddenError& wanted)
    {
        QVERIFY2(std::fabs(found.relativeRmse - wanted.relativeRmse) <= 1e-9 * wanted.relativeRmse,
                 qPrintable(QString::number(found.relativeRmse) + QStringLiteral(" against ") +
                            QString::number(wanted.relativeRmse)));
        QVERIFY(std::fabs(found.cosine - wanted.cosine) <= 1e-9);
    }

private Q_SLOTS:
    void initTestCase()
    {
        m_model = openModel(kSample, m_context).value();
        m_graph = buildGraph(*m_model).value();
        const auto tokens = readTokens(*m_model, {kSample / "test.txt", {}}, m_context);
        QVERIFY(tokens);
        m_windows = tokens->windows(96, 2).value();
    }

    void theModelItselfIsNoDistanceAway()
    {
        const graph::CheckpointWeights own(*m_model);
        const auto traces = trace(
            {m_graph, m_windows, {.weights = test::referTo(own)}, {.weights = test::referTo(own)}, {}}, m_context);
        QVERIFY(traces);
        QCOMPARE(traces->size(), std::size_t{5}); // embedding and four blocks
        for (const SegmentTrace& segment : *traces)
            for (const HiddenError& error : {segment.alone, segment.accumulated}) {
                QCOMPARE(error.relativeRmse, 0.0);
                QVERIFY(std::fabs(error.cosine - 1) < 1e-12);
            }
    }

    void againstWholeRuns()
    {
        const Plan plan = uniformPlan(*m_model, parseCandidate("int3:g64").value());
        const graph::CheckpointWeights own(*m_model);
        const PlanWeights planned(*m_model, plan, nullptr, nullptr);
        std::vector<std::string> seen;
        const auto traces = trace({m_graph,
                                   m_windows,
                                   {.weights = test::referTo(own)},
                                   {.weights = test::referTo(planned)},
                                   [&](const SegmentTrace& segment) { seen.push_back(segment.segment); }},
                                  m_context);
        QVERIFY(traces);
        const graph::Values<float> model = everything(own);
        const graph::Values<float> ofPlan = everything(planned);
        for (std::size_t s = 0; s < traces->size(); ++s) {
            const SegmentTrace& segment = (*traces)[s];
            QCOMPARE(segment.segment, m_graph.segments[s].name);
            QCOMPARE(segment.block, m_graph.segments[s].block);
            QCOMPARE(seen[s], segment.segment);
            const graph::ValueId hidden = hiddenOf(s);
            compare(segment.accumulated, plainError(model.at(hidden).real, ofPlan.at(hidden).real));
            const auto layers = m_graph.layersOf(s);
            const SomePlanned alone(own, planned, {layers.begin(), layers.end()});
            compare(segment.alone, plainError(model.at(hidden).real, everything(alone).at(hidden).real));
        }
        // Errors of earlier blocks come on top of a block's own.
        QVERIFY(traces->back().accumulated.relativeRmse > traces->back().alone.relativeRmse);
        QVERIFY(traces->back().alone.relativeRmse > 0.001);
    }

    void groupsOfWindowsAddUp()
    {
        const Plan plan = uniformPlan(*m_model, parseCandidate("int4:g64").value());
        const graph::CheckpointWeights own(*m_model);
        const PlanWeights planned(*m_model, plan, nullptr, nullptr);
        const auto traced = [&](const Windows& windows) {
            return trace({m_graph, windows, {.weights = test::referTo(own)}, {.weights = test::referTo(planned)}, {}},
                         m_context)
                .value();
        };
        Windows windows{1024, {}};
        for (std::int64_t i = 0; i < 5 * windows.length; ++i)
            windows.ids.push_back(m_windows.ids[static_cast<std::size_t>(i * 7 % std::ssize(m_windows.ids))]);
        QCOMPARE(windows.perGroup(), 4);
        const auto all = traced(windows);
        const auto first = traced({windows.length, {windows.ids.begin(), windows.ids.end() - windows.length}});
        const auto last = traced({windows.length, {windows.ids.end() - windows.length, windows.ids.end()}});
        for (std::size_t s = 0; s < all.size(); ++s)
            QVERIFY(std::fabs(all[s].accumulated.cosine -
                              (4 * first[s].accumulated.cosine + last[s].accumulated.cosine) / 5) < 1e-12);
        QVERIFY(first.back().accumulated.cosine != last.back().accumulated.cosine);
    }

    void equalBitsForAnyThreadCount()
    {
        const Plan plan = uniformPlan(*m_model, parseCandidate("int4:g64").value());
        const graph::CheckpointWeights own(*m_model);
        std::vector<double> first;
        for (const int threads : {1, 3}) {
            Executor executor(threads);
            const JobContext context(executor);
            const PlanWeights planned(*m_model, plan, nullptr, nullptr);
            const auto traces =
                trace({m_graph, m_windows, {.weights = test::referTo(own)}, {.weights = test::referTo(planned)}, {}},
                      context);
            std::vector<double> numbers;
            for (const SegmentTrace& segment : traces.value())
                for (const HiddenError& error : {segment.alone, segment.accumulated}) {
                    numbers.push_back(error.relativeRmse);
                    numbers.push_back(error.cosine);
                }
            if (first.empty())
                first = numbers;
            QCOMPARE(numbers, first);
        }
    }

    void stops()
    {
        std::stop_source stop;
        stop.request_stop();
        const graph::CheckpointWeights own(*m_model);
        const auto traces =
            trace({m_graph, m_windows, {.weights = test::referTo(own)}, {.weights = test::referTo(own)}, {}},
                  JobContext(m_executor, stop.get_token()));
        QVERIFY(!traces);
        QVERIFY(traces.error().code == Errc::cancelled);
    }

    void workIsCounted()
    {
        // Every quantizable matrix once; the embedding is tied to the head, where it multiplies.
        double wanted = 0;
        for (const std::int64_t layer : m_model->quantizableLayers())
            wanted += static_cast<double>(m_model->layers[static_cast<std::size_t>(layer)].numel());
        QCOMPARE(multiplyAddsPerToken(*m_model, m_graph), wanted);
        const Cases windows = windowCases(m_graph, m_windows).value();
        const auto speed = measureSpeed(*m_model, m_graph, windows, m_context);
        QVERIFY(speed);
        QCOMPARE(speed->tokens, m_windows.length);
        QVERIFY(speed->secondsPerMultiplyAdd > 1e-14 && speed->secondsPerMultiplyAdd < 1e-3);
        Cases unknown = windows; // its length is found out
        unknown.tokens = 0;
        const auto found = measureSpeed(*m_model, m_graph, unknown, m_context);
        QVERIFY(found);
        QCOMPARE(found->tokens, m_windows.length);
        QVERIFY(found->secondsPerMultiplyAdd > 1e-14 && found->secondsPerMultiplyAdd < 1e-3);
    }
};

QTEST_APPLESS_MAIN(TraceTest)
#include "trace_test.moc"
