// SPDX-License-Identifier: GPL-3.0-or-later
// Norms repaired from statistics: what is matched is matched, against sums over the outputs of both versions, and gains
// that were only displaced come back.
#include "core/realize/norm_statistics.h"
#include "core/realize/planned_version.h"
#include "tests/support/memory_model.h"

#include <QTest>

#include <cmath>

using namespace ql;
using graph::Array;

namespace {

constexpr std::int64_t kCases = 20; // three runs
constexpr std::int64_t kWidth = 12;

/// Two layers with a norm behind each.
struct Opened {
    std::shared_ptr<const Model> model;
    graph::Graph graph;
    Cases cases;

    explicit Opened(const std::string& op, double offset = 0)
    {
        const bool isImage = op == "batch_norm";
        auto made = std::make_shared<Model>();
        std::vector<test::MemoryLayer> layers;
        for (const std::string n : {"1", "2"}) {
            if (isImage)
                layers.push_back({"conv" + n, {kWidth, kWidth, 3, 3}, Operator::convolution});
            else
                layers.push_back({"linear" + n, {kWidth, kWidth}, Operator::linear});
            for (const char* part : {"gain", "bias", "mean", "variance"})
                layers.push_back({part + n, {kWidth}, Operator::norm});
        }
        test::addLayers(*made, layers);
        model = made;
        graph::GraphBuilder builder;
        const graph::ValueId input = builder.input("x");
        graph::ValueId y = input;
        for (const std::int64_t n : {0, 1}) {
            const auto weights = [&](std::int64_t i) {
                return builder.weights(5 * n + i, made->layers[static_cast<std::size_t>(5 * n + i)].name);
            };
            if (isImage) {
                y = builder.add("conv", "conv", {y, weights(0)}, {{"pads", std::vector<std::int64_t>{1, 1, 1, 1}}});
                // Variances of the checkpoint are normal numbers; their squares will do.
                const graph::ValueId variance = builder.add("multiply", "square", {weights(4), weights(4)});
                y = builder.add("batch_norm", "norm", {y, weights(1), weights(2), weights(3), variance});
            } else {
                y = builder.add("linear", "linear", {y, weights(0)});
                std::vector<graph::ValueId> inputs{y, weights(1)};
                if (op == "layer_norm")
                    inputs.push_back(weights(2));
                y = builder.add(op, "norm", inputs, {{"offset", offset}});
            }
        }
        graph = std::move(builder).finish({y});
        const Shape each = isImage ? Shape{kWidth, 5, 4} : Shape{7, kWidth};
        cases = {.count = kCases, .tokens = 0, .fingerprint = "random", .batch = {}};
        cases.batch = [each, input](std::int64_t first, std::int64_t last, const JobContext&) -> Result<OutputBatch> {
            Shape part = each;
            part.insert(part.begin(), last - first);
            OutputBatch batch;
            batch.inputs[input].real = Array<float>(part);
            const std::int64_t size = numel(each);
            for (std::int64_t i = 0; i < numel(part); ++i)
                batch.inputs[input].real.write()[i] =
                    static_cast<float>(CounterRng(3).normal(static_cast<std::uint64_t>(first * size + i)) +
                                       0.5 * std::cos((first * size + i) % 5));
            return batch;
        };
    }

    /// Outputs as [rows, channels].
    std::vector<std::vector<double>> outputs(const graph::WeightSource& weights, const JobContext& context) const
    {
        auto batch = cases.batch(0, kCases, context).value();
        if (!graph::forwardAll<float>(graph, weights, batch.inputs, context))
            return {};
        const Array<float> y = batch.inputs.at(graph.outputs[0]).real;
        const std::int64_t inner = y.shape().size() == 4 ? y.shape()[2] * y.shape()[3] : 1;
        std::vector<std::vector<double>> channels(kWidth);
        for (std::int64_t i = 0; i < y.numel(); ++i)
            channels[static_cast<std::size_t>(i / inner % kWidth)].push_back(static_cast<double>(y.data()[i]));
        return channels;
    }
};

double meanOf(const std::vector<double>& values)
{
    double sum = 0;
    for (const double value : values)
        sum += value;
    return sum / static_cast<double>(values.size());
}
double meanProduct(const std::vector<double>& a, const std::vector<double>& b)
{
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        sum += a[i] * b[i];
    return sum / static_cast<double>(a.size());
}

} // namespace

class NormStatisticsTest : public QObject {
    Q_OBJECT
    Executor m_executor{2};
    JobContext m_context{m_executor};

    std::vector<RepairedTensor> repaired(const Opened& opened, const Model& model, const ModelVersion& own,
                                         const ModelVersion& planned, NormMatch match) const
    {
        const Norms norms = normsOf(model, opened.graph);
        return repairByStatistics({model, opened.graph, opened.cases, own, planned, match}, norms.norms, m_context)
            .value();
    }

private Q_SLOTS:
    void matches_data()
    {
        QTest::addColumn<QString>("op");
        QTest::addColumn<bool>("moments");
        for (const char* op : {"rms_norm", "layer_norm", "batch_norm"})
            for (const bool moments : {true, false})
                QTest::addRow("%s %s", op, moments ? "moments" : "least squares") << op << moments;
    }
    /// In what leaves the second norm of the repaired model.
    void matches()
    {
        QFETCH(QString, op);
        QFETCH(bool, moments);
        const Opened opened(op.toStdString());
        const bool hasBias = op != QLatin1String("rms_norm");
        QCOMPARE(std::ssize(normsOf(*opened.model, opened.graph).norms), 2);
        const Plan plan = uniformPlan(*opened.model, parseCandidates("int2:channel").value().front());
        const ModelVersion planned = plannedVersion(*opened.model, {.plan = &plan}, m_context).value();
        const auto tensors = repaired(opened, *opened.model, ownVersion(*opened.model), planned,
                                      moments ? NormMatch::moments : NormMatch::leastSquares);
        QCOMPARE(std::ssize(tensors), hasBias ? 4 : 2);
        const auto model = withRepairedTensors(*opened.model, tensors);
        const ModelVersion after = plannedVersion(*model, {.plan = &plan}, m_context).value();
        const auto own = opened.outputs(*ownVersion(*opened.model).weights, m_context);
        const auto before = opened.outputs(*planned.weights, m_context);
        const auto now = opened.outputs(*after.weights, m_context);
        double moved = 0;
        for (std::size_t c = 0; c < own.size(); ++c) {
            const double scale = std::sqrt(meanProduct(own[c], own[c]));
            if (hasBias)
                QVERIFY(std::fabs(meanOf(now[c]) - meanOf(own[c])) <= 1e-4 * scale);
            if (moments) {
                const double wanted = meanProduct(own[c], own[c]);
                QVERIFY(std::fabs(meanProduct(now[c], now[c]) - wanted) <= 1e-4 * wanted);
                moved = std::max(moved, std::fabs(meanProduct(before[c], before[c]) / wanted - 1));
            } else {
                // What is left is orthogonal to what there is: no other scale is better.
                std::vector<double> left = own[c];
                for (std::size_t i = 0; i < left.size(); ++i)
                    left[i] -= now[c][i];
                QVERIFY(std::fabs(meanProduct(left, now[c])) <= 1e-4 * scale * scale);
                moved = std::max(moved, std::fabs(meanOf(before[c]) - meanOf(now[c])) / scale);
            }
        }
        QVERIFY(moved > 0.01);
    }

    void displacedGainsComeBack_data()
    {
        QTest::addColumn<QString>("op");
        QTest::addColumn<double>("offset");
        QTest::newRow("rms_norm") << "rms_norm" << 0.0;
        QTest::newRow("rms_norm, stored less 1") << "rms_norm" << 1.0;
        QTest::newRow("layer_norm") << "layer_norm" << 0.0;
        QTest::newRow("batch_norm") << "batch_norm" << 0.0;
    }
    void displacedGainsComeBack()
    {
        QFETCH(QString, op);
        QFETCH(double, offset);
        const Opened opened(op.toStdString(), offset);
        std::vector<RepairedTensor> displaced;
        for (const Norm& norm : normsOf(*opened.model, opened.graph).norms)
            for (const std::int64_t layer : {norm.gain, norm.bias}) {
                if (layer < 0)
                    continue;
                RepairedTensor tensor{.layer = layer, .values = {}};
                const std::vector<double> values = vectorOf(*opened.model, layer, m_context).value();
                for (std::size_t c = 0; c < values.size(); ++c) // effective gains times 1.1 to 1.5
                    tensor.values.push_back(
                        static_cast<float>((values[c] + (layer == norm.gain ? offset : 0)) * (1.1 + 0.04 * double(c)) -
                                           (layer == norm.gain ? offset : 0)));
                displaced.push_back(std::move(tensor));
            }
        const auto model = withRepairedTensors(*opened.model, displaced);
        for (const NormMatch match : {NormMatch::moments, NormMatch::leastSquares}) {
            const auto tensors = repaired(opened, *model, ownVersion(*opened.model), ownVersion(*model), match);
            QCOMPARE(tensors.size(), displaced.size());
            for (const RepairedTensor& tensor : tensors) {
                const std::vector<double> wanted = vectorOf(*opened.model, tensor.layer, m_context).value();
                for (std::size_t c = 0; c < wanted.size(); ++c)
                    QVERIFY2(std::fabs(static_cast<double>(tensor.values[c]) - wanted[c]) <=
                                 2e-4 * (1 + std::fabs(wanted[c])),
                             qPrintable(QStringLiteral("%1 not %2").arg(double(tensor.values[c])).arg(wanted[c])));
            }
        }
    }

    void threadsDoNotMatter()
    {
        const Opened opened("rms_norm");
        const Plan plan = uniformPlan(*opened.model, parseCandidates("int2:channel").value().front());
        const Norms norms = normsOf(*opened.model, opened.graph);
        std::vector<std::vector<float>> first;
        for (const int threads : {1, 3}) {
            Executor executor(threads);
            const JobContext context(executor);
            const ModelVersion planned = plannedVersion(*opened.model, {.plan = &plan}, context).value();
            const auto tensors = repairByStatistics({*opened.model, opened.graph, opened.cases,
                                                     ownVersion(*opened.model), planned, NormMatch::leastSquares},
                                                    norms.norms, context)
                                     .value();
            std::vector<std::vector<float>> values;
            for (const RepairedTensor& tensor : tensors)
                values.push_back(tensor.values);
            if (first.empty())
                first = values;
            QVERIFY(first == values);
        }
    }

    void sharedGainsAreLeft()
    {
        auto made = std::make_shared<Model>();
        test::addLayers(*made, {{"gain", {kWidth}, Operator::norm}});
        graph::GraphBuilder builder;
        graph::ValueId y = builder.input("x");
        for (int i = 0; i < 2; ++i)
            y = builder.add("rms_norm", "norm", {y, builder.weights(0, "gain")});
        const graph::Graph graph = std::move(builder).finish({builder.add("rms_norm", "bare", {y})});
        const Norms norms = normsOf(*made, graph);
        QVERIFY(norms.norms.empty());
        QCOMPARE(std::ssize(norms.notes), 3);
        QVERIFY(norms.notes[0].what.find("several") != std::string::npos);
        QVERIFY(norms.notes[2].what.find("not stored") != std::string::npos);
    }
};

QTEST_APPLESS_MAIN(NormStatisticsTest)
#include "norm_statistics_test.moc"
