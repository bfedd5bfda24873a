// SPDX-License-Identifier: GPL-3.0-or-later
// The importance-weighted search: what it takes as importance, and that it lowers the weighted error.
#include "core/calibration/activations.h"
#include "core/formats/block_format.h"
#include "core/tensor/half.h"
#include "tests/support/quantize_support.h"

#include <cmath>
#include <limits>

using namespace ql;
using namespace ql::tests;

namespace {

constexpr const char* kScaled[] = {"gguf:q4_0", "gguf:q4_1", "gguf:q5_0", "gguf:q5_1", "gguf:q8_0"};

ActivationStatistics inputs(std::int64_t in, std::uint64_t seed)
{
    const CounterRng rng(seed);
    ActivationStatistics statistics;
    statistics.in = in;
    statistics.tokens = 100;
    for (std::int64_t i = 0; i < in; ++i)
        statistics.channelRms.push_back(std::exp(rng.normal(static_cast<std::uint64_t>(i))));
    return statistics;
}

QuantizedTensor searched(const TensorView& view, const char* scheme, const ActivationStatistics* inputs,
                         Executor& executor = sharedExecutor())
{
    const QuantizeTask task{.weights = view,
                            .scheme = parseScheme(scheme).value(),
                            .spec = parseQuantizerSpec("imatrix").value(),
                            .inputs = inputs};
    auto result = quantize(task, JobContext(executor));
    if (!result)
        qFatal("%s: %s", scheme, describe(result.error()).c_str());
    return std::move(result).value();
}

/// Σ rmsⱼ²·(w − ŵ)²
double weightedError(const std::vector<float>& w, const QuantizedTensor& q, const ActivationStatistics& statistics)
{
    const std::vector<float> back = restored(q);
    double error = 0;
    for (std::size_t i = 0; i < w.size(); ++i) {
        const double difference = static_cast<double>(w[i]) - static_cast<double>(back[i]);
        error += std::pow(statistics.channelRms[i % statistics.channelRms.size()] * difference, 2);
    }
    return error;
}

} // namespace

class ImatrixTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void lowersTheWeightedError_data()
    {
        QTest::addColumn<QByteArray>("scheme");
        for (const char* scheme : kScaled)
            QTest::newRow(scheme) << QByteArray(scheme);
        for (const BlockFormat* format : allBlockFormats())
            QTest::newRow(std::string(format->id).c_str())
                << QByteArray(format->id.data(), static_cast<qsizetype>(format->id.size()));
    }
    void lowersTheWeightedError()
    {
        QFETCH(QByteArray, scheme);
        const std::vector<float> w = normalSamples(24 * 512, 3);
        const TensorView view = viewOf(w, {24, 512});
        const ActivationStatistics statistics = inputs(512, 4);
        const QuantizedTensor q = searched(view, scheme.constData(), &statistics);
        const double weighted = weightedError(w, q, statistics);
        const double plain = weightedError(w, searched(view, scheme.constData(), nullptr), statistics);
        QVERIFY2(weighted < plain, qPrintable(QString::number(weighted / plain)));
        QVERIFY(weighted < weightedError(w, quantized(view, scheme.toStdString(), "mse"), statistics));
        static Executor one(1);
        static Executor threads(3, Executor::Backend::threads);
        QVERIFY(sameBits(q, searched(view, scheme.constData(), &statistics, one)));
        QVERIFY(sameBits(q, searched(view, scheme.constData(), &statistics, threads)));
    }

    /// Without importance it is a search of the plain error; of the types that have others, no worse than those.
    void withoutImportanceIsAPlainSearch()
    {
        const std::vector<float> w = normalSamples(64 * 512, 5);
        const TensorView view = viewOf(w, {64, 512});
        for (const char* scheme : kScaled) {
            const double error = squaredError(view, searched(view, scheme, nullptr));
            QVERIFY2(error <= squaredError(view, quantized(view, scheme, "mse")) * 1.001, scheme);
            QVERIFY2(error <= squaredError(view, quantized(view, scheme, "rtn:ggml")), scheme);
        }
    }

    /// Whole tiles are prepared and summed by other code than what is left of a row: a group has the same bits in both.
    void groupsDoNotDependOnTheirTile()
    {
        std::vector<float> w = normalSamples(8 * 32, 31);
        std::fill(w.begin() + 64, w.begin() + 96, 0.0F);
        w[100] *= 40;
        for (const bool isWeighted : {false, true})
            for (const char* scheme : kScaled) {
                const ActivationStatistics statistics = inputs(256, 32);
                const QuantizedTensor together =
                    searched(viewOf(w, {1, 256}), scheme, isWeighted ? &statistics : nullptr);
                for (std::size_t group = 0; group < 8; ++group) {
                    ActivationStatistics own;
                    own.in = 32;
                    own.tokens = statistics.tokens;
                    own.channelRms.assign(statistics.channelRms.begin() + static_cast<std::ptrdiff_t>(32 * group),
                                          statistics.channelRms.begin() + static_cast<std::ptrdiff_t>(32 * group + 32));
                    const std::vector<float> alone(w.begin() + static_cast<std::ptrdiff_t>(32 * group),
                                                   w.begin() + static_cast<std::ptrdiff_t>(32 * group + 32));
                    const QuantizedTensor single =
                        searched(viewOf(alone, {1, 32}), scheme, isWeighted ? &own : nullptr);
                    QCOMPARE(single.scales[0], together.scales[group]);
                    if (!single.minima.empty())
                        QCOMPARE(single.minima[0], together.minima[group]);
                    QVERIFY2(std::memcmp(single.codes.data(), together.codes.data() + 32 * group, 32) == 0, scheme);
                }
            }
    }

    /// For one group of q4_0 every scale an f16 can be, by brute force.
    void groupIsAsGoodAsEveryScale()
    {
        for (std::uint64_t seed = 0; seed < 12; ++seed) {
            const std::vector<float> w = normalSamples(32, 50 + seed);
            const ActivationStatistics statistics = inputs(32, 80 + seed);
            const QuantizedTensor q = searched(viewOf(w, {1, 32}), "gguf:q4_0", &statistics);
            double least = std::numeric_limits<double>::infinity();
            for (std::uint32_t bits = 0x0400; bits < 0x5000; ++bits)
                for (const float sign : {1.0F, -1.0F}) {
                    const float scale = sign * floatFromF16(static_cast<std::uint16_t>(bits));
                    double error = 0;
                    for (std::size_t i = 0; i < 32 && error < least; ++i) {
                        const float code = std::clamp(std::nearbyint(w[i] / scale), -8.0F, 7.0F);
                        const double difference = static_cast<double>(w[i]) - static_cast<double>(scale * code);
                        error += std::pow(statistics.channelRms[i] * difference, 2);
                    }
                    least = std::min(least, error);
                }
            const double reached = weightedError(w, q, statistics);
            QVERIFY2(reached <= least * 1.05, qPrintable(QString::number(reached / least)));
        }
    }

    /// Ranges of rows with inputs of their own: each is searched as if it stood alone; one that saw no token takes the
    /// importance of all.
    void rangesOfRowsHaveTheirOwn()
    {
        const std::vector<float> w = normalSamples(12 * 256, 6);
        ActivationStatistics all = inputs(256, 10);
        all.parts = {inputs(256, 11), inputs(256, 12), ActivationStatistics{}};
        for (const char* scheme : {"gguf:q4_k", "gguf:q4_0", "gguf:iq2_xs"}) {
            const std::vector<float> together = restored(searched(viewOf(w, {12, 256}), scheme, &all));
            for (std::size_t part = 0; part < 3; ++part) {
                const std::vector<float> rows(w.begin() + static_cast<std::ptrdiff_t>(part * 4 * 256),
                                              w.begin() + static_cast<std::ptrdiff_t>((part + 1) * 4 * 256));
                ActivationStatistics its = part < 2 ? all.parts[part] : all;
                its.parts.clear();
                const std::vector<float> alone = restored(searched(viewOf(rows, {4, 256}), scheme, &its));
                QVERIFY(std::equal(alone.begin(), alone.end(),
                                   together.begin() + static_cast<std::ptrdiff_t>(part * 4 * 256)));
            }
        }
    }

    void oddShapesAndWeights()
    {
        for (const char* scheme : kScaled)
            for (const Shape& shape : {Shape{}, Shape{0, 5}, Shape{5, 0}, Shape{7}, Shape{3, 33}, Shape{2, 300}}) {
                std::vector<float> w = normalSamples(numel(shape), 20);
                if (w.size() > 20) {
                    w[1] = std::numeric_limits<float>::quiet_NaN();
                    w[2] = std::numeric_limits<float>::infinity();
                    w[3] = -std::numeric_limits<float>::infinity();
                }
                const QuantizedTensor q = searched(viewOf(w, shape), scheme, nullptr);
                QCOMPARE(q.codes.sizeBytes(), numel(shape));
                const std::vector<float> back = restored(q);
                for (std::size_t i = 0; i < back.size(); ++i)
                    QVERIFY(std::isfinite(back[i]));
                if (w.size() > 20)
                    QVERIFY(back[2] > 0 && back[3] < 0);
                const std::vector<float> zeros(w.size());
                QVERIFY(sameBits(restored(searched(viewOf(zeros, shape), scheme, nullptr)), zeros));
            }
    }

    void mseHasNoStepsForBlocks()
    {
        QVERIFY(!findQuantizer("mse").value()->accepts(parseScheme("gguf:q4_k").value(),
                                                       {.id = "mse", .option = "", .values = {{"steps", "3"}}}));
    }
};

QTEST_APPLESS_MAIN(ImatrixTest)
#include "imatrix_test.moc"
