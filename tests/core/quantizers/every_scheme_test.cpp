// SPDX-License-Identifier: GPL-3.0-or-later
// Walks every scheme over shapes, thread counts and back ends, and checks what must hold of round to nearest.
#include "core/formats/block_format.h"
#include "core/formats/element_coder.h"
#include "core/formats/row_factors.h"
#include "core/formats/scale_coding.h"
#include "core/tensor/half.h"
#include "tests/support/quantize_support.h"
#include "tests/support/vector_targets.h"

#include <cmath>
#include <limits>

using namespace ql;
using namespace ql::tests;

namespace {

const std::vector<Shape>& shapes()
{
    static const std::vector<Shape> kShapes{{},         {0},      {0, 5},      {5, 0},    {1},
                                            {7},        {3, 33},  {2, 130},    {4, 64},   {3, 2, 5, 5},
                                            {2, 3, 50}, {1, 257}, {2, 70'000}, {300, 300}};
    return kShapes;
}

/// Codes by the obvious search with the scales that were chosen.
bool codesAreNearest(const TensorView& view, const QuantizedTensor& q)
{
    const auto* w = reinterpret_cast<const float*>(view.data);
    const MatrixShape m = q.matrix();
    const NumberFormat& format = *q.scheme.element;
    const bool isInteger = format.kind == FormatKind::integer;
    const std::int64_t perRow = q.scheme.groupsPerRow(m.cols);
    const std::vector<float> back = restored(q);
    for (std::int64_t row = 0; row < m.rows; ++row)
        for (std::int64_t col = 0; col < m.cols; ++col) {
            const std::int64_t i = row * m.cols + col;
            const auto unit = static_cast<std::size_t>(q.scheme.granularity == Granularity::tensor ? 0
                                                       : q.scheme.granularity == Granularity::channel
                                                           ? row
                                                           : row * perRow + col / q.scheme.groupSize);
            const float scale = q.scales[unit] * q.tensorScale;
            const std::uint8_t code = q.codes.as<std::uint8_t>()[i];
            float value = 0;
            if (q.scheme.zeroPoint != ZeroPoint::none) {
                const int half = 1 << (format.bits - 1);
                const bool minimum = q.scheme.zeroPoint == ZeroPoint::minimum;
                const int zero = minimum ? 0 : q.zeroPoints[unit];
                const float low = minimum ? q.minima[unit] : 0;
                const double y = static_cast<double>((w[i] - low) / scale);
                const auto expected = static_cast<int>(std::clamp(std::nearbyint(y) + zero, minimum ? 0.0 : -half * 1.0,
                                                                  minimum ? 2.0 * half - 1 : half - 1.0));
                if (static_cast<std::uint8_t>(expected) != code)
                    return false;
                value =
                    minimum ? static_cast<float>(expected) * scale + low : static_cast<float>(expected - zero) * scale;
            } else {
                std::uint8_t expected = nearestCode(format, w[i] / scale);
                if (q.scheme.restricted && expected == 1U << static_cast<unsigned>(format.bits - 1))
                    ++expected;
                const auto mask = static_cast<std::uint8_t>((1U << static_cast<unsigned>(format.bits)) - 1);
                if ((code & mask) != expected)
                    return false;
                const int shift = 8 - format.bits;
                if (isInteger && static_cast<std::int8_t>(code) != static_cast<std::int8_t>(expected << shift) >> shift)
                    return false;
                value = format.levels[expected] * scale;
            }
            if (std::memcmp(&value, &back[static_cast<std::size_t>(i)], sizeof value) != 0)
                return false;
        }
    return true;
}

} // namespace

class EverySchemeTest : public QObject {
    Q_OBJECT
private:
    static void eachScheme()
    {
        QTest::addColumn<QByteArray>("scheme");
        for (const std::string& text : scaledSchemes())
            QTest::newRow(text.c_str()) << QByteArray::fromStdString(text);
    }

private Q_SLOTS:
    void codesAreNearestOnEveryShape_data() { eachScheme(); }
    void codesAreNearestOnEveryShape()
    {
        QFETCH(QByteArray, scheme);
        for (const Shape& shape : shapes()) {
            const std::vector<float> w = normalSamples(numel(shape), 5);
            const TensorView view = viewOf(w, shape);
            const QuantizedTensor q = quantized(view, scheme.toStdString());
            const MatrixShape m = q.matrix();
            QCOMPARE(static_cast<std::int64_t>(q.scales.size()), q.scheme.scaleCount(m.rows, m.cols));
            QCOMPARE(q.codes.sizeBytes(), numel(shape));
            QVERIFY2(codesAreNearest(view, q), formatShape(shape).c_str());
            for (const float scale : q.scales)
                QVERIFY(scale > 0 && roundScale(q.scheme.scale, scale) == scale);
        }
    }

    void equalForAnyThreads_data() { eachScheme(); }
    void equalForAnyThreads()
    {
        QFETCH(QByteArray, scheme);
        static Executor one(1);
        static Executor five(5);
        static Executor plain(3, Executor::Backend::threads);
        const bool longRuns = parseScheme(scheme.toStdString()).value().granularity != Granularity::group;
        for (const Shape& shape : {longRuns ? Shape{2, 70'000} : Shape{70, 1030}, Shape{23, 130}}) {
            const std::vector<float> w = normalSamples(numel(shape), 6);
            const TensorView view = viewOf(w, shape);
            for (const char* spec : {"rtn", "mse:steps=6"}) {
                const QuantizedTensor q = quantized(view, scheme.toStdString(), spec, one);
                const ErrorStats error = measureError(view, q, JobContext(one)).value();
                for (Executor* executor : {&sharedExecutor(), &five, &plain}) {
                    QVERIFY(sameBits(q, quantized(view, scheme.toStdString(), spec, *executor)));
                    const ErrorStats other = measureError(view, q, JobContext(*executor)).value();
                    QCOMPARE(other.sumSquaredError, error.sumSquaredError);
                    QCOMPARE(other.sumSquares, error.sumSquares);
                    QCOMPARE(other.maxAbsError, error.maxAbsError);
                    QVERIFY(sameBits(restore(q, JobContext(one)).value(), restore(q, JobContext(*executor)).value()));
                }
            }
        }
    }

    void equalForAnyVectors_data() { eachScheme(); }
    void equalForAnyVectors()
    {
        QFETCH(QByteArray, scheme);
        const std::vector<float> w = normalSamples(11 * 347, 7);
        const TensorView view = viewOf(w, {11, 347});
        for (const char* spec : {"rtn", "mse:steps=6"}) {
            const QuantizedTensor q = quantized(view, scheme.toStdString(), spec);
            const std::vector<float> back = restored(q);
            const ErrorStats error = measureError(view, q, JobContext(sharedExecutor())).value();
            test::forEachVectorTarget([&](const std::string& target) {
                QVERIFY2(sameBits(q, quantized(view, scheme.toStdString(), spec)), target.c_str());
                QVERIFY2(sameBits(back, restored(q)), target.c_str());
                const ErrorStats other = measureError(view, q, JobContext(sharedExecutor())).value();
                QCOMPARE(other.sumSquaredError, error.sumSquaredError);
                QCOMPARE(other.sumSquares, error.sumSquares);
                QCOMPARE(other.maxAbsError, error.maxAbsError);
            });
        }
    }

    void restoredIsAFixedPoint_data() { eachScheme(); }
    void restoredIsAFixedPoint()
    {
        QFETCH(QByteArray, scheme);
        const Scheme parsed = parseScheme(scheme.toStdString()).value();
        if (parsed.zeroPoint != ZeroPoint::none)
            QSKIP("the range of what was restored may be narrower, and so its scale");
        const std::vector<float> w = normalSamples(6 * 200, 8);
        const QuantizedTensor q = quantized(viewOf(w, {6, 200}), scheme.toStdString());
        const std::vector<float> once = restored(q);
        const QuantizedTensor again = quantized(viewOf(once, {6, 200}), scheme.toStdString());
        const std::vector<float> twice = restored(again);
        if (parsed.scale ==
            ScaleCoding::e8m0) // a largest level of exactly Q/2 halves the scale: other codes, equal values
            QVERIFY(sameBits(once, twice));
        else
            QVERIFY(sameBits(q.codes, again.codes));
        for (std::size_t i = 0; i < once.size(); ++i)
            QVERIFY(std::fabs(once[i] - twice[i]) <= 4e-7F * std::fabs(once[i]));
    }

    void signsAreTreatedAlike_data() { eachScheme(); }
    void signsAreTreatedAlike()
    {
        QFETCH(QByteArray, scheme);
        const Scheme parsed = parseScheme(scheme.toStdString()).value();
        if (parsed.zeroPoint != ZeroPoint::none || parsed.element->kind == FormatKind::codebook)
            QSKIP("not symmetric");
        std::vector<float> w = normalSamples(5 * 100, 9);
        const QuantizedTensor plus = quantized(viewOf(w, {5, 100}), scheme.toStdString());
        for (float& x : w)
            x = -x;
        const QuantizedTensor minus = quantized(viewOf(w, {5, 100}), scheme.toStdString());
        QVERIFY(sameBits(plus.scales, minus.scales));
        const std::vector<float> a = restored(plus);
        const std::vector<float> b = restored(minus);
        for (std::size_t i = 0; i < a.size(); ++i)
            QCOMPARE(a[i], -b[i]);
    }

    void powersOfTwoScaleTheScale_data() { eachScheme(); }
    void powersOfTwoScaleTheScale()
    {
        QFETCH(QByteArray, scheme);
        const std::vector<float> w = normalSamples(5 * 100, 10);
        const QuantizedTensor q = quantized(viewOf(w, {5, 100}), scheme.toStdString());
        for (const int k : {5, 1, -1}) {
            std::vector<float> scaled(w);
            for (float& x : scaled)
                x = std::ldexp(x, k);
            // f16 scales become subnormal, and coarser, below 2⁻¹⁴.
            if (k < 0 && q.scheme.scale == ScaleCoding::f16)
                continue;
            const QuantizedTensor other = quantized(viewOf(scaled, {5, 100}), scheme.toStdString());
            QVERIFY(sameBits(q.codes, other.codes));
            QCOMPARE(other.zeroPoints, q.zeroPoints);
            for (std::size_t i = 0; i < q.scales.size(); ++i)
                QCOMPARE(other.scales[i] * other.tensorScale, std::ldexp(q.scales[i] * q.tensorScale, k));
        }
    }

    void rowsAreIndependent_data() { eachScheme(); }
    void rowsAreIndependent()
    {
        QFETCH(QByteArray, scheme);
        const std::vector<float> w = normalSamples(6 * 70, 11);
        std::vector<float> reversed;
        for (int row = 5; row >= 0; --row)
            reversed.insert(reversed.end(), w.begin() + row * 70, w.begin() + (row + 1) * 70);
        const QuantizedTensor q = quantized(viewOf(w, {6, 70}), scheme.toStdString(), "mse:steps=10");
        const QuantizedTensor r = quantized(viewOf(reversed, {6, 70}), scheme.toStdString(), "mse:steps=10");
        const std::vector<float> a = restored(q);
        const std::vector<float> b = restored(r);
        if (q.scheme.granularity == Granularity::tensor) {
            QVERIFY(std::fabs(squaredError(viewOf(w, {6, 70}), q) - squaredError(viewOf(reversed, {6, 70}), r)) < 1e-9);
            return;
        }
        for (int row = 0; row < 6; ++row)
            QVERIFY(std::equal(a.begin() + row * 70, a.begin() + (row + 1) * 70, b.begin() + (5 - row) * 70));
        // Part of the rows restores alone.
        std::vector<float> part(2 * 70);
        q.restoreRows(3, 5, part.data());
        QVERIFY(std::equal(part.begin(), part.end(), a.begin() + 3 * 70));
    }

    void oddWeights_data() { eachScheme(); }
    void oddWeights()
    {
        QFETCH(QByteArray, scheme);
        const Scheme parsed = parseScheme(scheme.toStdString()).value();
        // NaN and infinities do not move scales; NaN restores like 0, infinities like the ends of the range.
        std::vector<float> w = normalSamples(3 * 64, 12);
        std::vector<float> clean(w);
        w[5] = std::numeric_limits<float>::quiet_NaN();
        w[70] = std::numeric_limits<float>::infinity();
        w[130] = -std::numeric_limits<float>::infinity();
        clean[5] = clean[70] = clean[130] = 0;
        for (const char* spec : {"rtn", "mse:steps=5"}) {
            const QuantizedTensor a = quantized(viewOf(w, {3, 64}), scheme.toStdString(), spec);
            const QuantizedTensor b = quantized(viewOf(clean, {3, 64}), scheme.toStdString(), spec);
            QVERIFY(sameBits(a.scales, b.scales));
            const std::vector<float> x = restored(a);
            const std::vector<float> y = restored(b);
            for (std::size_t i = 0; i < x.size(); ++i) {
                QVERIFY(std::isfinite(x[i]));
                if (i != 70 && i != 130)
                    QCOMPARE(x[i], y[i]);
            }
            QVERIFY(x[70] > 0 && x[130] <= *std::min_element(x.begin() + 128, x.begin() + 144));
            if (parsed.zeroPoint != ZeroPoint::minimum && parsed.element->hasZero())
                QCOMPARE(x[5], 0.0F);
            const ErrorStats error = measureError(viewOf(w, {3, 64}), a, JobContext(sharedExecutor())).value();
            QCOMPARE(error.count, std::int64_t{189});
            QVERIFY(std::isfinite(error.sumSquaredError));
        }
        // Zeros restore to +0, whatever stands beside them.
        std::vector<float> zeros(2 * 300, 0.0F);
        zeros[299] = -0.0F;
        for (const char* spec : {"rtn", "mse"}) {
            const std::vector<float> x = restored(quantized(viewOf(zeros, {2, 300}), scheme.toStdString(), spec));
            QVERIFY(sameBits(x, std::vector<float>(600, 0.0F)));
        }
        // Tiny and huge weights give finite results no further off than the weight.
        for (const float size : {0x1p-149F, 1e-42F, 1e-38F, 1e-9F, 1e8F, 1e38F, 3.4e38F}) {
            std::vector<float> extreme(64);
            for (std::size_t i = 0; i < extreme.size(); ++i)
                extreme[i] = size * ((i % 2 ? 1.0F : -1.0F) * static_cast<float>(i + 1) / 64);
            const std::vector<float> x = restored(quantized(viewOf(extreme, {1, 64}), scheme.toStdString()));
            for (std::size_t i = 0; i < x.size(); ++i)
                QVERIFY2(std::isfinite(x[i]) && std::fabs(x[i] - extreme[i]) <= size * 1.001F,
                         qPrintable(QString::number(static_cast<double>(size)) + QStringLiteral(" at ") +
                                    QString::number(i) + QStringLiteral(": ") +
                                    QString::number(static_cast<double>(x[i]))));
        }
    }

    void rowsTakeFactors_data()
    {
        QTest::addColumn<QByteArray>("scheme");
        for (const std::string& text : exampleSchemes())
            QTest::newRow(text.c_str()) << QByteArray::fromStdString(text);
    }
    /// By scales alone, within their rounding; or refused by name.
    void rowsTakeFactors()
    {
        QFETCH(QByteArray, scheme);
        const JobContext context(sharedExecutor());
        const std::vector<float> factors{0.93F, 1.0F, 1.21F};
        const Shape shape{3, 512};
        const std::vector<float> w = normalSamples(numel(shape), 13, 4.0); // so that no f16 scale is below the normal
        const Scheme parsed = parseScheme(scheme.toStdString()).value();
        if (!takesRowFactors(parsed)) {
            const auto refused = withRowFactors(
                {.scheme = parsed, .shape = shape, .codes = {}, .scales = {}, .zeroPoints = {}, .minima = {}}, factors,
                context);
            QVERIFY(!refused && refused.error().code == Errc::refused);
            QVERIFY(refused.error().what.find(printScheme(parsed)) != std::string::npos);
            return;
        }
        const QuantizedTensor q = quantized(viewOf(w, shape), scheme.toStdString());
        const QuantizedTensor scaled = withRowFactors(q, factors, context).value();
        QVERIFY(scaled.zeroPoints == q.zeroPoints);
        const BlockFormat* const block = findBlockFormat(parsed);
        for (std::int64_t i = 0; i < q.codes.sizeBytes(); ++i) {
            const std::int64_t at = block ? i % block->bytes - block->scaleAt : -1;
            if (at < 0 || at >= 2 * block->scaleCount)
                QCOMPARE(scaled.codes.data()[i], q.codes.data()[i]);
        }
        for (const float scale : scaled.scales)
            QVERIFY(roundScale(parsed.scale, std::fabs(scale)) == std::fabs(scale));
        const std::vector<float> before = restored(q);
        const std::vector<float> after = restored(scaled);
        const double step = block ? 0x1p-10 : static_cast<double>(scaleEpsilon(parsed.scale));
        for (std::size_t row = 0; row < 3; ++row) {
            const std::span<const float> old(before.data() + 512 * row, 512);
            const std::span<const float> now(after.data() + 512 * row, 512);
            if (factors[row] == 1) {
                QVERIFY(std::memcmp(old.data(), now.data(), 512 * sizeof(float)) == 0);
                continue;
            }
            double largest = 0;
            for (const float x : old)
                largest = std::max(largest, static_cast<double>(std::fabs(x)));
            QVERIFY(largest > 0);
            // Half a step of each scale, of a sum of up to four parts that may cancel.
            const double most = (step / 2 + 0x1p-22) * 4 * largest * static_cast<double>(factors[row]);
            for (std::size_t c = 0; c < 512; ++c)
                QVERIFY(std::fabs(static_cast<double>(now[c]) -
                                  static_cast<double>(factors[row]) * static_cast<double>(old[c])) <= most);
        }
        for (const std::vector<float>& wrong : {std::vector{1.0F, 1.0F}, {1.0F, 0.0F, 1.0F}, {1.0F, INFINITY, 1.0F}})
            QVERIFY(!withRowFactors(q, wrong, context));
    }
    void whatTakesRowFactors()
    {
        for (const char* text :
             {"int4:g128",   "int8:channel", "int4:g64:asym:s=f16", "int4:g64:min", "nf4:g32:s=bf16", "gguf:q4_0",
              "gguf:q4_1",   "gguf:q5_0",    "gguf:q5_1",           "gguf:q8_0",    "gguf:q2_k",      "gguf:q3_k",
              "gguf:q4_k",   "gguf:q5_k",    "gguf:q6_k",           "gguf:iq4_nl",  "gguf:iq4_xs",    "gguf:iq2_xxs",
              "gguf:iq2_xs", "gguf:iq2_s",   "gguf:iq3_xxs",        "gguf:iq3_s",   "gguf:tq1_0",     "gguf:tq2_0"})
            QVERIFY2(takesRowFactors(parseScheme(text).value()), text);
        for (const char* text :
             {"keep", "f16", "bf16", "int8:tensor", "mxfp4", "nvfp4", "gguf:mxfp4", "int4:g32:s=e8m0", "int4:g128+lr8"})
            QVERIFY2(!takesRowFactors(parseScheme(text).value()), text);
    }

    void anyDtype_data()
    {
        QTest::addColumn<QByteArray>("scheme");
        for (const char* scheme :
             {"int4:g128", "mxfp4", "int8:tensor", "int4:g50:asym", "gguf:q4_1", "nvfp4", "f16", "bf16", "f32"})
            QTest::newRow(scheme) << QByteArray(scheme);
    }
    void anyDtype()
    {
        QFETCH(QByteArray, scheme);
        const std::vector<float> w = normalSamples(3 * 130, 13);
        std::vector<std::uint16_t> half(w.size());
        std::vector<std::uint16_t> brain(w.size());
        std::vector<double> wide(w.begin(), w.end());
        std::vector<std::byte> shifted(w.size() * 4 + 1);
        std::memcpy(shifted.data() + 1, w.data(), w.size() * 4);
        std::vector<float> fromHalf(w.size());
        std::vector<float> fromBrain(w.size());
        for (std::size_t i = 0; i < w.size(); ++i) {
            half[i] = f16FromFloat(w[i]);
            brain[i] = bf16FromFloat(w[i]);
            fromHalf[i] = floatFromF16(half[i]);
            fromBrain[i] = floatFromBf16(brain[i]);
        }
        const auto bytes = [](const auto& v) { return reinterpret_cast<const std::byte*>(v.data()); };
        const auto check = [&](Dtype dtype, const std::byte* data, const std::vector<float>& same) {
            const QuantizedTensor a = quantized({dtype, {3, 130}, data}, scheme.toStdString(), "mse:steps=5");
            return sameBits(a, quantized(viewOf(same, {3, 130}), scheme.toStdString(), "mse:steps=5")) &&
                   squaredError({dtype, {3, 130}, data}, a) == squaredError(viewOf(same, {3, 130}), a);
        };
        QVERIFY(check(Dtype::f16, bytes(half), fromHalf));
        QVERIFY(check(Dtype::bf16, bytes(brain), fromBrain));
        QVERIFY(check(Dtype::f64, bytes(wide), w));
        QVERIFY(check(Dtype::f32, shifted.data() + 1, w));
    }

    void casts()
    {
        const std::vector<float> w{0.1F,  -1e6F, 3.4e38F, std::numeric_limits<float>::infinity(),
                                   1e-7F, -0.0F, 65519.0F};
        const std::vector<float> f32 = restored(quantized(viewOf(w, {7}), "f32"));
        QVERIFY(sameBits(f32, w));
        const std::vector<float> f16 = restored(quantized(viewOf(w, {7}), "f16"));
        QCOMPARE(f16[0], 0.0999755859375F);
        QCOMPARE(f16[1], -65504.0F); // finite stays finite
        QCOMPARE(f16[2], 65504.0F);
        QVERIFY(std::isinf(f16[3]));
        QVERIFY(f16[4] > 0 && f16[4] < 2e-7F);
        QVERIFY(std::signbit(f16[5]));
        const std::vector<float> bf16 = restored(quantized(viewOf(w, {7}), "bf16"));
        QCOMPARE(bf16[2], 0x1.fep127F);
        const std::vector<float> nan{std::numeric_limits<float>::quiet_NaN()};
        QVERIFY(std::isnan(restored(quantized(viewOf(nan, {1}), "bf16"))[0]));
        const QuantizeTask keep{viewOf(w, {7}), parseScheme("keep").value(), {}, nullptr};
        const auto refused = quantize(keep, JobContext(sharedExecutor()));
        QVERIFY(!refused && refused.error().code == Errc::usage);
    }

    void restoreAsRoundsOnce()
    {
        const std::vector<float> w = normalSamples(7 * 9001, 14);
        const QuantizedTensor q = quantized(viewOf(w, {7, 9001}), "int4:g64");
        const std::vector<float> x = restored(q);
        const JobContext context(sharedExecutor());
        const Buffer f32 = restore(q, context).value();
        QVERIFY(std::memcmp(f32.data(), x.data(), x.size() * 4) == 0);
        const Buffer f16 = restoreAs(q, Dtype::f16, context).value();
        const Buffer bf16 = restoreAs(q, Dtype::bf16, context).value();
        for (std::size_t i = 0; i < x.size(); ++i) {
            QCOMPARE(f16.as<std::uint16_t>()[i], f16FromFloat(x[i]));
            QCOMPARE(bf16.as<std::uint16_t>()[i], bf16FromFloat(x[i]));
        }
        QVERIFY(!restoreAs(q, Dtype::f64, context));
    }

    void errorsAreTheObviousSums()
    {
        const std::vector<float> w = normalSamples(40 * 5000, 15);
        const TensorView view = viewOf(w, {40, 5000});
        const QuantizedTensor q = quantized(view, "int4:g128");
        const std::vector<float> x = restored(q);
        double squared = 0;
        double squares = 0;
        double largest = 0;
        for (std::size_t i = 0; i < x.size(); ++i) {
            const double difference = static_cast<double>(w[i]) - static_cast<double>(x[i]);
            squared += difference * difference;
            squares += static_cast<double>(w[i]) * static_cast<double>(w[i]);
            largest = std::max(largest, std::fabs(difference));
        }
        const ErrorStats error = measureError(view, q, JobContext(sharedExecutor())).value();
        QVERIFY(std::fabs(error.sumSquaredError / squared - 1) < 1e-12);
        QVERIFY(std::fabs(error.sumSquares / squares - 1) < 1e-12);
        QCOMPARE(error.maxAbsError, largest);
        QCOMPARE(error.count, static_cast<std::int64_t>(w.size()));
        const ErrorStats none = measureError(view, quantized(view, "f32"), JobContext(sharedExecutor())).value();
        QVERIFY(std::isinf(none.sqnrDb()) && none.sqnrDb() > 0);
        QVERIFY(!measureError(viewOf(w, {5000, 40}), q, JobContext(sharedExecutor())));
    }

    void stops()
    {
        const std::vector<float> w = normalSamples(600 * 1000, 16);
        std::stop_source source;
        source.request_stop();
        const JobContext context(sharedExecutor(), source.get_token());
        for (const char* scheme : {"int4:g128", "int4:tensor", "nvfp4", "bf16"}) {
            const QuantizeTask task{viewOf(w, {600, 1000}), parseScheme(scheme).value(), {}, nullptr};
            const auto result = quantize(task, context);
            QVERIFY(!result && result.error().code == Errc::cancelled);
        }
        Progress progress;
        const JobContext counted(sharedExecutor(), {}, &progress);
        const QuantizeTask task{viewOf(w, {600, 1000}), parseScheme("int4:tensor").value(), {}, nullptr};
        QVERIFY(quantize(task, counted).has_value());
        QVERIFY(progress.fraction() > 0.99);
        const JobContext tight(sharedExecutor(), {}, nullptr, 1000);
        const auto tooBig = quantize(task, tight);
        QVERIFY(!tooBig && tooBig.error().code == Errc::outOfMemory);
    }
};

QTEST_APPLESS_MAIN(EverySchemeTest)
#include "every_scheme_test.moc"
