// SPDX-License-Identifier: GPL-3.0-or-later
// Statistics of convolutions' inputs mean what the output error needs: tr(ΔW·H·ΔWᵀ) over groups is the squared
// difference of what two convolutions make of the same input.
#include "core/calibration/calibrate.h"
#include "core/calibration/calibrated_activations.h"
#include "core/calibration/unfolded_inputs.h"
#include "core/realize/realize.h"
#include "core/sensitivity/metric.h"
#include "tests/support/memory_model.h"
#include "tests/support/memory_sink.h"

#include <QTest>

#include <cmath>

using namespace ql;
using graph::Array;
using test::MemorySink;

namespace {

constexpr std::int64_t kCases = 9; // two runs

struct Problem {
    Shape x, w; // of one case, of the weights
    const char* op = "conv";
    graph::Attributes attributes = {};
};

using Integers = std::vector<std::int64_t>;

const std::map<std::string, Problem> kProblems{
    {"plain", {{3, 7, 6}, {4, 3, 3, 2}}},
    {"strided, dilated, padded",
     {{2, 11, 9},
      {3, 2, 3, 3},
      "conv",
      {{"strides", Integers{2, 1}}, {"dilations", Integers{1, 2}}, {"pads", Integers{1, 2, 0, 1}}}}},
    {"in groups", {{6, 8, 8}, {4, 3, 3, 3}, "conv", {{"groups", std::int64_t{2}}, {"pads", Integers{1, 1, 1, 1}}}}},
    {"depthwise", {{5, 9, 7}, {10, 1, 3, 3}, "conv", {{"groups", std::int64_t{5}}, {"strides", Integers{2, 2}}}}},
    {"over one dimension", {{4, 23}, {6, 4, 5}, "conv", {{"strides", Integers{3}}, {"pads", Integers{2, 2}}}}},
    {"patches", {{3, 16, 16}, {8, 3, 4, 4}, "conv", {{"strides", Integers{4, 4}}}}},
    {"over earlier tokens", {{13, 6}, {6, 1, 4}, "causal_conv"}},
};

/// One convolution as a model, and inputs for it.
struct Opened {
    Model model;
    graph::Graph graph;
    Cases cases;

    explicit Opened(const Problem& problem)
    {
        test::addLayers(model, {{"kernel", problem.w, Operator::convolution}});
        graph::GraphBuilder builder;
        const graph::ValueId x = builder.input("x");
        graph = std::move(builder).finish(
            {builder.add(problem.op, "convolution", {x, builder.weights(0, "kernel")}, problem.attributes)});
        Shape shape = problem.x;
        shape.insert(shape.begin(), kCases);
        Array<float> all(shape);
        const CounterRng rng(3);
        for (std::int64_t i = 0; i < all.numel(); ++i)
            all.write()[i] = static_cast<float>(rng.normal(static_cast<std::uint64_t>(i)));
        cases = {.count = kCases, .tokens = 0, .fingerprint = "random", .batch = {}};
        cases.batch = [all, x](std::int64_t first, std::int64_t last, const JobContext&) -> Result<OutputBatch> {
            Shape part = all.shape();
            part[0] = last - first;
            const std::int64_t size = all.numel() / kCases;
            OutputBatch batch;
            batch.inputs[x].real = Array<float>(part);
            std::copy_n(all.data() + first * size, numel(part), batch.inputs[x].real.write());
            return batch;
        };
    }
};

/// Weights given by the test.
class GivenWeights final : public graph::WeightSource {
public:
    GivenWeights(Shape shape, std::vector<float> values)
        : m_shape(std::move(shape)), m_values(std::make_shared<std::vector<float>>(std::move(values)))
    {}
    Result<TensorData> weights(std::int64_t, const JobContext&) const override
    {
        return TensorData{.view = {.dtype = Dtype::f32,
                                   .shape = m_shape,
                                   .data = reinterpret_cast<const std::byte*>(m_values->data())},
                          .owner = m_values};
    }

private:
    Shape m_shape;
    std::shared_ptr<std::vector<float>> m_values;
};

} // namespace

class ConvolutionTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};

    std::shared_ptr<const Activations> calibrated(const Opened& opened, const CalibrationSettings& settings,
                                                  const std::shared_ptr<MemorySink>& sink) const
    {
        const graph::CheckpointWeights weights(opened.model);
        const auto done =
            calibrate({opened.model, opened.graph, weights, opened.cases, settings, *sink, {}}, m_context);
        return done ? calibratedActivations(sink, findCalibration(*sink, opened.model), "here") : nullptr;
    }

    std::vector<double> outputs(const Opened& opened, const graph::WeightSource& weights) const
    {
        auto batch = opened.cases.batch(0, kCases, m_context).value();
        const auto done = graph::forwardAll<float>(opened.graph, weights, batch.inputs, m_context);
        const Array<float> y = done ? batch.inputs.at(opened.graph.outputs[0]).real : Array<float>();
        return {y.data(), y.data() + y.numel()};
    }

    double metric(const char* id, const Opened& opened, const Activations& activations,
                  const QuantizedTensor& quantized) const
    {
        const auto weights = opened.model.loadWeights(0, m_context).value();
        const auto statistics = activations.statistics(0, m_context).value();
        return findMetric(id)
            .value()
            ->measure({opened.model, 0, weights.view, quantized, ErrorStats(), statistics.get(), nullptr}, m_context)
            .value();
    }

private Q_SLOTS:
    void theOutputErrorIsTheConvolutions_data()
    {
        QTest::addColumn<QString>("name");
        for (const auto& [name, problem] : kProblems)
            QTest::newRow(name.c_str()) << QString::fromStdString(name);
    }
    void theOutputErrorIsTheConvolutions()
    {
        QFETCH(QString, name);
        const Problem& problem = kProblems.at(name.toStdString());
        const Opened opened(problem);
        const auto sink = std::make_shared<MemorySink>();
        const auto activations = calibrated(opened, {}, sink);
        QVERIFY(activations);
        QVERIFY(!activations->isDiagonal());
        const auto statistics = activations->statistics(0, m_context).value();
        QCOMPARE(statistics->in, numel(problem.w) / problem.w[0]);
        const auto quantized =
            realize(opened.model, 0, parseCandidates("int3:channel").value().front(), nullptr, m_context).value();
        const Buffer restored = restore(quantized, m_context).value();
        const auto own = outputs(opened, graph::CheckpointWeights(opened.model));
        const auto other =
            outputs(opened, GivenWeights(problem.w, {restored.as<float>(), restored.as<float>() + numel(problem.w)}));
        double error = 0;
        for (std::size_t i = 0; i < own.size(); ++i)
            error += (own[i] - other[i]) * (own[i] - other[i]);
        QVERIFY(error > 0.01);
        QVERIFY(std::fabs(metric("output_error", opened, *activations, quantized) - error) <= 1e-4 * error);
        // Rows of the output that each patch makes.
        const std::int64_t groups = convolutionGroups(opened.graph.nodes[0], problem.w);
        QCOMPARE(statistics->tokens, std::ssize(own) / problem.w[0]);
        QCOMPARE(std::ssize(statistics->parts), groups > 1 ? groups : 0);
    }

    void theDiagonalIsTheSameHoweverMuchIsKept()
    {
        for (const char* name : {"plain", "in groups", "depthwise"}) {
            const Opened opened(kProblems.at(name));
            const auto quantized =
                realize(opened.model, 0, parseCandidates("int3:channel").value().front(), nullptr, m_context).value();
            double wanted = 0;
            for (const GramKind kind : {GramKind::full, GramKind::blocks, GramKind::diag}) {
                CalibrationSettings settings;
                settings.gram = kind;
                settings.blockSize = 5;
                const auto activations = calibrated(opened, settings, std::make_shared<MemorySink>());
                const double error = metric("diagonal_error", opened, *activations, quantized);
                wanted = kind == GramKind::full ? error : wanted;
                QVERIFY(error > 0);
                QVERIFY(std::fabs(error - wanted) <= 1e-5 * wanted);
            }
            CalibrationSettings settings;
            settings.gram = GramKind::diag;
            settings.full = {0};
            const auto activations = calibrated(opened, settings, std::make_shared<MemorySink>());
            QVERIFY(metric("output_error", opened, *activations, quantized) > 0);
        }
    }

    void piecesBatchesAndThreadsGiveTheSame()
    {
        // More rows than one piece: 4096 places of 12·5·5 channels.
        const Opened opened({{12, 64, 64}, {2, 12, 5, 5}, "conv", {{"pads", Integers{2, 2, 2, 2}}}});
        auto batch = opened.cases.batch(0, kCases, m_context).value();
        const Array<float>& x = batch.inputs.at(opened.graph.inputs[0]).real;
        std::int64_t rows = 0;
        std::int64_t pieces = 0;
        const auto take = [&](const Array<float>& piece) -> Result<void> {
            for (std::int64_t r = 0; r < piece.rows(); r += 101) {
                const std::int64_t image = (rows + r) / 4096;
                const std::int64_t y = (rows + r) % 4096 / 64;
                const std::int64_t col = (rows + r) % 64;
                for (std::int64_t i = 0; i < 300; ++i) {
                    const std::int64_t at = y - 2 + i / 5 % 5;
                    const std::int64_t across = col - 2 + i % 5;
                    const bool isInside = at >= 0 && at < 64 && across >= 0 && across < 64;
                    const float wanted = isInside ? x.data()[((image * 12 + i / 25) * 64 + at) * 64 + across] : 0.0F;
                    if (piece.data()[r * 300 + i] != wanted)
                        return badInput("differs", {});
                }
            }
            rows += piece.rows();
            ++pieces;
            return {};
        };
        QVERIFY(forUnfoldedInputs(opened.graph.nodes[0], {2, 12, 5, 5}, x, take, m_context));
        QCOMPARE(rows, kCases * 4096);
        QVERIFY(pieces == 1 + (kCases * 4096 - 1) / 13824);
        CalibrationSettings settings;
        settings.batchWindows = 4;
        const auto whole = std::make_shared<MemorySink>();
        QVERIFY(calibrated(opened, settings, whole));
        Executor one(1);
        const graph::CheckpointWeights weights(opened.model);
        MemorySink single;
        QVERIFY(calibrate({opened.model, opened.graph, weights, opened.cases, settings, single, {}}, JobContext(one)));
        QVERIFY(single.pieces == whole->pieces);
    }
};

QTEST_APPLESS_MAIN(ConvolutionTest)
#include "convolution_test.moc"
