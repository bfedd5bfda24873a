// SPDX-License-Identifier: GPL-3.0-or-later
// Scales of second order and codes in planes: ZeroQuant-FP's M2, BitMoD with int8 scales, FP6-LLM's 4 + 2 bits.
#include "core/formats/matrix_format.h"
#include "core/tensor/half.h"
#include "tests/support/acceptance.h"
#include "tests/support/quantize_support.h"

#include <array>
#include <cmath>
#include <set>

using namespace ql;
using namespace ql::tests;

namespace {

/// 256 rows of 4096 of N(0, 1).
const std::vector<float>& million()
{
    static const std::vector<float> kValues = [] {
        const CounterRng rng(7);
        std::vector<float> values(1 << 20);
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = static_cast<float>(rng.normal(i));
        return values;
    }();
    return kValues;
}

double qsnr(const std::string& scheme, const std::string& spec = "rtn")
{
    const TensorView view = viewOf(million(), {256, 4096});
    return measureError(view, quantized(view, scheme, spec), JobContext(sharedExecutor())).value().sqnrDb();
}

double bitsPerWeight(const char* scheme, std::int64_t rows = 4096, std::int64_t cols = 4096)
{
    return static_cast<double>(payloadBits(parseScheme(scheme).value(), rows, cols)) / static_cast<double>(rows * cols);
}

float f16At(const std::byte* bytes)
{
    std::uint16_t bits = 0;
    std::memcpy(&bits, bytes, sizeof bits);
    return floatFromF16(bits);
}

} // namespace

class ScaleLayoutsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    /// Which powers of two times FP4 levels are FP8 values, by all of them.
    void shiftsThatStayFp8()
    {
        const auto least = [](const char* format) {
            const auto& levels = findNumberFormat(format).value()->grid.levels;
            const std::set<float> known(levels.begin(), levels.end());
            int first = 99;
            int last = -99;
            for (int k = -30; k <= 30; ++k) {
                bool all = true;
                for (const float level : findNumberFormat("e2m1").value()->grid.levels)
                    all = all && known.contains(std::ldexp(level, k));
                if (all) {
                    first = std::min(first, k);
                    last = std::max(last, k);
                }
            }
            return std::pair(first, last);
        };
        QL_HOLDS("A5", "E2M1·2^k are E4M3 values just for k = −8…6", least("fp8_e4m3") == std::pair(-8, 6));
        QL_HOLDS("A5", "E2M1·2^k are E5M2 values just for k = −15…13", least("fp8_e5m2") == std::pair(-15, 13));
    }

    void shiftedRowsAreFp8()
    {
        std::vector<float> w = normalSamples(16 * 1000, 31);
        for (std::size_t i = 3000; i < 3200; ++i)
            w[i] *= 1e-6F; // beyond every shift there is
        const QuantizedTensor q = quantized(viewOf(w, {16, 1000}), "e2m1:g100:s=pow2");
        const std::vector<float> x = restored(q);
        const auto& levels = findNumberFormat("fp8_e4m3").value()->grid.levels;
        const std::set<float> known(levels.begin(), levels.end());
        bool all = true;
        for (std::int64_t r = 0; r < 16; ++r) {
            const float scale = f16At(q.codes.data() + 16 * (500 + 5) + 2 * r);
            for (std::int64_t c = 0; c < 1000; ++c)
                all = all && known.contains(x[static_cast<std::size_t>(1000 * r + c)] / scale);
        }
        QL_HOLDS("A5", "weights over the row's scale are FP8 E4M3 values (M2)", all);
        const QuantizedTensor plain = quantized(viewOf(w, {16, 1000}), "e2m1:g100:s=e8m0");
        const std::vector<float> m1 = restored(plain);
        for (std::int64_t r = 0; r < 16; ++r) { // M1: over the largest of the row's powers of two
            const float most = *std::max_element(plain.scales.begin() + 10 * r, plain.scales.begin() + 10 * (r + 1));
            for (std::int64_t c = 0; c < 1000; ++c)
                if (plain.scales[static_cast<std::size_t>(10 * r + c / 100)] >= most / 256)
                    all = all && known.contains(m1[static_cast<std::size_t>(1000 * r + c)] / most);
        }
        QL_HOLDS("A5", "weights over the largest scale are FP8 E4M3 values (M1)", all);
    }

    void shiftRules_data()
    {
        QTest::addColumn<QByteArray>("scheme");
        QTest::addColumn<QByteArray>("spec");
        QTest::addColumn<double>("expected");
        QTest::addColumn<double>("tolerance");
        // Where few scales round together, a million weights say the second digit only to ±0.03.
        const auto row = [](const char* scheme, const char* spec, double expected, double tolerance = 0.05) {
            QTest::addRow("%s@%s", scheme, spec) << QByteArray(scheme) << QByteArray(spec) << expected << tolerance;
        };
        row("e2m1:g128", "rtn", 19.26);
        row("int4:g128:restricted", "rtn", 18.62);
        row("e2m1:g128:s=e8m0", "rtn", 18.07);
        row("e2m1:g128:s=pow2", "rtn", 18.51);
        row("e2m1:g128:s=pow2", "rtn:round", 18.40);
        row("e2m1:g128:s=pow2", "rtn:ocp", 16.15, 0.08);
        row("e2m1:g256", "rtn", 19.07, 0.08);
        row("int4:g256:restricted", "rtn", 17.96, 0.08);
        row("e2m1:g256:s=e8m0", "rtn", 17.45, 0.08);
        row("e2m1:g256:s=pow2", "rtn", 18.50);
        row("e2m1:g256:s=pow2", "rtn:round", 18.49);
        row("e2m1:g256:s=pow2", "rtn:ocp", 16.30, 0.08);
    }
    void shiftRules()
    {
        QFETCH(QByteArray, scheme);
        QFETCH(QByteArray, spec);
        QFETCH(double, expected);
        QFETCH(double, tolerance);
        const QByteArray what = "SQNR in dB of " + scheme + "@" + spec + ", N(0,1)";
        QL_NEAR("A5", what.constData(), qsnr(scheme.toStdString(), spec.toStdString()), expected, tolerance);
    }

    /// Codes, powers and scales read by hand; no power smaller would do without clipping.
    void shiftsByHand()
    {
        const std::vector<float> w = normalSamples(6 * 450, 32);
        for (const auto& [scheme, bits] : {std::pair("e2m1:g64:s=pow2", 4), std::pair("int4:g64:s=pow2", 4),
                                           std::pair("e3m2:g64:s=pow2", 6), std::pair("int3:g64:s=pow2", 3)}) {
            const QuantizedTensor q = quantized(viewOf(w, {6, 450}), scheme);
            const std::vector<float> x = restored(q);
            const NumberFormat& element =
                **findNumberFormat(std::string_view(scheme).substr(0, std::string_view(scheme).find(':')));
            const std::int64_t codeRow = (450 * bits + 7) / 8;
            QCOMPARE(q.codes.sizeBytes(), 6 * (codeRow + 4 + 2));
            for (std::int64_t r = 0; r < 6; ++r)
                for (std::int64_t c = 0; c < 450; ++c) {
                    unsigned code = 0;
                    for (std::int64_t b = 0; b < bits; ++b) {
                        const std::int64_t at = c * bits + b;
                        code |= (static_cast<unsigned>(q.codes.data()[r * codeRow + at / 8]) >> (at % 8) & 1U) << b;
                    }
                    const std::int64_t g = c / 64;
                    const auto pair = static_cast<unsigned>(q.codes.data()[6 * codeRow + r * 4 + g / 2]);
                    const unsigned k = g % 2 == 0 ? pair & 15U : pair >> 4U;
                    const float scale =
                        std::ldexp(f16At(q.codes.data() + 6 * (codeRow + 4) + 2 * r), -static_cast<int>(k));
                    const auto i = static_cast<std::size_t>(450 * r + c);
                    QCOMPARE(x[i], element.levels[code] * scale);
                    QVERIFY(std::fabs(w[i]) <= element.maxLevel * scale * 1.001F); // f16 of the row's scale
                    for (const float level : element.grid.levels)
                        if (level != element.grid.levels.front() || !element.hasNegativeExtreme)
                            QVERIFY(std::fabs(w[i] - x[i]) <= std::fabs(w[i] - level * scale) * 1.00001F);
                }
        }
        QL_NEAR("A5", "bits a weight of e2m1:g128:s=pow2, 4096²", bitsPerWeight("e2m1:g128:s=pow2"),
                4 + 4 / 128.0 + 16 / 4096.0, 0);
    }

    void shiftTexts()
    {
        for (const char* text : {"fp8_e4m3:g128:s=pow2", "nf4:g128:s=pow2", "mxint8:g32:s=pow2", "e2m1:s=pow2",
                                 "e2m1:g0:s=pow2", "int4:g128:asym:s=pow2", "e5m2:g128:s=pow2"})
            QVERIFY2(!parseScheme(text), text);
        const auto accepts = [](const char* scheme, const char* spec) {
            const QuantizerSpec parsed = parseQuantizerSpec(spec).value();
            return findQuantizer(parsed.id).value()->accepts(parseScheme(scheme).value(), parsed).has_value();
        };
        QVERIFY(accepts("int4:g32:s=pow2", "rtn:round") && accepts("int4:g32:s=pow2", "rtn:ocp"));
        QVERIFY(!accepts("int4:g32:s=pow2", "rtn:ct") && !accepts("fairy2i2", "rtn:ocp"));
    }

    // BitMoD with 8-bit scales.
    void bitmodRows()
    {
        const std::vector<float> w = normalSamples(5 * 600, 33);
        for (const auto& [scheme, bits] : {std::pair("bitmod3:s=int8", 3), std::pair("bitmod4:s=int8", 4)}) {
            const QuantizedTensor q = quantized(viewOf(w, {5, 600}), scheme);
            const std::vector<float> x = restored(q);
            const std::vector<float> base =
                bits == 3 ? std::vector<float>{0, 1, 2, 4} : std::vector<float>{0, 1, 2, 3, 4, 6, 8, 12};
            const std::array<float, 4> special =
                bits == 3 ? std::array<float, 4>{3, -3, 6, -6} : std::array<float, 4>{10, -10, 16, -16};
            const std::int64_t codeRow = 600 * bits / 8;
            QCOMPARE(q.codes.sizeBytes(), 5 * (codeRow + 5 + 2 + 2));
            const std::byte* scales = q.codes.data() + 5 * codeRow;
            for (std::int64_t r = 0; r < 5; ++r)
                for (std::int64_t c = 0; c < 600; ++c) {
                    const std::int64_t g = c / 128;
                    const unsigned k = static_cast<unsigned>(scales[5 * 5 + r * 2 + g / 4]) >> (2 * (g % 4)) & 3U;
                    const float scale =
                        f16At(scales + 5 * 7 + 2 * r) * static_cast<float>(static_cast<unsigned>(scales[r * 5 + g]));
                    unsigned code = 0;
                    for (std::int64_t b = 0; b < bits; ++b) {
                        const std::int64_t at = c * bits + b;
                        code |= (static_cast<unsigned>(q.codes.data()[r * codeRow + at / 8]) >> (at % 8) & 1U) << b;
                    }
                    const unsigned half = 1U << (bits - 1);
                    const float level = code == half ? special[k] : code < half ? base[code] : -base[code - half];
                    QCOMPARE(x[static_cast<std::size_t>(600 * r + c)], level * scale);
                }
        }
        // 8-bit scales cost little: groups' scales lie within a factor of two or so of each other.
        QL_NEAR("B4", "SQNR in dB of bitmod3 with 8-bit scales, N(0,1), g = 128", qsnr("bitmod3:s=int8"), 14.20, 0.1);
        QL_NEAR("B4", "SQNR in dB of bitmod4 with 8-bit scales, N(0,1), g = 128", qsnr("bitmod4:s=int8"), 20.18, 0.1);
        QL_NEAR("B4", "bits a weight of bitmod4 with 8-bit scales, 4096²", bitsPerWeight("bitmod4:s=int8"),
                4 + 10 / 128.0 + 16 / 4096.0, 0);
        QL_NEAR("B4", "bits a weight of bitmod3 with 8-bit scales, 4096²", bitsPerWeight("bitmod3:s=int8"),
                3 + 10 / 128.0 + 16 / 4096.0, 0);
    }

    // FP6 in planes.
    void planesAreTheScheme_data()
    {
        QTest::addColumn<QByteArray>("element");
        for (const char* element : {"e3m2", "e2m3", "e2m2", "e3m1", "e4m1", "e4m0"})
            QTest::newRow(element) << QByteArray(element);
    }
    void planesAreTheScheme()
    {
        QFETCH(QByteArray, element);
        for (const std::int64_t cols : {128, 131}) {
            const std::vector<float> w = normalSamples(9 * cols, 34);
            const std::string id = element.toStdString();
            QVERIFY(sameBits(restored(quantized(viewOf(w, {9, cols}), id + ":planes")),
                             restored(quantized(viewOf(w, {9, cols}), id + ":s=f16"))));
        }
    }

    /// Every code put into planes by hand restores to its level: shifting the bias, subnormals included, is the table.
    void planesDecodeEveryCode()
    {
        for (const auto& [text, highBits] : {std::pair("e3m2", 2), std::pair("e2m3", 2), std::pair("e2m2", 1),
                                             std::pair("e3m1", 1), std::pair("e4m1", 2), std::pair("e4m0", 1)}) {
            const NumberFormat& element = **findNumberFormat(text);
            const std::int64_t codes = std::int64_t{1} << element.bits;
            const std::int64_t highRow = codes * highBits / 8;
            std::vector<std::byte> bytes(static_cast<std::size_t>(highRow + codes / 2 + 2));
            for (std::int64_t code = 0; code < codes; ++code) {
                const auto value = static_cast<unsigned>(code);
                const std::int64_t at = code * highBits;
                bytes[static_cast<std::size_t>(at / 8)] |=
                    static_cast<std::byte>(value >> 4U << (8 - highBits - at % 8));
                bytes[static_cast<std::size_t>(highRow + code / 2)] |=
                    static_cast<std::byte>((value & 15U) << (code % 2 == 0 ? 4 : 0));
            }
            const std::uint16_t one = f16FromFloat(1);
            std::memcpy(bytes.data() + highRow + codes / 2, &one, sizeof one);
            std::vector<float> x(static_cast<std::size_t>(codes));
            findMatrixFormat(std::string(text) + ":planes")->restore(bytes.data(), {1, codes}, 0, codes, x.data());
            bool same = true;
            bool halves = true;
            for (std::size_t code = 0; code < x.size(); ++code) {
                same = same && x[code] == element.levels[code];
                halves = halves && floatFromF16(f16FromFloat(x[code])) == x[code];
            }
            QL_HOLDS("B5",
                     (std::string("every code of ") + text + " decodes by shifting the bias to its level").c_str(),
                     same && halves);
        }
    }

    void planesPackAndUnpack()
    {
        // Weights that are the levels themselves come back, whatever the number of columns.
        const auto& levels = findNumberFormat("e3m2").value()->levels;
        bool all = true;
        for (std::int64_t cols = 4; cols <= 260; cols += 4) {
            std::vector<float> w(static_cast<std::size_t>(cols));
            for (std::size_t i = 0; i < w.size(); ++i)
                w[i] = levels[i * 37 % 64] * 0x1p-4F;
            w[1] = 28 * 0x1p-4F;
            const std::vector<float> x = restored(quantized(viewOf(w, {1, cols}), "e3m2:planes"));
            for (std::size_t i = 0; i < w.size(); ++i)
                all = all && x[i] == w[i];
            all = all && payloadBits(parseScheme("e3m2:planes").value(), 7, cols) == 7 * (6 * cols + 16);
        }
        QL_HOLDS("B5", "4 + 2 planes: what is packed is unpacked, 0.75 bytes a weight, for every multiple of 4", all);
        // A subnormal level times the row's scale survives.
        const std::vector<float> w{28 * 0.001F, 0.0625F * 0.001F, -0.0625F * 0.001F, 0};
        const std::vector<float> x = restored(quantized(viewOf(w, {1, 4}), "e3m2:planes"));
        QL_HOLDS("B5", "0.0625·s survives", x[1] > 0 && x[2] == -x[1] && std::fabs(x[1] / w[1] - 1) < 1e-3F);
        QL_NEAR("B5", "bits a weight of rows of 4096", bitsPerWeight("e3m2:planes"), 6 + 16 / 4096.0, 0);
    }

    void planesReachThePublishedErrors()
    {
        QL_NEAR("B5", "QSNR in dB of E3M2, N(0,1), rows of 4096", qsnr("e3m2:planes"), 25.57, 0.1);
        QL_NEAR("B5", "QSNR in dB of E2M3, N(0,1), rows of 4096", qsnr("e2m3:planes"), 30.89, 0.1);
        QL_NEAR("B5", "QSNR in dB of INT4 with zero points, N(0,1), g = 128", qsnr("int4:g128:asym"), 19.95, 0.1);
        QL_NEAR("B5", "QSNR in dB of INT6, N(0,1), rows of 4096", qsnr("int6:restricted"), 29.00, 0.1);
    }

    // Fixed point.
    void fixedPointCasts()
    {
        std::vector<float> w = normalSamples(40 * 100, 35, 0.7);
        const TensorView view = viewOf(w, {40, 100});
        bool wraps = true;
        bool idempotent = true;
        for (const auto& [scheme, word] : {std::pair("fixed4", 4), std::pair("fixed6", 6), std::pair("fixed8", 8)})
            for (const int f : {-1, 2, 5})
                for (const char* overflow : {"wrap", "saturate"})
                    for (const char* rounding : {"nearest", "down"}) {
                        const std::string spec =
                            "fixed_point:f=" + std::to_string(f) + ":overflow=" + overflow + ":rounding=" + rounding;
                        const QuantizedTensor q = quantized(view, scheme, spec);
                        QCOMPARE(q.scales[0], std::ldexp(1.0F, -f));
                        const std::vector<float> x = restored(q);
                        // By the bits of the word.
                        for (std::size_t i = 0; i < w.size(); ++i) {
                            const double scaled = std::ldexp(static_cast<double>(w[i]), f);
                            const auto whole = static_cast<std::int64_t>(
                                std::string_view(rounding) == "down" ? std::floor(scaled) : std::nearbyint(scaled));
                            const std::int64_t half = std::int64_t{1} << (word - 1);
                            std::int64_t code = std::clamp(whole, -half, half - 1);
                            if (std::string_view(overflow) == "wrap") {
                                const std::uint64_t bits =
                                    static_cast<std::uint64_t>(whole) & static_cast<std::uint64_t>(2 * half - 1);
                                code = static_cast<std::int64_t>(bits) -
                                       (bits >= static_cast<std::uint64_t>(half) ? 2 * half : 0);
                            }
                            QCOMPARE(x[i], std::ldexp(static_cast<float>(code), -f));
                        }
                        idempotent = idempotent && sameBits(restored(quantized(viewOf(x, {40, 100}), scheme, spec)), x);
                        if (std::string_view(overflow) != "wrap")
                            continue;
                        std::vector<float> turned(x);
                        for (float& value : turned)
                            value += std::ldexp(1.0F, word - f); // exact
                        wraps = wraps && sameBits(restored(quantized(viewOf(turned, {40, 100}), scheme, spec)), x);
                    }
        QL_HOLDS("C20", "casting twice is casting once", idempotent);
        QL_HOLDS("C20", "cast(x + 2^(w − f)) = cast(x) where overflow wraps", wraps);
        // The f that is found is no worse than its neighbours, nor than any other.
        for (const char* scheme : {"fixed4", "fixed6", "fixed8"}) {
            const QuantizedTensor q = quantized(view, scheme, "fixed_point");
            const int f = -std::ilogb(q.scales[0]);
            const double best = squaredError(view, q);
            double around = std::numeric_limits<double>::infinity();
            for (int other = f - 6; other <= f + 6; ++other)
                around = std::min(
                    around, squaredError(view, quantized(view, scheme, "fixed_point:f=" + std::to_string(other))));
            QL_AT_MOST("C20", (std::string("error of the f found over that of any other, ") + scheme).c_str(),
                       best / around, 1.0);
        }
        w.assign(4000, 0);
        QVERIFY(sameBits(restored(quantized(view, "fixed8", "fixed_point")), w));
        for (const char* other : {"int8", "int8:tensor", "mxint8", "int8:g32:s=e8m0", "e4m3:tensor:s=e8m0"})
            QVERIFY2(!findQuantizer("fixed_point")
                          .value()
                          ->accepts(parseScheme(other).value(), parseQuantizerSpec("fixed_point").value()),
                     other);
    }

    // ABQ-LLM's bit balance.
    void balancedBits()
    {
        QL_NEAR("C8", "SQNR in dB of 2 bits with a zero point, N(0,1), rows of 4096", qsnr("int2:asym"), 3.41, 0.2);
        QL_NEAR("C8", "SQNR in dB of balanced 2 bits, the best range", qsnr("balanced2", "mse"), 10.75, 0.15);
        QL_NEAR("C8", "SQNR in dB of 2 bits −2…1, the best range", qsnr("int2", "mse"), 8.21, 0.2);
        const auto& levels = findNumberFormat("balanced2").value()->grid.levels;
        bool symmetric = levels.size() == 5;
        for (std::size_t i = 0; symmetric && i < levels.size(); ++i)
            symmetric = levels[i] == -levels[levels.size() - 1 - i];
        QL_HOLDS("C8", "the balanced grid is its own mirror image", symmetric);
    }
};

QTEST_APPLESS_MAIN(ScaleLayoutsTest)
#include "scale_layouts_test.moc"
