// SPDX-License-Identifier: GPL-3.0-or-later
// Walks every format that is laid out over the whole matrix: what it says, its bytes, odd weights and shapes, threads.
#include "core/formats/block_format.h"
#include "core/formats/matrix_format.h"
#include "tests/support/layer_inputs.h"
#include "tests/support/quantize_support.h"

#include <cmath>

using namespace ql;
using namespace ql::tests;

namespace {

const MatrixFormat& formatOf(const QByteArray& id)
{
    return *findMatrixFormat(std::string_view(id.constData(), static_cast<std::size_t>(id.size())));
}

double sumOfSquares(const std::vector<float>& w)
{
    double sum = 0;
    for (const float x : w)
        sum += static_cast<double>(x) * static_cast<double>(x);
    return sum;
}

QuantizedTensor withInputs(const TensorView& view, const std::string& scheme, const ActivationStatistics& inputs,
                           Executor& executor = sharedExecutor())
{
    const QuantizeTask task{.weights = view,
                            .scheme = parseScheme(scheme).value(),
                            .spec = parseQuantizerSpec("imatrix").value(),
                            .inputs = &inputs};
    return quantize(task, JobContext(executor)).value();
}

} // namespace

class MatrixFormatsTest : public QObject {
    Q_OBJECT
private:
    static void eachFormat()
    {
        QTest::addColumn<QByteArray>("id");
        for (const std::string& id : allMatrixFormatIds())
            QTest::newRow(id.c_str()) << QByteArray::fromStdString(id);
    }

private Q_SLOTS:
    void isWhatItSays_data() { eachFormat(); }
    void isWhatItSays()
    {
        QFETCH(QByteArray, id);
        const MatrixFormat& format = formatOf(id);
        QVERIFY(!format.title.empty() && !format.source.empty() && !format.layout.empty());
        QCOMPARE(format.id, id.toStdString());
        const Scheme scheme = parseScheme(id.toStdString()).value();
        QVERIFY(scheme.isPacked() && findMatrixFormat(scheme) == &format && !findBlockFormat(scheme));
        QCOMPARE(printScheme(scheme), id.toStdString());
        QVERIFY(parseScheme(" " + printScheme(scheme) + " ").value() == scheme);
        QCOMPARE(payloadBits(scheme, 0, 8), std::int64_t{0});
        QCOMPARE(payloadBits(scheme, 8, 0), std::int64_t{0});
        for (const MatrixShape& shape : {MatrixShape{2, 2}, MatrixShape{64, 96}, MatrixShape{256, 1024}}) {
            QCOMPARE(payloadBits(scheme, shape.rows, shape.cols) % 8, std::int64_t{0});
            QCOMPARE(payloadBits(scheme, shape.rows, shape.cols), 8 * format.sizeBytes(shape));
        }
        const double nominal = static_cast<double>(payloadBits(scheme, 8192, 8192)) / (8192.0 * 8192.0);
        QVERIFY2(std::fabs(nominal - format.bits) < 1.01, qPrintable(QString::number(nominal)));
    }

    void textsOfNoneSayTheMend()
    {
        for (const char* text : {"bitstack0_4", "bitstack17_16", "bitstack4_65", "bitstack4", "fairy2i5", "fairy2i",
                                 "dgq4:g0", "dgq4:g", "dgq4:asym", "bitstack4_16:g64"}) {
            const auto scheme = parseScheme(text);
            QVERIFY2(!scheme, text);
            QCOMPARE(scheme.error().code, Errc::usage);
            QVERIFY2(!scheme.error().what.empty(), text);
        }
        QVERIFY(parseScheme("fairy2i9").error().what.find("fairy2i<T>") != std::string::npos);
        QVERIFY(parseScheme("dgq4:g32").has_value() && parseScheme("bitstack5_7").has_value());
    }

    /// What is asked for in pieces, from anywhere, is what is restored as a whole.
    void restoresAnyPiece_data() { eachFormat(); }
    void restoresAnyPiece()
    {
        QFETCH(QByteArray, id);
        for (const MatrixShape& shape : {MatrixShape{6, 700}, {34, 2}, {2, 1030}, {4, 512}}) {
            if (!formatOf(id).checkShape(shape))
                continue;
            const std::vector<float> w = normalSamples(shape.rows * shape.cols, 3);
            const QuantizedTensor q = quantized(viewOf(w, {shape.rows, shape.cols}), id.toStdString());
            QCOMPARE(q.codes.sizeBytes() * 8, q.payloadBits());
            const std::vector<float> whole = restored(q);
            const CounterRng rng(4);
            for (std::uint64_t i = 0; i < 40; ++i) {
                const auto n = static_cast<std::uint64_t>(std::ssize(w));
                const auto first = static_cast<std::int64_t>(rng.bits(2 * i) % n);
                const auto count =
                    static_cast<std::int64_t>(rng.bits(2 * i + 1) % (n - static_cast<std::uint64_t>(first)) + 1);
                std::vector<float> piece(static_cast<std::size_t>(count));
                formatOf(id).restore(q.codes.data(), shape, first, count, piece.data());
                QVERIFY(std::memcmp(piece.data(), whole.data() + first, piece.size() * sizeof(float)) == 0);
            }
        }
    }

    void isBetterThanZeros_data() { eachFormat(); }
    void isBetterThanZeros()
    {
        QFETCH(QByteArray, id);
        const std::vector<float> w = normalSamples(64 * 512, 5);
        const TensorView view = viewOf(w, {64, 512});
        const double plain = squaredError(view, quantized(view, id.toStdString()));
        QVERIFY2(plain < 0.75 * sumOfSquares(w), qPrintable(QString::number(plain / sumOfSquares(w))));
        QCOMPARE(squaredError(view, quantized(view, id.toStdString(), "mse")), plain);
    }

    void oddWeights_data() { eachFormat(); }
    void oddWeights()
    {
        QFETCH(QByteArray, id);
        const std::string scheme = id.toStdString();
        constexpr std::int64_t kRows = 8;
        constexpr std::int64_t kCols = 512;
        const Shape shape{kRows, kCols};
        const std::vector<float> zeros(kRows * kCols, 0.0F);
        QVERIFY(sameBits(restored(quantized(viewOf(zeros, shape), scheme)), zeros));
        QVERIFY(sameBits(restored(quantized(viewOf(std::vector<float>(zeros.size(), -0.0F), shape), scheme)), zeros));
        std::vector<float> w = normalSamples(kRows * kCols, 6);
        std::vector<float> clean(w);
        w[5] = std::numeric_limits<float>::quiet_NaN();
        clean[5] = 0;
        QVERIFY(sameBits(quantized(viewOf(w, shape), scheme), quantized(viewOf(clean, shape), scheme)));
        float largest = 0;
        for (const float x : clean)
            largest = std::max(largest, std::fabs(x));
        w[400] = -std::numeric_limits<float>::infinity();
        clean[400] = -largest;
        QVERIFY(sameBits(quantized(viewOf(w, shape), scheme), quantized(viewOf(clean, shape), scheme)));
        for (const float x : restored(quantized(
                 viewOf(std::vector<float>(zeros.size(), std::numeric_limits<float>::infinity()), shape), scheme)))
            QVERIFY(std::isfinite(x));
        for (const float size : {0x1p-149F, 1e-30F, 1e-9F, 1e8F, 1e38F}) {
            std::vector<float> sized(clean);
            for (float& x : sized)
                x = x / largest * size;
            for (const float x : restored(quantized(viewOf(sized, shape), scheme)))
                QVERIFY2(std::isfinite(x) && std::fabs(x) <= 2.1F * size,
                         qPrintable(QString::number(static_cast<double>(size)) + QStringLiteral(": ") +
                                    QString::number(static_cast<double>(x))));
        }
    }

    void oddImportance_data() { eachFormat(); }
    void oddImportance()
    {
        QFETCH(QByteArray, id);
        const std::vector<float> w = normalSamples(8 * 256, 7);
        ActivationStatistics inputs;
        inputs.in = 256;
        inputs.tokens = 10;
        inputs.channelRms.assign(256, 0.0);
        QVERIFY(sumOfSquares(restored(withInputs(viewOf(w, {8, 256}), id.toStdString(), inputs))) > 0);
        inputs.channelRms[3] = 1e18;
        for (const float x : restored(withInputs(viewOf(w, {8, 256}), id.toStdString(), inputs)))
            QVERIFY(std::isfinite(x));
    }

    void equalBitsForAnyThreads_data() { eachFormat(); }
    void equalBitsForAnyThreads()
    {
        QFETCH(QByteArray, id);
        const std::vector<float> w = normalSamples(96 * 512, 8);
        const TensorView view = viewOf(w, {96, 512});
        static const ActivationStatistics inputs = statisticsOf(correlatedInputs(200, 512), 512);
        static Executor one(1);
        static Executor threads(3, Executor::Backend::threads);
        const QuantizedTensor q = withInputs(view, id.toStdString(), inputs);
        QVERIFY(sameBits(q, withInputs(view, id.toStdString(), inputs, one)));
        QVERIFY(sameBits(q, withInputs(view, id.toStdString(), inputs, threads)));
        QVERIFY(sameBits(quantized(view, id.toStdString()), quantized(view, id.toStdString(), "rtn", one)));
    }

    void stopsAndRefuses_data() { eachFormat(); }
    void stopsAndRefuses()
    {
        QFETCH(QByteArray, id);
        const std::vector<float> w = normalSamples(64 * 256, 9);
        std::stop_source source;
        source.request_stop();
        const QuantizeTask task{viewOf(w, {64, 256}), parseScheme(id.toStdString()).value(), {}, nullptr};
        const auto stopped = quantize(task, JobContext(sharedExecutor(), source.get_token()));
        QVERIFY(!stopped && stopped.error().code == Errc::cancelled);
        const auto tight = quantize(task, JobContext(sharedExecutor(), {}, nullptr, 1000));
        QVERIFY(!tight && tight.error().code == Errc::outOfMemory);
        Progress progress;
        QVERIFY(quantize(task, JobContext(sharedExecutor(), {}, &progress)).has_value());
        QVERIFY(progress.fraction() > 0.99);
        for (const char* quantizer : {"gptq", "decoupleq", "hqq", "lp", "percentile", "mean", "entropy"}) {
            const auto accepted =
                findQuantizer(quantizer).value()->accepts(task.scheme, parseQuantizerSpec(quantizer).value());
            QVERIFY2(!accepted && accepted.error().code == Errc::usage, quantizer);
        }
        for (const Shape& shape : {Shape{0, 256}, Shape{64, 0}}) {
            const QuantizeTask empty{{Dtype::f32, shape, nullptr}, task.scheme, {}, nullptr};
            QCOMPARE(quantize(empty, JobContext(sharedExecutor())).value().codes.sizeBytes(), std::int64_t{0});
        }
    }
};

QTEST_APPLESS_MAIN(MatrixFormatsTest)
#include "matrix_formats_test.moc"
