// SPDX-License-Identifier: GPL-3.0-or-later
#include "core/formats/matrix_format.h"
#include "core/formats/quantized_tensor.h"
#include "core/formats/scale_coding.h"

#include <QTest>

#include <cmath>
#include <map>

using namespace ql;

namespace {

/// Elements and bytes of a block, by its name.
std::pair<std::int64_t, std::int64_t> blockOf(const std::string& text)
{
    static const std::map<std::string, std::pair<std::int64_t, std::int64_t>> kOwn{{"bitmod3", {128, 2 + 1 + 48}},
                                                                                   {"bitmod4", {128, 2 + 1 + 64}},
                                                                                   {"ptqtp", {128, 4 + 52}},
                                                                                   {"dualbin", {64, 4 + 16}},
                                                                                   {"bcq1", {128, 18}},
                                                                                   {"bcq2", {128, 36}},
                                                                                   {"bcq3", {128, 54}},
                                                                                   {"bcq4", {128, 72}}};
    if (const auto own = kOwn.find(text); own != kOwn.end())
        return own->second;
    const DtypeInfo& block = info(dtypeFromWord(std::string_view(text).substr(5)).value());
    return {block.blockElements, block.blockBytes};
}

} // namespace

class SchemeTest : public QObject {
    Q_OBJECT
private Q_SLOTS:
    void textRoundTrips_data()
    {
        QTest::addColumn<QByteArray>("text");
        for (const std::string& text : exampleSchemes())
            QTest::newRow(text.c_str()) << QByteArray::fromStdString(text);
    }
    void textRoundTrips()
    {
        QFETCH(QByteArray, text);
        const Scheme scheme = parseScheme(text.toStdString()).value();
        QCOMPARE(printScheme(scheme), text.toStdString());
        QVERIFY(parseScheme(printScheme(scheme)).value() == scheme);
    }

    void defaultsAndOtherSpellings_data()
    {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<QByteArray>("printed");
        const auto row = [](const char* text, const char* printed) {
            QTest::newRow(text) << QByteArray(text) << QByteArray(printed);
        };
        row("int4:channel", "int4");
        row(" int4 : g128 ", "int4:g128");
        row("int4:asym:g128", "int4:g128:asym");
        row("int4:s=f16:asym:g128", "int4:g128:asym:s=f16");
        row("int4:g128:s=f32", "int4:g128:s=f32"); // said, so a target keeps it
        row("e2m1:g32:s=e8m0", "mxfp4");
        row("e2m1:s=ue4m3:g16", "nvfp4");
        row("int4:g16:s=ue4m3:restricted", "nvint4");
        row("mxint8:g32:restricted:s=e8m0", "mxint8");
        row("mxint8:channel", "mxint8:channel");
        row("int4:g32:s=f16", "int4:g32:s=f16"); // not gguf:q4_0, whose scales have a sign
        row("int8:tensor:s=e8m0", "fixed8");
        row("levels(1,-1,.5):g64", "levels(-1,0.5,1):g64");
        row("keep", "keep");
        row("bf16", "bf16");
    }
    void defaultsAndOtherSpellings()
    {
        QFETCH(QByteArray, text);
        QFETCH(QByteArray, printed);
        const auto scheme = parseScheme(text.toStdString());
        QVERIFY2(scheme.has_value(), scheme ? "" : scheme.error().what.c_str());
        QCOMPARE(printScheme(*scheme), printed.toStdString());
        QVERIFY(parseScheme(printScheme(*scheme)).value() == *scheme);
    }

    void wrongTextsSayTheMend_data()
    {
        QTest::addColumn<QByteArray>("text");
        QTest::addColumn<QByteArray>("hint");
        const auto row = [](const char* text, const char* hint) {
            QTest::newRow(text) << QByteArray(text) << QByteArray(hint);
        };
        row("", "int4:g128");
        row("int9", "2…8 bits");
        row("int9:g128", "2…8 bits");
        row("float7", "mxfp4");
        row("int4:g0", "≥ 1");
        row("int4:g-3", "unknown part");
        row("int4:g12x", "≥ 1");
        row("int4:g99999999999999999999", "≥ 1");
        row("int4:g32:g64", "twice");
        row("int4:channel:tensor", "twice");
        row("int4:asym:asym", "twice");
        row("int4:s=f16:s=f32", "twice");
        row("int4:s=fp8", "f32, f16, bf16, e8m0 or ue4m3");
        row("int4:group128", "g<size>");
        row("int4:", "unknown part");
        row(":g128", "unknown number format");
        row("e2m1:asym", "only for integers");
        row("nf4:restricted", "only for integers");
        row("int4:asym:restricted", "symmetric");
        row("f16:g32", "takes no options");
        row("keep:asym", "takes no options");
        row("mxfp4:g64", "e2m1:g32:s=e8m0");
        row("nvint4:asym", "int4:g16:restricted:s=ue4m3");
        row("gguf:q7_k", "gguf:q6_k");
        row("gguf:q4_k:g32", "gguf:q4_k");
        row("gguf", "gguf:q8_0");
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

    void payloadIsTheClosedForm()
    {
        struct Size {
            std::int64_t rows, cols;
        };
        for (const std::string& text : exampleSchemes()) {
            const Scheme scheme = parseScheme(text).value();
            if (!scheme.additions.empty()) // additions_test
                continue;
            for (const Size& size :
                 {Size{0, 5}, Size{5, 0}, Size{1, 1}, Size{1, 7}, Size{3, 33}, Size{4, 128}, Size{5, 1000}}) {
                const std::int64_t n = size.rows * size.cols;
                if (findMatrixFormat(scheme)) // matrix_layouts_test
                    continue;
                if (scheme.isPacked()) { // whole blocks, each row its own
                    const auto [elements, bytes] = blockOf(text);
                    const std::int64_t perRow = (size.cols + elements - 1) / elements;
                    QCOMPARE(payloadBits(scheme, size.rows, size.cols), size.rows * perRow * bytes * 8);
                    continue;
                }
                std::int64_t expected = n * scheme.element->bits;
                std::int64_t units = 0;
                if (!scheme.isCast() && !scheme.isKeep() && n > 0) {
                    for (std::int64_t row = 0; row < size.rows; ++row)
                        for (std::int64_t col = 0; col < size.cols; ++col)
                            units += scheme.granularity == Granularity::tensor ? (row + col == 0 ? 1 : 0)
                                     : scheme.granularity == Granularity::channel
                                         ? (col == 0 ? 1 : 0)
                                         : (col % scheme.groupSize == 0 ? 1 : 0);
                    const std::int64_t scale = scheme.scale == ScaleCoding::f32 ? 32
                                               : scheme.scale == ScaleCoding::f16 || scheme.scale == ScaleCoding::bf16
                                                   ? 16
                                                   : 8;
                    expected += units * scale;
                    if (text.find("asym") != std::string::npos)
                        expected += units * scheme.element->bits;
                    if (text == "gguf:q4_1" || text == "gguf:q5_1" || text.find(":min") != std::string::npos)
                        expected += units * scale;
                    if (text.starts_with("nv") || text.find("ue4m3") != std::string::npos)
                        expected += 32;
                    if (n > 0 && text.starts_with("levels("))
                        expected += 32 * std::ranges::count(text.substr(0, text.find(')')), ',') + 32;
                    if (n > 0 && text.starts_with("pow"))
                        expected += 16;
                }
                QCOMPARE(scheme.scaleCount(size.rows, size.cols), units);
                QCOMPARE(payloadBits(scheme, size.rows, size.cols), expected);
            }
        }
    }

    void matrixOfShapes()
    {
        const auto is = [](const Shape& shape, std::int64_t rows, std::int64_t cols) {
            const MatrixShape m = matrixShape(shape);
            return m.rows == rows && m.cols == cols;
        };
        QVERIFY(is({}, 1, 1));
        QVERIFY(is({7}, 1, 7));
        QVERIFY(is({0}, 1, 0));
        QVERIFY(is({3, 5}, 3, 5));
        QVERIFY(is({8, 3, 2, 2}, 8, 12));
        QVERIFY(is({4, 0, 9}, 4, 0));
        QVERIFY(is({0, 1LL << 40, 1LL << 40}, 0, 0));
        QVERIFY(is({5, 0, 1LL << 62, 1LL << 62}, 5, 0));
    }

    void scaleCodings()
    {
        QCOMPARE(roundScale(ScaleCoding::f32, 0.1F), 0.1F);
        QCOMPARE(roundScale(ScaleCoding::f16, 0.1F), 0.0999755859375F);
        QCOMPARE(roundScale(ScaleCoding::f16, 1e9F), 65504.0F);
        QCOMPARE(roundScale(ScaleCoding::f16, 65520.0F), 65504.0F);
        QCOMPARE(roundScale(ScaleCoding::f16, 1e-9F), 0.0F);
        QCOMPARE(storableScale(ScaleCoding::f16, 1e-9F), 0x1p-24F);
        QCOMPARE(roundScale(ScaleCoding::bf16, 1.005859375F), 1.0078125F);
        QCOMPARE(roundScale(ScaleCoding::bf16, 3.4e38F), 0x1.fep127F);
        QCOMPARE(roundScale(ScaleCoding::ue4m3, 1e9F), 448.0F);
        QCOMPARE(roundScale(ScaleCoding::ue4m3, 0.3F), 0.3125F);
        QCOMPARE(roundScale(ScaleCoding::e8m0, 1.4F), 1.0F);
        QCOMPARE(roundScale(ScaleCoding::e8m0, 1.42F), 2.0F);
        QCOMPARE(roundScale(ScaleCoding::e8m0, 0.0F), 0x1p-127F);
        QCOMPARE(roundScale(ScaleCoding::e8m0, 0x1p-149F), 0x1p-127F);
        QCOMPARE(roundScale(ScaleCoding::e8m0, 3e38F), 0x1p127F);
        for (const ScaleCoding coding :
             {ScaleCoding::f32, ScaleCoding::f16, ScaleCoding::bf16, ScaleCoding::e8m0, ScaleCoding::ue4m3}) {
            QCOMPARE(scaleCodingFromWord(scaleCodingWord(coding)).value(), coding);
            // Walking all codes by neighbours: each rises, and is held exactly.
            float scale = smallestScale(coding);
            QCOMPARE(roundScale(coding, scale), scale);
            for (int i = 0; i < 70'000 && scale < largestScale(coding); ++i) {
                const float next = neighbourScale(coding, scale, 1);
                QVERIFY(next > scale);
                QCOMPARE(roundScale(coding, next), next);
                QCOMPARE(neighbourScale(coding, next, -1), scale);
                scale = next;
            }
            if (coding != ScaleCoding::f32)
                QCOMPARE(scale, largestScale(coding));
            QCOMPARE(neighbourScale(coding, largestScale(coding), 5), largestScale(coding));
            QCOMPARE(neighbourScale(coding, smallestScale(coding), -5), smallestScale(coding));
        }
    }
};

QTEST_APPLESS_MAIN(SchemeTest)
#include "scheme_test.moc"
