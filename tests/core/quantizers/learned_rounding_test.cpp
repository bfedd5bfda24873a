// SPDX-License-Identifier: GPL-3.0-or-later
// AdaRound: the two neighbours by brute force on every kind of grid, nearest rounding where columns are independent,
// the published figures, and objectives term by term.
#include "core/formats/block_format.h"
#include "core/quantizers/learned_rounding.h"
#include "tests/support/acceptance.h"
#include "tests/support/layer_case.h"

#include <cmath>
#include <limits>

using namespace ql;
using namespace ql::tests;

namespace {

/// What weight i may become: the largest value of the grid that is not above it and the least that is not below, or
/// the end that it lies beyond. Values: all that the tensor's codes can restore to at that place.
bool isNeighbour(float w, float restored, std::vector<float> values)
{
    std::ranges::sort(values);
    const auto above = std::ranges::upper_bound(values, w);
    const float low = above == values.begin() ? values.front() : above[-1];
    const float high = above == values.end() ? values.back() : *above;
    return restored == low || restored == high;
}

} // namespace

class LearnedRoundingTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    /// Methods B10, acceptance 3, on the data of B1, acceptance iii.
    void publishedFigures()
    {
        const LayerCase c = layerCase(64, 128, 3, 2048);
        const QuantizedTensor rtn = c.quantize("e2m1", "rtn").value();
        const QuantizedTensor learned = c.quantize("e2m1", "adaround:start=rtn").value();
        QL_AT_MOST("B10", "(3) output error of adaround over that of rtn, e2m1, scales by rtn",
                   c.error(learned) / c.error(rtn), 0.5);
        QL_AT_MOST("B10", "(3) output error of adaround over that of rtn, e2m1",
                   c.error(c.quantize("e2m1", "adaround").value()) / c.error(rtn), 0.4);
        const std::vector<float> levels = findNumberFormat("e2m1").value()->grid.levels;
        const std::vector<float> values = restored(learned);
        bool areNeighbours = learned.scales == rtn.scales;
        for (std::size_t i = 0; i < values.size(); ++i) {
            std::vector<float> grid = levels;
            for (float& level : grid)
                level *= learned.scales[i / 128];
            areNeighbours = areNeighbours && isNeighbour(c.weights[i], values[i], grid);
        }
        QL_HOLDS("B10", "(3) every weight is at one of its two neighbours, e2m1", areNeighbours);

        QuantizedTensor out = c.quantize("e2m1", "rtn").value();
        const QuantizeTask task{.weights = c.view(), .scheme = out.scheme, .spec = {}};
        const JobContext context(sharedExecutor());
        const LayerUnderH layer = makeLayerUnderH(task, c.inputs.gram, 0.01, out, context).value();
        const LearnedRounding result = learnRounding(layer, {}, nullptr, 0, c.rows, context).value();
        QVERIFY(result.count > 64 * 128 * 9 / 10);
        QL_AT_LEAST("B10", "(3) share of h within 1e-3 of 0 or 1",
                    static_cast<double>(result.binary) / static_cast<double>(result.count), 0.999);
        QVERIFY(sameBits(out, learned));

        LayerCase unseen = c;
        unseen.inputs = unseenInputs(2048, 128, 3);
        QVERIFY(unseen.error(learned) * 2 <= unseen.error(rtn));
    }

    void neighboursOnEveryGrid_data()
    {
        QTest::addColumn<QByteArray>("scheme");
        for (const std::string& scheme : scaledSchemes())
            QTest::newRow(scheme.c_str()) << QByteArray::fromStdString(scheme);
        for (const char* scheme :
             {"int4:g64:asym:s=f16", "int3:g32:min", "int4:restricted", "pow4_69:g64", "int2:tensor"})
            QTest::newRow(scheme) << QByteArray(scheme);
    }
    void neighboursOnEveryGrid()
    {
        QFETCH(QByteArray, scheme);
        const LayerCase c = layerCase(6, 160, 11);
        for (const char* start : {"rtn", "mse"}) {
            QuantizerReport report;
            const QuantizedTensor q =
                c.quantize(scheme.toStdString(), std::string("adaround:iterations=40:start=") + start, &report).value();
            QVERIFY(report.keptRtn || report.reached < report.rtn);
            const std::vector<float> values = restored(q);
            const std::size_t codes = q.scheme.element->levels.size();
            std::vector<std::vector<float>> grids(values.size());
            QuantizedTensor other = c.quantize(scheme.toStdString(), "rtn").value(); // with q's scales and every code
            other.scales = q.scales;
            other.zeroPoints = q.zeroPoints;
            other.minima = q.minima;
            other.tensorScale = q.tensorScale;
            for (std::size_t code = 0; code < codes; ++code) {
                if (q.scheme.restricted && code == codes / 2)
                    continue;
                std::fill_n(other.codes.as<std::uint8_t>(), values.size(),
                            q.scheme.element->kind == FormatKind::integer && q.scheme.zeroPoint != ZeroPoint::minimum &&
                                    code >= codes / 2
                                ? static_cast<std::uint8_t>(code + 256 - codes) // two's complement
                                : static_cast<std::uint8_t>(code));
                const std::vector<float> its = restored(other);
                for (std::size_t i = 0; i < values.size(); ++i)
                    if (std::isfinite(its[i]))
                        grids[i].push_back(its[i]);
            }
            for (std::size_t i = 0; i < values.size(); ++i)
                QVERIFY(isNeighbour(c.weights[i], values[i], grids[i]));
        }
    }

    /// With independent columns the nearest of the two is best.
    void independentColumnsRoundToNearest()
    {
        LayerCase c = layerCase(9, 64, 12);
        for (std::size_t i = 0; i < 64; ++i)
            for (std::size_t j = 0; j < 64; ++j)
                c.inputs.gram[i * 64 + j] = i == j ? 1.0 + static_cast<double>(i) / 64 : 0;
        for (const char* scheme : {"int3", "e2m1:g32", "nf4"}) {
            QuantizedTensor out = c.quantize(scheme, "rtn").value();
            const QuantizedTensor rtn = c.quantize(scheme, "rtn").value();
            const QuantizeTask task{.weights = c.view(), .scheme = out.scheme, .spec = {}};
            const JobContext context(sharedExecutor());
            const LayerUnderH layer = makeLayerUnderH(task, c.inputs.gram, 0, out, context).value();
            QVERIFY(learnRounding(layer, {}, nullptr, 0, c.rows, context));
            QCOMPARE(restored(out), restored(rtn));
        }
    }

    /// All 2¹⁰ choices of a row of ten weights.
    void isCloseToTheBestOfAllChoices()
    {
        double sumOfBest = 0;
        double sumReached = 0;
        for (std::uint64_t seed = 1; seed <= 12; ++seed) {
            const LayerCase c = layerCase(1, 10, seed, 24);
            const QuantizedTensor rtn = c.quantize("int3", "rtn").value();
            const auto scale = static_cast<double>(rtn.scales[0]);
            double best = std::numeric_limits<double>::infinity();
            for (unsigned choice = 0; choice < 1024; ++choice) {
                std::vector<float> tried(10);
                for (std::size_t j = 0; j < 10; ++j) {
                    const double low = std::floor(static_cast<double>(c.weights[j]) / scale);
                    tried[j] = static_cast<float>(std::clamp(low + (choice >> j & 1U), -4.0, 3.0) * scale);
                }
                best = std::min(best, outputError(c.weights, tried, c.inputs));
            }
            const double reached = c.error(c.quantize("int3", "adaround:damp=0:start=rtn").value());
            QVERIFY(reached >= best * (1 - 1e-4));
            sumOfBest += best;
            sumReached += reached;
        }
        QVERIFY2(sumReached <= 1.5 * sumOfBest, qPrintable(QString::number(sumReached / sumOfBest)));
    }

    void objectivesAreTrue_data()
    {
        QTest::addColumn<QByteArray>("scheme");
        for (const char* scheme : {"int3:g32", "int4:g64:asym:s=f16", "int2", "int4:tensor", "e2m1:g32", "mxfp4",
                                   "nvfp4", "nf4:g64", "gguf:q4_0", "gguf:q4_1"})
            QTest::newRow(scheme) << QByteArray(scheme);
        for (const BlockFormat* block : allBlockFormats())
            if (block->codesElements())
                QTest::newRow(std::string(block->id).c_str()) << QByteArray::fromStdString(std::string(block->id));
    }
    void objectivesAreTrue()
    {
        QFETCH(QByteArray, scheme);
        static const LayerCase kCase = layerCase(20, 256);
        for (const char* start : {"rtn", "imatrix", "gptq"}) {
            QuantizerReport report;
            const QuantizedTensor q =
                kCase.quantize(scheme.toStdString(), std::string("adaround:iterations=40:start=") + start, &report)
                    .value();
            const double rtn = kCase.error(kCase.quantize(scheme.toStdString(), "rtn").value());
            const double reached = kCase.error(q);
            QVERIFY2(std::fabs(report.rtn - rtn) <= 1e-3 * rtn, qPrintable(QString::number(report.rtn / rtn)));
            QVERIFY2(std::fabs(report.reached - reached) <= 1e-3 * reached,
                     qPrintable(QString::number(report.reached / reached)));
            QVERIFY(reached < rtn && !report.keptRtn);
        }
    }

    void everyThreadCountGivesTheSame()
    {
        const LayerCase c = layerCase(300, 160);
        Executor one(1);
        Executor three(3);
        for (const char* scheme : {"int4:g64", "e2m1:tensor", "gguf:q5_1"}) {
            QuantizerReport first;
            QuantizerReport second;
            const QuantizedTensor a = c.quantize(scheme, "adaround:iterations=20", &first, one).value();
            const QuantizedTensor b = c.quantize(scheme, "adaround:iterations=20", &second, three).value();
            QVERIFY(sameBits(a, b));
            QCOMPARE(first.reached, second.reached);
        }
    }

    void oddShapesAndValues()
    {
        constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
        constexpr float kInf = std::numeric_limits<float>::infinity();
        for (const auto& [rows, cols] : {std::pair{1, 1}, {1, 5}, {3, 33}, {17, 1}, {129, 70}})
            for (const char* scheme : {"int4:g32", "e2m1:g16", "int4:g32:asym", "int4:g32:min", "int3:tensor"}) {
                LayerCase c = layerCase(rows, cols);
                const std::string spec = "adaround:iterations=10";
                c.weights.assign(c.weights.size(), 0);
                for (const float x : restored(c.quantize(scheme, spec).value()))
                    QCOMPARE(x, 0.0F);
                for (const float size : {1e-18F, 1e18F}) { // learns alike
                    c.weights = layerCase(rows, cols).weights;
                    const std::vector<float> plain = restored(c.quantize(scheme, spec).value());
                    for (float& w : c.weights)
                        w *= size;
                    const std::vector<float> sized = restored(c.quantize(scheme, spec).value());
                    for (std::size_t i = 0; i < sized.size(); ++i)
                        QVERIFY(std::isfinite(sized[i]) && std::fabs(sized[i] / size - plain[i]) < 1.5F);
                }
                c.weights = layerCase(rows, cols).weights;
                c.weights.front() = kNan;
                c.weights.back() = -kInf;
                const std::vector<float> values = restored(c.quantize(scheme, spec).value());
                for (const float x : values)
                    QVERIFY(std::isfinite(x));
                if (values.size() > 1 && std::string_view(scheme) != "int4:g32:min") // whose values may all be above 0
                    QVERIFY(values.back() <= 0);
            }
    }

    void stopsAndRefuses()
    {
        const LayerCase c = layerCase(256, 256);
        std::stop_source stop;
        stop.request_stop();
        const auto stopped = ql::quantize({.weights = c.view(),
                                           .scheme = parseScheme("int4").value(),
                                           .spec = parseQuantizerSpec("adaround").value(),
                                           .inputs = &c.inputs},
                                          JobContext(sharedExecutor(), stop.get_token()));
        QVERIFY(!stopped);
        QCOMPARE(stopped.error().code, Errc::cancelled);
        for (const char* spec :
             {"adaround:iterations=0", "adaround:start=hqq", "adaround:rate=fast", "adaround:best"}) {
            const auto parsed = parseQuantizerSpec(spec);
            QCOMPARE((parsed ? c.quantize("int4", spec).error() : parsed.error()).code, Errc::usage);
        }
        LayerCase broken = c;
        broken.inputs.gram.assign(broken.inputs.gram.size(), std::numeric_limits<double>::quiet_NaN());
        QCOMPARE(broken.quantize("int4", "adaround").error().code, Errc::badInput);
    }
};

QTEST_APPLESS_MAIN(LearnedRoundingTest)
#include "learned_rounding_test.moc"
