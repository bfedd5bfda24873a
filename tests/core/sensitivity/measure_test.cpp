// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/realize/realize.h"
#include "core/sensitivity/metric.h"
#include "core/tensor/half.h"
#include "tests/support/fused_target.h"
#include "tests/support/memory_model.h"

#include <QTest>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <mutex>
#include <thread>

using namespace ql;

namespace {

/// XᵀX of a few random tokens for the linear layers, none for the embedding.
class TestActivations : public Activations {
public:
    TestActivations(const Model& model, std::int64_t tokens)
    {
        for (const std::int64_t layer : model.quantizableLayers())
            if (model.layers[static_cast<std::size_t>(layer)].op == Operator::linear)
                m_layers.push_back(layer);
        for (const std::int64_t layer : m_layers) {
            const std::int64_t in = model.layers[static_cast<std::size_t>(layer)].shape.back();
            const CounterRng rng(5, static_cast<std::uint64_t>(layer));
            auto statistics = std::make_shared<ActivationStatistics>();
            statistics->in = in;
            statistics->tokens = tokens;
            std::vector<double>& x = inputs.emplace_back();
            for (std::int64_t i = 0; i < tokens * in; ++i)
                x.push_back(rng.normal(static_cast<std::uint64_t>(i)) * (1 + static_cast<double>(i % in % 7)));
            statistics->gram.assign(static_cast<std::size_t>(in * in), 0);
            for (std::int64_t t = 0; t < tokens; ++t)
                for (std::int64_t i = 0; i < in; ++i)
                    for (std::int64_t j = 0; j < in; ++j)
                        statistics->gram[static_cast<std::size_t>(i * in + j)] +=
                            x[static_cast<std::size_t>(t * in + i)] * x[static_cast<std::size_t>(t * in + j)];
            m_statistics.push_back(std::move(statistics));
        }
    }
    const std::filesystem::path& path() const override { return m_path; }
    std::span<const std::int64_t> layers() const override { return m_layers; }
    const std::string& fingerprint() const override { return m_fingerprint; }
    Result<std::shared_ptr<const ActivationStatistics>> statistics(std::int64_t layer, const JobContext&) const override
    {
        const auto found = std::find(m_layers.begin(), m_layers.end(), layer);
        if (found == m_layers.end())
            return std::shared_ptr<const ActivationStatistics>();
        return std::shared_ptr<const ActivationStatistics>(
            m_statistics[static_cast<std::size_t>(found - m_layers.begin())]);
    }

    std::vector<std::vector<double>> inputs; // X of layers()[i]

private:
    std::filesystem::path m_path = "activations.npz";
    std::vector<std::int64_t> m_layers;
    std::vector<std::shared_ptr<const ActivationStatistics>> m_statistics;
    std::string m_fingerprint = "activations";
};

class MemorySink : public ResultSink {
public:
    Result<void> keep(const std::string& key, std::span<const std::byte> bytes) override
    {
        const std::lock_guard lock(m_mutex);
        m_kept[key].assign(bytes.begin(), bytes.end());
        return {};
    }
    std::optional<std::vector<std::byte>> find(const std::string& key) const override
    {
        const std::lock_guard lock(m_mutex);
        const auto found = m_kept.find(key);
        return found == m_kept.end() ? std::nullopt : std::optional(found->second);
    }
    std::map<std::string, std::vector<std::byte>>& kept() { return m_kept; }

private:
    mutable std::mutex m_mutex;
    std::map<std::string, std::vector<std::byte>> m_kept;
};

MeasureRequest requestFor(const Model& model, std::string_view candidates)
{
    MeasureRequest request;
    request.layers = model.quantizableLayers();
    request.candidates = parseCandidates(candidates).value();
    request.metrics = {findMetric("weight_error").value(), findMetric("output_error").value()};
    return request;
}

std::vector<Measurement> measured(const Model& model, const MeasureRequest& request, const JobContext& context)
{
    std::vector<Measurement> cells;
    const auto done = measure(
        model, request, [&](const Measurement& cell) { cells.push_back(cell); }, context);
    if (!done)
        qFatal("%s", describe(done.error()).c_str());
    std::sort(cells.begin(), cells.end(), [](const Measurement& a, const Measurement& b) {
        return a.layer != b.layer ? a.layer < b.layer : a.candidate < b.candidate;
    });
    return cells;
}

bool sameLosses(const Measurement& a, const Measurement& b)
{
    const auto same = [](double x, double y) { return x == y || (std::isnan(x) && std::isnan(y)); };
    return a.layer == b.layer && a.candidate == b.candidate && a.allowed == b.allowed &&
           a.error.sumSquaredError == b.error.sumSquaredError && a.error.sumSquares == b.error.sumSquares &&
           a.error.maxAbsError == b.error.maxAbsError && a.error.count == b.error.count &&
           std::equal(a.losses.begin(), a.losses.end(), b.losses.begin(), b.losses.end(), same);
}

} // namespace

class MeasureTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void losesWhatTheFormulaSays()
    {
        const Model model = test::tinyModel(2, 32);
        const TestActivations activations(model, 9);
        MeasureRequest request = requestFor(model, "int3:channel int4:g16 int8:channel@mse bf16 keep mxfp4");
        request.activations = &activations;
        Executor executor(2);
        const JobContext context(executor);
        const std::vector<Measurement> cells = measured(model, request, context);
        QCOMPARE(cells.size(), request.layers.size() * request.candidates.size());
        for (const Measurement& cell : cells) {
            QVERIFY(cell.allowed);
            const Layer& layer = model.layers[static_cast<std::size_t>(cell.layer)];
            const auto found = std::find(activations.layers().begin(), activations.layers().end(), cell.layer);
            const bool hasInputs = found != activations.layers().end();
            QCOMPARE(std::isnan(cell.losses[1]), !hasInputs);
            const Candidate& candidate = request.candidates[cell.candidate];
            if (candidate.weights.isKeep()) {
                QCOMPARE(cell.losses[0], 0.0);
                continue;
            }
            const QuantizedTensor quantized = realize(model, cell.layer, candidate, &activations, context).value();
            const Buffer restored = restore(quantized, context).value();
            const TensorData weights = model.loadWeights(cell.layer, context).value();
            const std::int64_t cols = layer.shape.back();
            std::vector<double> difference;
            double sum = 0;
            for (std::int64_t i = 0; i < layer.numel(); ++i) {
                const auto w = static_cast<double>(reinterpret_cast<const float*>(weights.view.data)[i]);
                difference.push_back(w - static_cast<double>(restored.as<float>()[i]));
                sum += difference.back() * difference.back();
            }
            QVERIFY(std::abs(cell.losses[0] - sum) <= 1e-12 * sum);
            QVERIFY(sum > 0);
            if (!hasInputs)
                continue;
            const std::vector<double>& x =
                activations.inputs[static_cast<std::size_t>(found - activations.layers().begin())];
            double output = 0; // ‖X·ΔWᵀ‖²
            for (std::int64_t t = 0; t < 9; ++t)
                for (std::int64_t row = 0; row < layer.shape.front(); ++row) {
                    double dot = 0;
                    for (std::int64_t c = 0; c < cols; ++c)
                        dot += x[static_cast<std::size_t>(t * cols + c)] *
                               difference[static_cast<std::size_t>(row * cols + c)];
                    output += dot * dot;
                }
            QVERIFY(std::abs(cell.losses[1] - output) <= 1e-9 * output);
        }
    }

    void equalForAnyThreadCountAndLoadedOnce()
    {
        std::vector<test::MemoryLayer> layers{{"large", {2050, 2050}}}; // beyond what is measured side by side
        for (int i = 0; i < 9; ++i)
            layers.push_back({"small" + std::to_string(i), {100 + i, 64}});
        Model model;
        const auto checkpoint = test::addLayers(model, layers);
        const MeasureRequest request = requestFor(model, "int4:g64 int8:channel mxfp6_e2m3");
        std::vector<Measurement> first;
        for (const int threads : {1, 2, 5}) {
            checkpoint->loads = 0;
            Executor executor(threads);
            Progress progress;
            const std::vector<Measurement> cells = measured(model, request, JobContext(executor, {}, &progress));
            QCOMPARE(checkpoint->loads.load(), 10);
            QVERIFY(progress.fraction() > 0.99);
            if (first.empty())
                first = cells;
            QCOMPARE(cells.size(), first.size());
            QVERIFY(std::equal(cells.begin(), cells.end(), first.begin(), sameLosses));
        }
    }

    void targetsCompleteAndRefuse()
    {
        const Model model = test::tinyModel(2, 32);
        MeasureRequest request = requestFor(model, "int4:g16 int8:g16 keep int4:g24");
        request.target = &test::kFusedTarget;
        Executor executor(2);
        const JobContext context(executor);
        const std::vector<Measurement> cells = measured(model, request, context);
        const CostTable table = makeCostTable(model, request, 0, cells);
        QCOMPARE(table.metric, std::string("weight_error"));
        QCOMPARE(table.items.size(), makeItems(model, &test::kFusedTarget).size());
        QCOMPARE(table.costs.size(), table.items.size() * 4);
        for (std::size_t i = 0; i < table.items.size(); ++i) {
            const Layer& first = model.layers[static_cast<std::size_t>(table.items[i].layers.front())];
            QCOMPARE(table.at(i, 0).allowed, first.op != Operator::embedding);
            QVERIFY(table.at(i, 1).allowed && table.at(i, 2).allowed);
            const bool divides = first.shape.back() % 24 == 0;
            QCOMPARE(table.at(i, 3).allowed, divides);
            QCOMPARE(std::isnan(table.at(i, 3).loss), !divides);
            QCOMPARE(table.at(i, 1).evidence, Evidence::dataFree);
            QCOMPARE(table.at(i, 3).evidence, divides ? Evidence::dataFree : Evidence::unmeasured);
            QCOMPARE(printCandidate(table.candidateOf(i, 1)), std::string("int8:g16:s=f16"));
            QCOMPARE(table.columnOf(i, parseCandidate("int8:g16").value()).value(), std::size_t{1});
            double loss = 0;
            std::int64_t bits = 0;
            for (const std::int64_t layer : table.items[i].layers) {
                const auto cell = std::find_if(cells.begin(), cells.end(), [&](const Measurement& candidate) {
                    return candidate.layer == layer && candidate.candidate == 1;
                });
                loss += cell->losses[0];
                bits += layerPayloadBits(model.layers[static_cast<std::size_t>(layer)], table.candidateOf(i, 1));
            }
            QCOMPARE(table.at(i, 1).loss, loss);
            QCOMPARE(table.at(i, 1).payloadBits, bits);
        }
        const CostTable partial = makeCostTable(model, request, 0, {cells.begin(), cells.begin() + 8});
        QCOMPARE(partial.at(partial.items.size() - 1, 0).evidence, Evidence::unmeasured);
    }

    void resumesFromTheSink()
    {
        Model model = test::tinyModel(2, 32);
        const auto* checkpoint = static_cast<const test::MemoryCheckpoint*>(model.checkpoint.get());
        MemorySink sink;
        MeasureRequest request = requestFor(model, "int4:g16 int8:g16 keep");
        request.sink = &sink;
        Executor executor(2);
        const JobContext context(executor);
        const std::vector<Measurement> first = measured(model, request, context);
        QCOMPARE(sink.kept().size(), request.layers.size() * 2); // keep costs nothing
        checkpoint->loads = 0;
        const std::vector<Measurement> again = measured(model, request, context);
        QCOMPARE(checkpoint->loads.load(), 0);
        QVERIFY(std::equal(again.begin(), again.end(), first.begin(), sameLosses));

        request.candidates.push_back(parseCandidate("int3:g16").value()); // only what is new is measured
        measured(model, request, context);
        QCOMPARE(sink.kept().size(), request.layers.size() * 3);
        const TestActivations activations(model, 3);
        request.activations = &activations; // other losses: nothing old is used
        measured(model, request, context);
        QCOMPARE(sink.kept().size(), request.layers.size() * 6);

        for (auto& [key, bytes] : sink.kept())
            bytes.resize(3); // damaged
        request.activations = nullptr;
        request.candidates.pop_back();
        const std::vector<Measurement> repaired = measured(model, request, context);
        QVERIFY(std::equal(repaired.begin(), repaired.end(), first.begin(), sameLosses));
    }

    void stopsSoon()
    {
        Model model;
        std::vector<test::MemoryLayer> layers{{"large", {2100, 2100}}};
        for (int i = 0; i < 6; ++i)
            layers.push_back({"small" + std::to_string(i), {700, 700}});
        test::addLayers(model, layers);
        const MeasureRequest request = requestFor(model, "int4:g64@mse int5:g64@mse int6:g64@mse int8:g64@mse");
        Executor executor(2);
        for (const int afterMs : {0, 5, 60, 200}) {
            std::stop_source source;
            std::chrono::steady_clock::time_point asked;
            std::jthread stopper([&] {
                std::this_thread::sleep_for(std::chrono::milliseconds(afterMs));
                asked = std::chrono::steady_clock::now();
                source.request_stop();
            });
            const auto done = measure(
                model, request, [](const Measurement&) {}, JobContext(executor, source.get_token()));
            const auto answered = std::chrono::steady_clock::now();
            stopper.join();
            if (done)
                continue; // it was faster
            QCOMPARE(done.error().code, Errc::cancelled);
            QVERIFY(answered - asked < std::chrono::milliseconds(400)); // 50 ms on a machine that is not shared
        }
    }

    void failuresNameTheLayer()
    {
        const Model model = test::tinyModel(1, 32);
        Executor executor(1);
        const JobContext context(executor);
        QCOMPARE(realize(model, 0, parseCandidate("keep").value(), nullptr, context).error().code, Errc::usage);
        QCOMPARE(realize(model, 0, parseCandidate("keep").value(), nullptr, context).error().where,
                 std::string("embed.weight"));
        for (const char* cast : {"f16", "bf16", "f32"}) {
            const QuantizedTensor quantized = realize(model, 0, parseCandidate(cast).value(), nullptr, context).value();
            const TensorData weights = model.loadWeights(0, context).value();
            const Buffer restored = restore(quantized, context).value();
            for (std::int64_t i = 0; i < weights.view.numel(); ++i) {
                const float w = reinterpret_cast<const float*>(weights.view.data)[i];
                const float expected = cast[0] == 'b'   ? floatFromBf16(bf16FromFloat(w))
                                       : cast[1] == '1' ? floatFromF16(f16FromFloat(w))
                                                        : w;
                QCOMPARE(restored.as<float>()[i], expected);
            }
        }
    }

    void everyMetricIsListed()
    {
        for (const Metric* metric : allMetrics()) {
            QCOMPARE(findMetric(metric->id).value(), metric);
            QVERIFY(!metric->title.empty() && !metric->unit.empty() && !metric->formula.empty());
        }
        QCOMPARE(findMetric("none").error().code, Errc::usage);
    }
};

QTEST_APPLESS_MAIN(MeasureTest)
#include "measure_test.moc"
