// SPDX-License-Identifier: GPL-3.0-or-later
// Corrected biases give a plan's outputs the means of the model's own: linear layers and convolutions, run both ways.
#include "core/calibration/calibrate.h"
#include "core/calibration/calibrated_activations.h"
#include "core/calibration/channel_means.h"
#include "core/realize/bias_correction.h"
#include "core/realize/planned_version.h"
#include "tests/support/acceptance.h"
#include "tests/support/captured_inputs.h"
#include "tests/support/memory_model.h"
#include "tests/support/memory_sink.h"

#include <cmath>

using namespace ql;
using namespace ql::tests;
using graph::Array;

namespace {

constexpr std::int64_t kCases = 9;

/// A layer with a bias, and inputs whose means are far from 0.
struct Opened {
    std::shared_ptr<const Model> model;
    graph::Graph graph;
    Cases cases;

    Opened(const char* op, Shape x, const Shape& w, const graph::Attributes& attributes, bool sharesBias = false)
    {
        auto made = std::make_shared<Model>();
        test::addLayers(*made,
                        {{"weight", w, std::string_view(op) == "linear" ? Operator::linear : Operator::convolution},
                         {"bias", {w[0]}, Operator::bias, "bias"}});
        model = made;
        graph::GraphBuilder builder;
        const graph::ValueId input = builder.input("x");
        const graph::ValueId bias = builder.weights(1, "bias");
        graph::ValueId y = builder.add(op, "layer", {input, builder.weights(0, "weight"), bias}, attributes);
        if (sharesBias)
            y = builder.add("add", "again", {y, bias});
        graph = std::move(builder).finish({y});
        x.insert(x.begin(), kCases);
        Array<float> all(x);
        const CounterRng rng(3);
        const bool isLinear = std::string_view(op) == "linear";
        const std::int64_t places = isLinear ? 1 : numel(x) / x[0] / x[1]; // of a channel
        const std::int64_t channels = isLinear ? x.back() : x[1];
        for (std::int64_t i = 0; i < all.numel(); ++i)
            all.write()[i] = static_cast<float>(rng.normal(static_cast<std::uint64_t>(i)) +
                                                2 * std::cos(static_cast<double>(i / places % channels)));
        cases = {.count = kCases, .tokens = 0, .fingerprint = "random", .batch = {}};
        cases.batch = [all, input](std::int64_t first, std::int64_t last, const JobContext&) -> Result<OutputBatch> {
            Shape part = all.shape();
            part[0] = last - first;
            const std::int64_t size = all.numel() / kCases;
            OutputBatch batch;
            batch.inputs[input].real = Array<float>(part);
            std::copy_n(all.data() + first * size, numel(part), batch.inputs[input].real.write());
            return batch;
        };
    }
};

} // namespace

class BiasCorrectionTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};

    std::shared_ptr<const Activations> calibrated(const Opened& opened) const
    {
        const auto sink = std::make_shared<test::MemorySink>();
        const graph::CheckpointWeights weights(*opened.model);
        const auto done = calibrate({*opened.model, opened.graph, weights, opened.cases, {}, *sink, {}}, m_context);
        return done ? calibratedActivations(sink, findCalibration(*sink, *opened.model), "here") : nullptr;
    }

    /// Means over cases and places of each output channel.
    std::vector<double> meansOf(const Opened& opened, const graph::WeightSource& weights, bool channelsLast) const
    {
        auto batch = opened.cases.batch(0, kCases, m_context).value();
        if (!graph::forwardAll<float>(opened.graph, weights, batch.inputs, m_context))
            return {};
        const Array<float> y = batch.inputs.at(opened.graph.outputs[0]).real;
        const std::int64_t channels = opened.model->layers[0].shape[0];
        const std::int64_t places = y.numel() / kCases / channels;
        std::vector<double> means(static_cast<std::size_t>(channels));
        for (std::int64_t i = 0; i < y.numel(); ++i) {
            const std::int64_t channel = channelsLast ? i % channels : i / places % channels;
            means[static_cast<std::size_t>(channel)] +=
                static_cast<double>(y.data()[i]) / static_cast<double>(kCases * places);
        }
        return means;
    }

private Q_SLOTS:
    void meansAreTheModelsOwn_data()
    {
        QTest::addColumn<QString>("name");
        for (const char* name : {"linear", "convolution", "groups", "depthwise"})
            QTest::newRow(name) << QString::fromLatin1(name);
    }
    void meansAreTheModelsOwn()
    {
        QFETCH(QString, name);
        const bool isLinear = name == QLatin1String("linear");
        const Opened opened =
            isLinear ? Opened("linear", {6, 24}, {10, 24}, {})
            : name == QLatin1String("convolution")
                ? Opened("conv", {3, 7, 6}, {4, 3, 3, 2}, {{"pads", std::vector<std::int64_t>{1, 1, 1, 1}}})
            : name == QLatin1String("groups") ? Opened("conv", {6, 8, 8}, {4, 3, 3, 3}, {{"groups", std::int64_t{2}}})
                                              : Opened("conv", {5, 9, 7}, {10, 1, 3, 3}, {{"groups", std::int64_t{5}}});
        const auto activations = calibrated(opened);
        QVERIFY(activations);
        const Plan plan = uniformPlan(*opened.model, parseCandidates("int3:channel").value().front());
        const BiasCorrection done =
            correctBiases(opened.model, opened.graph, plan, nullptr, *activations, m_context).value();
        QCOMPARE(std::ssize(done.corrected), 1);
        QVERIFY(done.notes.empty());
        const auto planned = [&](const Model& model) {
            const ModelVersion version = plannedVersion(model, {.plan = &plan}, m_context).value();
            return meansOf(opened, *version.weights, isLinear);
        };
        const std::vector<double> own = meansOf(opened, graph::CheckpointWeights(*opened.model), isLinear);
        const std::vector<double> before = planned(*opened.model);
        const std::vector<double> after = planned(*done.model);
        double moved = 0;
        double left = 0;
        for (std::size_t c = 0; c < own.size(); ++c) {
            moved += (before[c] - own[c]) * (before[c] - own[c]) / static_cast<double>(own.size());
            left += (after[c] - own[c]) * (after[c] - own[c]) / static_cast<double>(own.size());
        }
        QVERIFY(std::sqrt(moved) > 0.02);
        QL_AT_MOST("B3",
                   ("bias correction: shift of output means left over, of the plan's, " + name.toStdString()).c_str(),
                   std::sqrt(left / moved), 1e-4);
        QVERIFY(std::fabs(done.corrected[0].correction - std::sqrt(moved)) <= 1e-4 * std::sqrt(moved));
        // The model itself is untouched, and its weights are shared.
        QCOMPARE(done.model->loadWeights(0, m_context).value().view.data,
                 opened.model->loadWeights(0, m_context).value().view.data);
        QVERIFY(done.model->checkpoint->tensors()[1].dtype == Dtype::f32);
    }

    void meansAreThoseOfTheInputs()
    {
        const Opened opened("linear", {6, 24}, {10, 24}, {});
        const auto means = channelMeansOf(*calibrated(opened), 0, m_context).value();
        QCOMPARE(std::ssize(means), 24);
        const auto batch = opened.cases.batch(0, kCases, m_context).value();
        const Array<float> x = batch.inputs.at(opened.graph.inputs[0]).real;
        for (std::int64_t c = 0; c < 24; ++c) {
            double sum = 0;
            for (std::int64_t row = 0; row < x.numel() / 24; ++row)
                sum += static_cast<double>(x.data()[row * 24 + c]);
            QVERIFY(std::fabs(means[static_cast<std::size_t>(c)] - sum / static_cast<double>(x.numel() / 24)) < 1e-6);
        }
        QVERIFY(channelMeansOf(*calibrated(opened), 1, m_context).value().empty());
    }

    void saysWhatItLeaves()
    {
        const Opened opened("linear", {6, 24}, {10, 24}, {}, true);
        const Plan plan = uniformPlan(*opened.model, parseCandidates("int3:channel").value().front());
        const auto activations = calibrated(opened);
        const BiasCorrection shared =
            correctBiases(opened.model, opened.graph, plan, nullptr, *activations, m_context).value();
        QVERIFY(shared.corrected.empty());
        QCOMPARE(std::ssize(shared.notes), 1);
        QVERIFY(shared.notes[0].what.find("several") != std::string::npos);
        const Opened plain("linear", {6, 24}, {10, 24}, {});
        const BiasCorrection kept =
            correctBiases(plain.model, plain.graph, keepPlan(*plain.model), nullptr, *calibrated(plain), m_context)
                .value();
        QVERIFY(kept.corrected.empty() && kept.notes.empty());
        test::CapturedInputs noMeans;
        const auto refused = correctBiases(plain.model, plain.graph, plan, nullptr, noMeans, m_context);
        QVERIFY(!refused);
        QCOMPARE(refused.error().code, Errc::refused);
        QVERIFY(refused.error().what.find("calibrate") != std::string::npos);
    }
};

QTEST_APPLESS_MAIN(BiasCorrectionTest)
#include "bias_correction_test.moc"
