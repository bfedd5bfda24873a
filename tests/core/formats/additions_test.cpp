// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/activation_scheme.h"
#include "core/formats/additions.h"
#include "core/formats/payload_parts.h"
#include "core/formats/tensor_additions.h"

#include <QTest>

using namespace ql;

class AdditionsTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void textRoundTrips_data()
    {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<QByteArray>("printed");
        const auto row = [](const char* text, const char* printed) {
            QTest::newRow(text) << QByteArray(text) << QByteArray(printed);
        };
        row("int4:g128+lr8", "int4:g128+lr8");
        row("int4:g128+lr8:scaled", "int4:g128+lr8:scaled");
        row(" int4 : g128 + lr8 : scaled ", "int4:g128+lr8:scaled");
        row("int8:channel+cols16:over6", "int8+cols16:over6");
        row("int8+cols16:over6.0", "int8+cols16:over6");
        row("int8+cols1:over0.5", "int8+cols1:over0.5");
        row("int8+cols1:over99999", "int8+cols1:over99999");
        row("int3:g64+sparse1", "int3:g64+sparse1");
        row("int3:g64+sparse0.50", "int3:g64+sparse0.5");
        row("int3+sparse50+lr128", "int3+sparse50+lr128");
        row("gguf:q4_k+cols4+sparse0.45+lr2", "gguf:q4_k+cols4+sparse0.45+lr2");
        row("e2m1:g32:s=e8m0+lr1", "mxfp4+lr1");
        row("levels(-1,0,1e+0):g64+lr1", "levels(-1,0,1):g64+lr1");
    }
    void textRoundTrips()
    {
        QFETCH(QByteArray, text);
        QFETCH(QByteArray, printed);
        const auto scheme = parseScheme(text.toStdString());
        QVERIFY2(scheme.has_value(), scheme ? "" : scheme.error().what.c_str());
        QCOMPARE(printScheme(*scheme), printed.toStdString());
        QVERIFY(parseScheme(printScheme(*scheme)).value() == *scheme);
        QVERIFY(!(scheme->base() == *scheme) && scheme->base().additions.empty());
        QVERIFY(scheme->base() == parseScheme(printScheme(scheme->base())).value());
    }
    /// Every share with four decimals prints as it can be read.
    void sharesRoundTrip()
    {
        for (std::int64_t millionths = 1; millionths <= 500'000; millionths += millionths < 1000 ? 1 : 97) {
            const Additions additions{.sparseMillionths = millionths};
            const auto parsed = parseAdditions(printAdditions(additions), "int4");
            QVERIFY2(parsed && *parsed == additions, printAdditions(additions).c_str());
        }
    }

    void wrongTextsSayTheMend_data()
    {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<QByteArray>("hint");
        const auto row = [](const char* text, const char* hint) {
            QTest::newRow(text) << QByteArray(text) << QByteArray(hint);
        };
        row("int4+", "+cols<n>");
        row("int4+rank8", "+lr<r>");
        row("int4+lr", "rank from 1 to 128");
        row("int4+lr0", "rank from 1 to 128");
        row("int4+lr129", "rank from 1 to 128");
        row("int4+lr8:plain", ":scaled");
        row("int4+cols0", "+cols16");
        row("int4+cols-3", "+cols16");
        row("int4+cols8:over0", "α");
        row("int4+cols8:over100000", "99999");
        row("int4+cols8:overnan", "α");
        row("int4+cols8:6", ":over<α>");
        row("int4+sparse0", "0.0001 to 50");
        row("int4+sparse51", "0.0001 to 50");
        row("int4+sparse0.00001", "four decimals");
        row("int4+sparsenan", "0.0001 to 50");
        row("int4+sparse1:6", "0.0001 to 50");
        row("int4+lr8+cols4", "order");
        row("int4+lr8+lr4", "once");
        row("f16+lr8", "no codes");
        row("keep+cols8", "no codes");
        row("+lr8", "empty scheme");
    }
    void wrongTextsSayTheMend()
    {
        QFETCH(QByteArray, text);
        QFETCH(QByteArray, hint);
        const auto scheme = parseScheme(text.toStdString());
        QVERIFY(!scheme);
        QCOMPARE(scheme.error().code, Errc::usage);
        QVERIFY2(QByteArray::fromStdString(scheme.error().what).contains(hint), scheme.error().what.c_str());
    }
    void activationsHaveNone()
    {
        const auto scheme = parseActivationScheme("int8+lr8");
        QVERIFY(!scheme && scheme.error().what.find("before +a:") != std::string::npos);
    }

    void payloadCountsIndices()
    {
        const auto bits = [](const char* text, std::int64_t rows, std::int64_t cols) {
            return payloadBits(parseScheme(text).value(), rows, cols);
        };
        const std::int64_t base = bits("int4:g128:s=f16", 512, 1024);
        QCOMPARE(bits("int4:g128:s=f16+cols6", 512, 1024), base + 6 * (512 * 16 + 32));
        QCOMPARE(bits("int4:g128:s=f16+cols6:over6", 512, 1024), base + 6 * (512 * 16 + 32));
        QCOMPARE(bits("int4:g128:s=f16+sparse1", 512, 1024), base + 5243 * (16 + 16) + 513 * 32); // 5242.88 weights
        QCOMPARE(bits("int4:g128:s=f16+lr8", 512, 1024), base + 16 * 8 * (512 + 1024));
        QCOMPARE(bits("int4:g128:s=f16+cols6+sparse1+lr8", 512, 1024),
                 base + 6 * (512 * 16 + 32) + 5243 * 32 + 513 * 32 + 16 * 8 * (512 + 1024));
        // No more than there is; wide rows have wider indices; nothing of nothing.
        QCOMPARE(bits("int4:tensor+cols9", 3, 5), bits("int4:tensor", 3, 5) + 5 * (3 * 16 + 32));
        QCOMPARE(bits("int4:tensor+lr9", 3, 5), bits("int4:tensor", 3, 5) + 16 * 3 * 8);
        QCOMPARE(bits("int4:tensor+sparse50", 1, 70'000), bits("int4:tensor", 1, 70'000) + 35'000 * 48 + 64);
        QCOMPARE(bits("int4:tensor+sparse0.0001", 1, 7), bits("int4:tensor", 1, 7) + 32 + 64);
        for (const char* text : {"int4+cols9", "int4+sparse9", "int4+lr9"})
            QCOMPARE(bits(text, 0, 5) + bits(text, 5, 0), std::int64_t{0});
        // What is more than 2⁶³ times a million does not overflow.
        const Additions one{.sparseMillionths = 10'000};
        QCOMPARE(one.sparseCount(std::int64_t{1} << 31, std::int64_t{1} << 30), ((std::int64_t{1} << 61) + 99) / 100);
    }

    void sumsInTheStatedOrder()
    {
        const MatrixShape matrix{3, 4};
        TensorAdditions additions;
        additions.columns = {1, -1};
        additions.columnValues = {10, 0, 20, 0, 0x1p-24F, 0};
        additions.rowStarts = {0, 2, 2, 3};
        additions.sparseColumns = {0, 3, 1};
        additions.sparseValues = {0.5F, -2, 1};
        additions.rank = 2;
        additions.left = {1, 0x1p-24F, 2, 1, 0, -1};
        additions.right = {1, 2, 3, 4, 1, 1, 1, 1};
        const std::vector<float> base{1, 0, 0, 1, 2, 2, 2, 2, 0, 1, 0, 0};
        std::vector<float> expected(base);
        for (std::size_t r = 0; r < 3; ++r)
            for (std::size_t c = 0; c < 4; ++c) {
                float& sum = expected[r * 4 + c];
                if (c == 1)
                    sum += additions.columnValues[r * 2];
                for (std::size_t i = additions.rowStarts[r]; i < additions.rowStarts[r + 1]; ++i)
                    if (additions.sparseColumns[i] == c)
                        sum += additions.sparseValues[i];
                for (std::size_t k = 0; k < 2; ++k)
                    sum += additions.left[r * 2 + k] * additions.right[k * 4 + c];
            }
        QCOMPARE(expected[0], 2.5F); // 1 + 0.5 + 1, and 2⁻²⁴ that a float32 of 2.5 does not see
        QCOMPARE(expected[9], 1.0F); // 1 + 2⁻²⁴ is 1, + 1 − 1
        // Any piece alone.
        for (std::int64_t first = 0; first < 12; ++first)
            for (std::int64_t count = 0; first + count <= 12; ++count) {
                std::vector<float> out(base.begin() + first, base.begin() + first + count);
                addTo(out.data(), additions, matrix, first, count);
                QVERIFY(std::equal(out.begin(), out.end(), expected.begin() + first));
            }
    }
};

QTEST_APPLESS_MAIN(AdditionsTest)
#include "additions_test.moc"
