// SPDX-License-Identifier: GPL-3.0-or-later
// What the experts of a mixture saw, and what becomes of metrics where one saw nothing.
#include "core/calibration/calibrate.h"
#include "core/calibration/calibrated_activations.h"
#include "core/calibration/expert_coverage.h"
#include "core/model/frontends/frontend.h"
#include "core/sensitivity/metric.h"
#include "tests/support/memory_sink.h"

#include <QTest>

#include <cmath>

using namespace ql;
using test::MemorySink;

namespace {

/// The router of block 0 is all zeros: of equal experts those of lower index are chosen, so none gets to the last.
class EvenRouter final : public graph::WeightSource {
public:
    EvenRouter(const Model& model, std::int64_t router) : m_weights(model), m_router(router) {}
    Result<TensorData> weights(std::int64_t layer, const JobContext& context) const override
    {
        QL_TRY(data, m_weights.weights(layer, context));
        if (layer != m_router)
            return data;
        const auto zeros = std::make_shared<std::vector<float>>(static_cast<std::size_t>(data.view.numel()));
        return TensorData{.view = {.dtype = Dtype::f32,
                                   .shape = data.view.shape,
                                   .data = reinterpret_cast<const std::byte*>(zeros->data())},
                          .owner = zeros};
    }

private:
    graph::CheckpointWeights m_weights;
    std::int64_t m_router;
};

} // namespace

class ExpertCoverageTest : public QObject {
    Q_OBJECT
private:
    Executor m_executor{2};
    JobContext m_context{m_executor};

private Q_SLOTS:
    void ofAMixture_data()
    {
        QTest::addColumn<QString>("file");
        QTest::addColumn<QString>("router");
        QTest::addColumn<QString>("down");
        QTest::newRow("experts apart") << "mixtral"
                                       << "model.layers.0.block_sparse_moe.gate.weight"
                                       << "model.layers.0.block_sparse_moe.experts.%1.w2.weight";
        QTest::newRow("experts in a stack") << "mixtral/model.gguf"
                                            << "blk.0.ffn_gate_inp.weight"
                                            << "blk.0.ffn_down_exps.weight";
    }
    void ofAMixture()
    {
        QFETCH(QString, file);
        QFETCH(QString, router);
        QFETCH(QString, down);
        const auto model =
            openModel(std::filesystem::path(QL_TEST_DATA "/frontends") / file.toStdString(), m_context).value();
        const graph::Graph graph = buildGraph(*model).value();
        const EvenRouter weights(*model, model->indexOf(router.toStdString()));
        std::vector<std::int64_t> ids;
        for (std::int64_t i = 0; i < 5 * 16; ++i)
            ids.push_back((i * i + 5 * i) % 37);
        const auto sink = std::make_shared<MemorySink>();
        QVERIFY(calibrate({*model, graph, weights, windowCases(graph, Windows{16, ids}).value(), {}, *sink, {}},
                          m_context));
        const auto activations = calibratedActivations(sink, findCalibration(*sink, *model), "here");
        const auto coverage = expertCoverage(*activations, *model);
        QCOMPARE(coverage.size(), std::size_t{2});
        QCOMPARE(coverage[0].block, 0);
        QCOMPARE(coverage[0].tokens, 5 * 16);
        QCOMPARE(coverage[0].experts, (std::vector<std::int64_t>{80, 80, 0}));
        QCOMPARE(coverage[0].share(1), 1.0);
        QCOMPARE(coverage[0].share(2), 0.0);
        QCOMPARE(coverage[1].experts[0] + coverage[1].experts[1] + coverage[1].experts[2], 2 * 80);
        const auto warnings = coverageWarnings(coverage);
        QVERIFY(!warnings.empty());
        QCOMPARE(warnings[0].where, std::string("block 0"));
        QVERIFY(warnings[0].what.starts_with("no token went to expert 2,"));

        // Of the expert that saw nothing no metric has a value, and no silent zero either.
        const bool isStack = !down.contains(QLatin1String("%1"));
        MeasureRequest request;
        for (const char* expert : {"0", "1", "2"})
            if (!isStack || request.layers.empty())
                request.layers.push_back(
                    model->indexOf((isStack ? down : down.arg(QLatin1String(expert))).toStdString()));
        request.candidates = parseCandidates("int4:channel").value();
        request.metrics = {findMetric("diagonal_error").value(), findMetric("output_error").value()};
        request.activations = activations.get();
        std::map<std::int64_t, std::vector<double>> losses;
        QVERIFY(measure(
            *model, request, [&](const Measurement& cell) { losses[cell.layer] = cell.losses; }, m_context));
        QCOMPARE(losses.size(), request.layers.size());
        for (std::size_t i = 0; i < request.layers.size(); ++i)
            for (const double loss : losses.at(request.layers[i]))
                QVERIFY(i == 2 ? std::isnan(loss) : loss > 0);
        const auto statistics = activations->statistics(request.layers.back(), m_context).value();
        QVERIFY(isStack ? statistics->parts[2].isEmpty() && !statistics->isEmpty() : statistics->isEmpty());
        const auto layers = activations->layers();
        QCOMPARE(std::ranges::find(layers, request.layers.back()) != layers.end(), isStack);
    }

    void fewIsLessThanATenthOfAnEvenShare()
    {
        const ExpertCoverage coverage{.block = 3, .tokens = 100, .experts = {0, 4, 5, 191}};
        QVERIFY(coverage.isFew(0));
        QVERIFY(coverage.isFew(1));
        QVERIFY(!coverage.isFew(2));
        QVERIFY(!coverage.isFew(3));
        const auto warnings = coverageWarnings({coverage});
        QCOMPARE(warnings.size(), std::size_t{2});
        QVERIFY(warnings[1].what.starts_with("few tokens went to expert 1:"));
    }
};

QTEST_APPLESS_MAIN(ExpertCoverageTest)
#include "expert_coverage_test.moc"
