// SPDX-License-Identifier: GPL-3.0-or-later
// Walks every number format over all its codes, and compares the loops of ElementCoder with the obvious search.
#include "core/base/rng.h"
#include "core/formats/element_coder.h"
#include "tests/support/acceptance.h"
#include "tests/support/vector_targets.h"

#include <QSet>

#include <cmath>
#include <limits>

using namespace ql;
using namespace ql::tests;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

bool hasLevels(const NumberFormat& format)
{
    return format.kind != FormatKind::cast && format.kind != FormatKind::keep && format.kind != FormatKind::packed;
}

/// The obvious search, in double: least distance, then the even code, then +0.
std::uint8_t bruteNearest(const NumberFormat& format, float x)
{
    const double value =
        std::isnan(x) ? 0.0 : static_cast<double>(std::clamp(x, -2 * format.maxLevel, 2 * format.maxLevel));
    std::size_t best = 0;
    double least = std::numeric_limits<double>::infinity();
    for (std::size_t i = 0; i < format.grid.levels.size(); ++i) {
        const double distance = std::fabs(static_cast<double>(format.grid.levels[i]) - value);
        bool isNearer = distance < least;
        if (distance == least) { // or no nearer than double can say: the middle of both is exact
            const double past = 2 * value - (static_cast<double>(format.grid.levels[best]) +
                                             static_cast<double>(format.grid.levels[i]));
            isNearer = past > 0 || (past == 0 && format.grid.codes[i] % 2 == 0);
        }
        if (isNearer) {
            least = distance;
            best = i;
        }
    }
    return format.grid.codes[best];
}

/// Levels, middles of neighbours, the floats beside both, random values over the range and beyond.
std::vector<float> probes(const NumberFormat& format)
{
    std::vector<float> values{0.0F, -0.0F, kInf, -kInf, kNan, 0x1p-149F, -0x1p-149F, 3e38F, -3e38F};
    const auto around = [&](float x) {
        values.insert(values.end(), {x, std::nextafter(x, -kInf), std::nextafter(x, kInf)});
    };
    const auto& levels = format.grid.levels;
    for (std::size_t i = 0; i < levels.size(); ++i) {
        around(levels[i]);
        if (i > 0)
            around(static_cast<float>((static_cast<double>(levels[i - 1]) + static_cast<double>(levels[i])) / 2));
    }
    const CounterRng rng(static_cast<std::uint64_t>(format.bits));
    for (std::uint64_t i = 0; i < 20'000; ++i)
        values.push_back(static_cast<float>((2 * rng.uniform(i) - 1) * static_cast<double>(format.maxLevel) * 1.2));
    for (std::uint64_t i = 0; i < 5'000; ++i) // all magnitudes
        values.push_back(static_cast<float>((i % 2 ? 1 : -1) * static_cast<double>(format.maxLevel) *
                                            std::exp2(-40 * rng.uniform(i + 100'000))));
    return values;
}

} // namespace

class EveryFormatTest : public QObject {
    Q_OBJECT
private:
    static void eachFormat()
    {
        QTest::addColumn<QByteArray>("id");
        for (const FormatFamily* family : allFormatFamilies())
            for (const std::string& id : family->instances())
                QTest::newRow(id.c_str()) << QByteArray::fromStdString(id);
    }

    static void loopsEqualTheSearch(const NumberFormat& format)
    {
        const Scheme scheme = parseScheme(format.id + ":tensor").value();
        const ElementCoder coder(scheme);
        const std::vector<float> values = probes(format);
        const auto n = static_cast<std::int64_t>(values.size());
        for (const float scale : {1.0F, 0.37F, -3.0F, 0x1p-20F}) {
            if (scale < 0 && format.kind != FormatKind::integer)
                continue;
            std::vector<float> scaled(values);
            for (float& w : scaled)
                w *= scale;
            std::vector<std::uint8_t> codes(values.size());
            encodeRun(coder, {scale, 0, 0}, scaled.data(), n, codes.data());
            std::vector<float> restored(values.size());
            decodeRun(coder, {scale, 0, 0}, codes.data(), n, restored.data());
            double expectedError = 0;
            std::vector<float> finite;
            const auto mask = static_cast<std::uint8_t>((1U << static_cast<unsigned>(format.bits)) - 1);
            for (std::size_t i = 0; i < values.size(); ++i) {
                const std::uint8_t expected = nearestCode(format, scaled[i] / scale);
                if ((codes[i] & mask) != expected)
                    QFAIL(qPrintable(QStringLiteral("%1 / %2")
                                         .arg(static_cast<double>(scaled[i]), 0, 'g', 9)
                                         .arg(static_cast<double>(scale))));
                QCOMPARE(restored[i], format.levels[expected] * scale);
                if (std::isfinite(scaled[i]) && std::fabs(scaled[i]) < 1e18F) {
                    finite.push_back(scaled[i]); // beyond, one element would drown the others
                    expectedError += std::pow(static_cast<double>(scaled[i]) - static_cast<double>(restored[i]), 2);
                }
            }
            const double error =
                squaredErrorOfRun(coder, {scale, 0, 0}, finite.data(), static_cast<std::int64_t>(finite.size()));
            QVERIFY(std::fabs(error - expectedError) <= 1e-12 * expectedError);
            // Any length and start: the vector loops' tails.
            for (std::int64_t length = 0; length < 40; ++length) {
                std::vector<std::uint8_t> part(static_cast<std::size_t>(length) + 1, 0xa5);
                encodeRun(coder, {scale, 0, 0}, scaled.data() + 11, length, part.data());
                QVERIFY(std::equal(part.begin(), part.end() - 1, codes.begin() + 11));
                QCOMPARE(part.back(), std::uint8_t{0xa5});
                std::vector<float> partRestored(static_cast<std::size_t>(length) + 1, 77.0F);
                decodeRun(coder, {scale, 0, 0}, part.data(), length, partRestored.data());
                QVERIFY(std::equal(partRestored.begin(), partRestored.end() - 1, restored.begin() + 11));
                QCOMPARE(partRestored.back(), 77.0F);
            }
        }
    }

private Q_SLOTS:
    void isWhatItSays_data() { eachFormat(); }
    void isWhatItSays()
    {
        QFETCH(QByteArray, id);
        const NumberFormatPtr format = findNumberFormat(id.toStdString()).value();
        QCOMPARE(format->id, id.toStdString());
        QVERIFY(!format->title.empty() && !format->source.empty());
        if (!hasLevels(*format)) {
            QVERIFY(format->levels.empty());
            return;
        }
        if (format->kind == FormatKind::codebook) // no bit more than numbering them takes
            QVERIFY(format->levels.size() <= std::size_t{1} << format->bits &&
                    (format->bits == 1 || format->levels.size() > std::size_t{1} << (format->bits - 1)));
        else
            QCOMPARE(format->levels.size(), std::size_t{1} << format->bits);
        QCOMPARE(format->hasZero(), std::ranges::count(format->levels, 0.0F) > 0);
        QCOMPARE(format->grid.levels.size(), format->grid.codes.size());
        for (std::size_t i = 1; i < format->grid.levels.size(); ++i)
            QVERIFY(format->grid.levels[i - 1] < format->grid.levels[i]);
        float largest = -kInf;
        for (const float level : format->levels)
            if (std::isfinite(level))
                largest = std::max(largest, level);
        QCOMPARE(format->maxLevel, largest);
        QCOMPARE(format->hasNegativeExtreme, format->grid.levels.front() < -format->maxLevel);
    }

    void everyCodeRoundTrips_data() { eachFormat(); }
    void everyCodeRoundTrips()
    {
        QFETCH(QByteArray, id);
        const NumberFormatPtr format = findNumberFormat(id.toStdString()).value();
        if (!hasLevels(*format))
            QSKIP("no levels");
        for (std::size_t code = 0; code < format->levels.size(); ++code) {
            const float level = format->levels[code];
            const std::uint8_t back = nearestCode(*format, level);
            if (std::isfinite(level)) {
                QCOMPARE(format->levels[back], level);
                if (level != 0)
                    QCOMPARE(std::size_t{back}, code);
                else
                    QVERIFY(!std::signbit(format->levels[back]));
            }
        }
        if (format->hasZero())
            QCOMPARE(format->levels[nearestCode(*format, kNan)], 0.0F);
        else // the least positive one
            QCOMPARE(format->levels[nearestCode(*format, kNan)], *std::ranges::upper_bound(format->grid.levels, 0.0F));
        QCOMPARE(format->levels[nearestCode(*format, kInf)], format->maxLevel);
        QCOMPARE(format->levels[nearestCode(*format, -kInf)], format->grid.levels.front());
    }

    void nearestIsNearest_data() { eachFormat(); }
    void nearestIsNearest()
    {
        QFETCH(QByteArray, id);
        const NumberFormatPtr format = findNumberFormat(id.toStdString()).value();
        if (!hasLevels(*format))
            QSKIP("no levels");
        std::vector<float> values = probes(*format);
        for (const float x : values)
            if (nearestCode(*format, x) != bruteNearest(*format, x))
                QFAIL(qPrintable(QStringLiteral("%1").arg(static_cast<double>(x), 0, 'g', 9)));
        std::erase_if(values, [](float x) { return std::isnan(x); });
        std::sort(values.begin(), values.end());
        float last = -kInf;
        for (const float x : values) {
            const float level = format->levels[nearestCode(*format, x)];
            QVERIFY(level >= last);
            last = level;
        }
    }

    void loopsEqualTheSearch_data() { eachFormat(); }
    void loopsEqualTheSearch()
    {
        QFETCH(QByteArray, id);
        const NumberFormatPtr format = findNumberFormat(id.toStdString()).value();
        if (!hasLevels(*format))
            QSKIP("no levels");
        QSet<QByteArray> targets;
        test::forEachVectorTarget([&](const std::string& target) {
            targets.insert(QByteArray::fromStdString(target));
            loopsEqualTheSearch(*format);
        });
        QVERIFY(!targets.isEmpty());
    }
    void codesDecodeToLevels_data() { eachFormat(); }
    void codesDecodeToLevels()
    {
        QFETCH(QByteArray, id);
        const NumberFormatPtr format = findNumberFormat(id.toStdString()).value();
        if (!hasLevels(*format))
            QSKIP("no levels");
        const ElementCoder coder(parseScheme(id.toStdString() + ":tensor").value());
        std::vector<std::uint8_t> codes(format->levels.size());
        const bool isInteger = format->kind == FormatKind::integer;
        for (std::size_t i = 0; i < codes.size(); ++i) // integers are stored sign-extended
            codes[i] = static_cast<std::uint8_t>(isInteger && i >= codes.size() / 2 ? i - codes.size() : i);
        std::vector<float> out(codes.size());
        decodeRun(coder, {1, 0, 0}, codes.data(), static_cast<std::int64_t>(codes.size()), out.data());
        for (std::size_t i = 0; i < codes.size(); ++i) {
            if (std::isnan(format->levels[i]))
                QVERIFY(std::isnan(out[i]));
            else
                QCOMPARE(out[i], format->levels[i]);
        }
    }

    void publishedLevels()
    {
        const auto positives = [](const char* id) {
            std::vector<float> levels;
            const NumberFormatPtr format = findNumberFormat(id).value();
            for (const float level : format->grid.levels)
                if (level > 0)
                    levels.push_back(level);
            return levels;
        };
        const auto are = [&](const char* section, const char* id, const std::vector<float>& levels) {
            QL_HOLDS(section, std::string("positive levels of ") + id, positives(id) == levels);
        };
        are("B3", "e2m0", (std::vector<float>{1, 2, 4}));
        are("B3", "e1m1", (std::vector<float>{1, 2, 3}));
        are("C1", "e2m1", (std::vector<float>{.5F, 1, 1.5F, 2, 3, 4, 6}));
        are("B3", "e1m2", (std::vector<float>{.5F, 1, 1.5F, 2, 2.5F, 3, 3.5F}));
        are("B3", "e3m0", (std::vector<float>{.25F, .5F, 1, 2, 4, 8, 16}));
        are("B3", "e2m2", (std::vector<float>{.25F, .5F, .75F, 1, 1.25F, 1.5F, 1.75F, 2, 2.5F, 3, 3.5F, 4, 5, 6, 7}));
        are("B3", "e3m1", (std::vector<float>{.125F, .25F, .375F, .5F, .75F, 1, 1.5F, 2, 3, 4, 6, 8, 12, 16, 24}));
        std::vector<float> e3m2{1 / 16.0F, 1 / 8.0F, 3 / 16.0F};
        for (int p = -2; p <= 4; ++p)
            for (const float m : {1.0F, 1.25F, 1.5F, 1.75F})
                e3m2.push_back(std::ldexp(m, p));
        are("C1", "e3m2", e3m2);
        std::vector<float> e2m3;
        for (int m = 1; m < 8; ++m)
            e2m3.push_back(static_cast<float>(m) / 8);
        for (int p = 0; p <= 2; ++p)
            for (int m = 0; m < 8; ++m)
                e2m3.push_back(std::ldexp(1 + static_cast<float>(m) / 8, p));
        are("C1", "e2m3", e2m3);
        const auto distinct = [](const char* id) { return findNumberFormat(id).value()->grid.levels.size(); };
        QL_NEAR("C1", "distinct values of fp8_e4m3", static_cast<double>(distinct("fp8_e4m3")), 253, 0);
        QL_NEAR("C1", "distinct values of fp8_e5m2", static_cast<double>(distinct("fp8_e5m2")), 247, 0);
        QL_NEAR("C1", "distinct values of e3m2", static_cast<double>(distinct("e3m2")), 63, 0);
        QL_NEAR("C1", "distinct values of e2m3", static_cast<double>(distinct("e2m3")), 63, 0);
        QL_NEAR("C1", "distinct values of e2m1", static_cast<double>(distinct("e2m1")), 15, 0);
        const auto largest = [](const char* id) { return findNumberFormat(id).value()->maxLevel; };
        QL_NEAR("B3", "largest value of fp8_e4m3", static_cast<double>(largest("fp8_e4m3")), 448.0, 0);
        QL_NEAR("B3", "largest value of fp8_e5m2", static_cast<double>(largest("fp8_e5m2")), 57344.0, 0);
        QL_NEAR("B3", "largest value of e4m3", static_cast<double>(largest("e4m3")), 480.0, 0);
        QL_NEAR("B3", "largest value of e5m2", static_cast<double>(largest("e5m2")), 114688.0, 0);
        QL_NEAR("C1", "largest value of mxint8", static_cast<double>(largest("mxint8")), 1.984375, 0);
        QCOMPARE(distinct("nf4"), std::size_t{16});
        are("C10", "ternary", (std::vector<float>{1}));
        are("B17", "binary", (std::vector<float>{1}));
        are("C8", "balanced2", (std::vector<float>{1, 2}));
        are("B4", "flint4", (std::vector<float>{1, 2, 3, 4, 6, 8, 16}));
        are("C18", "pot3", (std::vector<float>{1, 2, 4}));
        are("C18", "pot4", (std::vector<float>{1, 2, 4, 8, 16, 32, 64}));
        are("C18", "ds2", (std::vector<float>{1, 2}));
        are("C18", "ds3", (std::vector<float>{1, 2, 4, 8}));
        are("C18", "ds4", (std::vector<float>{1, 2, 4, 8, 16, 32, 64, 128}));
        are("C20", "khot3_1", (std::vector<float>{1, 2, 4}));
        are("C20", "khot4_2", (std::vector<float>{1, 2, 3, 4, 5, 6, 8, 9, 10, 12}));
        std::vector<float> all;
        for (int k = 1; k < 32; ++k)
            all.push_back(static_cast<float>(k));
        are("C20", "khot5_5", all); // all ones allowed: plain fixed point
        QCOMPARE(positives("levels(3, -1,0.1)"), (std::vector<float>{0.1F, 3}));
        QCOMPARE(distinct("binary"), std::size_t{2});
        QCOMPARE(distinct("ternary"), std::size_t{3});
        QCOMPARE(distinct("balanced7"), std::size_t{129});
        for (const auto& [id, magnitudes, bits] :
             {std::tuple("khot8_1", 9, 5), std::tuple("khot8_2", 37, 7), std::tuple("khot8_3", 93, 8)}) {
            QL_NEAR("C20", std::string("magnitudes of ") + id + ", 0 among them",
                    static_cast<double>(distinct(id) + 1) / 2, magnitudes, 0);
            QL_NEAR("C20", std::string("bits of ") + id, findNumberFormat(id).value()->bits, bits, 0);
        }
        for (const auto& [section, id] : {std::pair("C18", "ds2"),
                                          {"C18", "ds3"},
                                          {"C18", "ds4"},
                                          {"C18", "ds5"},
                                          {"C18", "ds6"},
                                          {"B17", "binary"}})
            QL_HOLDS(section, std::string(id) + " has no level 0", !findNumberFormat(id).value()->hasZero());
        for (const auto& [id, ratio] : {std::pair("ds2", 2.0), {"ds3", 8.0}, {"ds4", 128.0}})
            QL_NEAR("C18", std::string("largest over smallest magnitude of ") + id,
                    static_cast<double>(positives(id).back() / positives(id).front()), ratio, 0);
        // In the middle of k and 2k a third of what is rounded is lost.
        const NumberFormatPtr ds4 = findNumberFormat("ds4").value();
        double worst = 0;
        for (float x = 1; x <= 128; x = std::nextafter(x * 1.001F, kInf))
            for (const float y : {x, 1.5F * std::exp2(std::floor(std::log2(x)))})
                if (y <= 128)
                    worst = std::max(worst, static_cast<double>(std::fabs(ds4->levels[nearestCode(*ds4, y)] - y) / y));
        QL_NEAR("C18", "ds4: largest relative error within the range", worst, 1 / 3.0, 1e-6);
        for (int b = 2; b <= 8; ++b)
            for (int k = 1; k < 1 << (b - 1); ++k) // an exponent of 1: the integers
                QCOMPARE(positives(("pow" + std::to_string(b) + "_100").c_str())[static_cast<std::size_t>(k - 1)],
                         static_cast<float>(k));
    }

    /// All codes of the formats of 8 bits and less: decoded and coded again, and the nearest of 10⁶ values.
    void minifloatsExhaustively_data()
    {
        QTest::addColumn<QByteArray>("id");
        for (const char* id : {"e2m1", "e3m0", "e2m2", "e3m1", "e2m3", "e3m2", "e2m5", "e3m4", "e4m3", "e5m2",
                               "fp8_e4m3", "fp8_e5m2", "int8"})
            QTest::newRow(id) << QByteArray(id);
    }
    void minifloatsExhaustively()
    {
        QFETCH(QByteArray, id);
        const NumberFormatPtr format = findNumberFormat(id.toStdString()).value();
        const std::vector<float>& levels = format->levels;
        const char* section = format->bits == 8 ? "A4" : "B3";
        int kept = 0;
        int expected = 0;
        for (std::size_t code = 0; code < levels.size(); ++code)
            if (std::isfinite(levels[code]) && (levels[code] != 0 || !std::signbit(levels[code]))) {
                ++expected;
                kept += nearestCode(*format, levels[code]) == code ? 1 : 0;
            }
        QL_NEAR(section, id.toStdString() + ": codes that come back, of those with a number", kept, expected, 0);
        const CounterRng rng(41);
        constexpr int kValues = 1'000'000;
        int nearest = 0;
        std::vector<float> sorted = format->grid.levels;
        for (std::uint64_t i = 0; i < kValues; ++i) {
            const auto x =
                static_cast<float>((2 * rng.uniform(2 * i) - 1) * 1.1 * static_cast<double>(format->maxLevel) *
                                   (i % 2 ? std::exp2(-20 * rng.uniform(2 * i + 1)) : 1));
            // The level beside x on either side; a tie is settled by the even code.
            const auto above = std::ranges::lower_bound(sorted, x);
            const float high = above == sorted.end() ? sorted.back() : *above;
            const float low = above == sorted.begin() ? sorted.front() : *(above - 1);
            const double down = static_cast<double>(x) - static_cast<double>(low);
            const double up = static_cast<double>(high) - static_cast<double>(x);
            const std::uint8_t code = nearestCode(*format, x);
            const float least = std::fabs(down) < std::fabs(up) ? low : high;
            nearest += std::fabs(down) == std::fabs(up) && low != high ? code % 2 == 0 : levels[code] == least;
        }
        QL_NEAR(section, id.toStdString() + ": nearest by the table, of 10^6 values", nearest, kValues, 0);
    }

    void givenLevelsPrintAsTheyAre()
    {
        const auto idOf = [](const char* text) { return findNumberFormat(text).value()->id; };
        QCOMPARE(idOf("levels(1,-1)"), std::string("levels(-1,1)"));
        QCOMPARE(idOf("levels( 0.1 , -0 , 1e2, 1.5e-3)"), std::string("levels(0,0.0015,0.1,100)"));
        QCOMPARE(idOf(idOf("levels(0.333333343,-0.7,0.00000001)").c_str()),
                 std::string("levels(-0.7,0.00000001,0.33333334)"));
        std::string many = "levels(0";
        for (int i = 1; i < 256; ++i)
            many += "," + std::to_string(i) + ".5";
        QCOMPARE(findNumberFormat(many + ")").value()->bits, 8);
        for (const std::string text : {"levels()", "levels(1)", "levels(1,1)", "levels(-1,0)", "levels(1,nan)",
                                       "levels(1,inf)", "levels(1,x)", "levels(1,2", "levels(1,,2)", "levels(1,1e31)"})
            QVERIFY2(!findNumberFormat(text), text.c_str());
        QVERIFY(!findNumberFormat(many + ",777)"));
    }

    void unknownFormatsSayWhatThereIs_data()
    {
        QTest::addColumn<QByteArray>("id");
        QTest::addColumn<QByteArray>("hint");
        QTest::newRow("int9") << QByteArray("int9") << QByteArray("2…8 bits");
        QTest::newRow("int1") << QByteArray("int1") << QByteArray("2…8 bits");
        QTest::newRow("e9m9") << QByteArray("e9m9") << QByteArray("3…8 bits");
        QTest::newRow("e0m3") << QByteArray("e0m3") << QByteArray("x ≥ 1");
        QTest::newRow("fp8_e4m3fn") << QByteArray("fp8_e4m3fn") << QByteArray("fp8_e4m3,");
        QTest::newRow("balanced1") << QByteArray("balanced1") << QByteArray("balanced2…balanced7");
        QTest::newRow("ds7") << QByteArray("ds7") << QByteArray("ds2…ds6");
        QTest::newRow("khot9_1") << QByteArray("khot9_1") << QByteArray("khot<bits>");
        QTest::newRow("khot8_8") << QByteArray("khot8_8") << QByteArray("khot<bits>");
        QTest::newRow("pow4_5") << QByteArray("pow4_5") << QByteArray("pow<bits>");
        QTest::newRow("levels(1)") << QByteArray("levels(1)") << QByteArray("2…256");
        QTest::newRow("pot04") << QByteArray("pot04") << QByteArray("pot2…pot6");
        QTest::newRow("empty") << QByteArray("") << QByteArray("nf4");
        QTest::newRow("INT4") << QByteArray("INT4") << QByteArray("int2…int8");
    }
    void unknownFormatsSayWhatThereIs()
    {
        QFETCH(QByteArray, id);
        QFETCH(QByteArray, hint);
        const auto result = findNumberFormat(id.toStdString());
        QVERIFY(!result);
        QCOMPARE(result.error().code, Errc::usage);
        QVERIFY2(QByteArray::fromStdString(result.error().what).contains(hint), result.error().what.c_str());
    }
};

QTEST_APPLESS_MAIN(EveryFormatTest)
#include "every_format_test.moc"
